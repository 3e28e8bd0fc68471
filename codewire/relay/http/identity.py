"""Who asks: a user by session or admin token, a node by its token (spec/relay.md 2.1, 2.2).

A token comes as Bearer, or (users only) in the cookie `cw_session`, never in a URL. Further ways to
know a user, such as a platform that is asked, are one more `Resolve` in the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codewire.credentials.tokens import equal
from codewire.relay.http.answers import Refusal
from codewire.relay.store import networks, nodes, people

if TYPE_CHECKING:
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.nodes import Node
    from codewire.web.request import Request

SCHEME = "Bearer "
COOKIE = "cw_session"
SESSION_PREFIX = "sess_"
MAX_TOKEN = 4096

ADMIN = "admin"
OWNER, MEMBER = "owner", "member"

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with an identity; `subject` is how networks, grants and tokens name them."""

    subject: str
    username: str = ""
    github_id: int | None = None

    @property
    def is_admin(self) -> bool:
        """Say whether every network is this user's."""
        return self.subject == ADMIN


# From a token to who has it; the flag says that it came as Bearer.
Resolve = Callable[["Database", str, bool, int], "User | None"]


class Identities:
    """Finds out who asks. `base_url` is where pages of ours come from."""

    def __init__(self, admin_token: str, base_url: str, more: tuple[Resolve, ...] = ()) -> None:
        self._admin_token = admin_token
        self._origin = origin_of(base_url)
        self._more = more

    def user(self, request: Request, store: Database, now: int) -> User | None:
        """Return the user who asks, None for nobody known.

        Raises Refusal (403) for a cookie that another site's page may have sent along.
        """
        found = self.by_bearer(request, store, now)
        if found is not None:
            return found
        cookie = cookie_token(request)
        found = self._resolve(store, cookie, False, now) if cookie else None
        if found is not None:
            self._check_origin(request)
        return found

    def by_bearer(self, request: Request, store: Database, now: int) -> User | None:
        """Return the user whose Bearer token the request carries, None for nobody known."""
        bearer = bearer_token(request)
        return self._resolve(store, bearer, True, now) if bearer else None

    def is_admin_token(self, token: str) -> bool:
        """Compare with the admin token, in constant time; without one nobody has it."""
        return bool(self._admin_token) and equal(token, self._admin_token)

    def _resolve(self, store: Database, token: str, is_bearer: bool, now: int) -> User | None:
        if len(token) > MAX_TOKEN:
            return None
        if token.startswith(SESSION_PREFIX):
            return _session(store, token, now)
        if self.is_admin_token(token):
            return User(ADMIN, ADMIN)
        for resolve in self._more:
            found = resolve(store, token, is_bearer, now)
            if found is not None:
                return found
        return None

    def _check_origin(self, request: Request) -> None:
        changes = request.head.method not in SAFE_METHODS or bool(request.field("Upgrade"))
        if changes and request.field("Origin").lower() != self._origin:
            raise Refusal(403, "a cookie counts for pages of this relay only: send a Bearer token")


def _session(store: Database, token: str, now: int) -> User | None:
    login = store.read(lambda tx: people.session(tx, token, now))
    return None if login is None else User(login.subject, login.username, login.github_id)


def node_of(request: Request, store: Database) -> Node | None:
    """Return the node whose token the request carries, with or without `Bearer `."""
    given = request.field("Authorization")
    token = (given[len(SCHEME) :] if given.startswith(SCHEME) else given).strip()
    if not token or len(token) > MAX_TOKEN:
        return None
    return store.read(lambda tx: nodes.by_token(tx, token))


def bearer_token(request: Request) -> str:
    """Return the Bearer token, "" without one; the scheme's case counts."""
    given = request.field("Authorization")
    return given[len(SCHEME) :].strip() if given.startswith(SCHEME) else ""


def cookie_token(request: Request, wanted: str = COOKIE) -> str:
    """Return a cookie, the session's unless said otherwise, "" without one."""
    for pair in request.field("Cookie").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return value
    return ""


def origin_of(base_url: str) -> str:
    """Return scheme and host of a URL, as a browser names where a page is from."""
    scheme, _, rest = base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()


# Roles


def role(tx: Tx, user: User, network: str) -> str:
    """Return `owner`, `member` or ""; to the admin every network is their own."""
    return OWNER if user.is_admin else networks.role(tx, network, user.subject)


def need_member(tx: Tx, user: User, network: str) -> None:
    """Raise Refusal (403) unless the user is in the network."""
    if not role(tx, user, network):
        raise Refusal(403, "membership required")


def need_owner(tx: Tx, user: User, network: str) -> None:
    """Raise Refusal (403) unless the network is the user's."""
    if role(tx, user, network) != OWNER:
        raise Refusal(403, "owner access required")
