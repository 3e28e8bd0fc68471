"""Login with an OpenID provider (spec/relay.md 5.1), and the platform's sessions (5.3)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import token_hash
from codewire.relay.http.answers import Refusal, html_answer
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import User
from codewire.relay.http.routes.login.sessions import (
    begin_state,
    find_session,
    logged_in,
    needed_code,
    new_session,
    provider_failed,
    redirect,
    shown_user,
    take_state,
)
from codewire.relay.pages.first import status_page
from codewire.relay.providers.asking import ProviderError
from codewire.relay.providers.oidc import Oidc, OidcUser, is_allowed
from codewire.relay.store import people

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

CALLBACK = "/auth/oidc/callback"
# How long the platform's word for a token counts, also that it is nobody's.
CACHE_SECONDS = 60.0
MAX_CACHED = 10_000


def show_first(call: Call, store: Database) -> Any:
    """Show how the relay is, and who is logged in."""
    login = find_session(call, store)
    page = status_page(
        call.service.settings.base_url, "/auth/oidc", login.username if login else ""
    )
    return html_answer(page)


def begin(call: Call, store: Database) -> Any:
    """Send a browser to the provider."""
    state, cookie = begin_state(call, store)
    try:
        url = call.service.oidc.authorize_url(state, call.service.settings.base_url + CALLBACK)
    except ProviderError as error:
        raise provider_failed("OIDC discovery failed", error) from error
    return redirect(url, cookie)


def finish(call: Call, store: Database) -> Any:
    """Take a browser back from the provider."""
    take_state(call, store)
    code, oidc = needed_code(call), call.service.oidc
    try:
        token = oidc.exchange(code, call.service.settings.base_url + CALLBACK)
    except ProviderError as error:
        raise provider_failed("token exchange failed", error) from error
    try:
        user = oidc.user(token)
    except ProviderError as error:
        raise provider_failed("userinfo failed", error) from error
    check_groups(user, call.service.settings.oidc_allowed_groups)
    return logged_in(call, store.write(lambda tx: _log_in(tx, call, user)))


def _log_in(tx: Tx, call: Call, user: OidcUser) -> str:
    return new_session(tx, call, upsert(tx, user, call.now))


def upsert(tx: Tx, user: OidcUser, now: int) -> str:
    """Keep what the provider says of a user; return the subject."""
    people.upsert_oidc(tx, user.sub, shown_user(user.username), shown_user(user.avatar_url), now)
    return people.oidc_subject(user.sub)


def check_groups(user: OidcUser, allowed: tuple[str, ...]) -> None:
    """Raise Refusal (403) for who is in none of the groups."""
    if not is_allowed(user, allowed):
        names = " ".join(allowed)
        raise Refusal(403, f"access denied: not a member of any allowed group ([{names}])")


class Platform:
    """Finds users by their sessions of the platform: asked once a minute for each token."""

    def __init__(self, oidc: Oidc, allowed: tuple[str, ...]) -> None:
        self._oidc = oidc
        self._allowed = allowed
        self._lock = threading.Lock()
        # By the token's hash: until when it counts, and who it is.
        self._known: dict[str, tuple[float, User | None]] = {}

    def __call__(self, store: Database, token: str, is_bearer: bool, now: int) -> User | None:
        """Return the user of a Bearer token, None for nobody's (identity.Resolve)."""
        if not is_bearer:
            return None
        key, moment = token_hash(token), time.monotonic()
        with self._lock:
            until, known = self._known.get(key, (0.0, None))
        if moment < until:
            return known
        try:
            found = self._oidc.platform_user(token)
        except ProviderError:
            # Not known for now: the next request asks again.
            return None
        user = None
        if found is not None and is_allowed(found, self._allowed):
            user = User(found.sub, found.username)
        with self._lock:
            if len(self._known) >= MAX_CACHED:
                del self._known[next(iter(self._known))]
            self._known[key] = (moment + CACHE_SECONDS, user)
        return user


ENDPOINTS = [
    Endpoint("GET", "/", show_first, Who.PUBLIC, "How the relay is", kind="text/html"),
    Endpoint(
        "GET",
        "/auth/oidc",
        begin,
        Who.PUBLIC,
        "Log in with the provider",
        status=302,
        errors=(502,),
    ),
    Endpoint(
        "GET",
        CALLBACK,
        finish,
        Who.PUBLIC,
        "Back from the provider",
        ("code", "state"),
        status=302,
        errors=(403, 502),
    ),
]
