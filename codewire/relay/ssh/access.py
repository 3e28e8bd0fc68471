"""Who may log in to a node by SSH: whoever has the node's token, or is the node's owner.

An owner comes with a session of the relay (`sess_…`) as password, or with a public key that the
relay knows as theirs, and is still in the node's network. The admin's token opens nothing here, and
nothing is asked of a platform: a password that is neither is wrong.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from codewire.credentials.sshkeys import parse_public_key
from codewire.errors import BadValue
from codewire.relay.http.identity import ADMIN, MAX_TOKEN, SESSION_PREFIX
from codewire.relay.http.inputs import is_name
from codewire.relay.store import networks, nodes, people

if TYPE_CHECKING:
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.nodes import Node

# A key of 16384 bits has fewer characters.
MAX_KEY_TEXT = 8192


class Admitted(NamedTuple):
    """A node and who comes to it: the owner's subject, or `node:<name>` by the node's own token."""

    network: str
    node: str
    subject: str


class User(NamedTuple):
    """A login's user name; `network` is "" where it names none."""

    network: str
    node: str


def parse_user(user: str) -> User | None:
    """Return what `<network>/<node>`, `/<node>` or `<node>` names, None for anything else.

    >>> parse_user("alpha/dev-1")
    User(network='alpha', node='dev-1')
    """
    network, slash, node = user.partition("/")
    found = User(network, node) if slash else User("", user)
    is_usable = is_name(found.node) and (not found.network or is_name(found.network))
    return found if is_usable else None


def by_password(
    store: Database, user: str, password: str, now: int | None = None
) -> Admitted | None:
    """Return whom a password lets in, None for a wrong one. Blocks. Raises StoreError.

    `now` is in nanoseconds UTC, the clock's unless given.
    """
    wanted = parse_user(user)
    if wanted is None or not password or len(password) > MAX_TOKEN:
        return None
    at = time.time_ns() if now is None else now
    if password.startswith(SESSION_PREFIX):
        return store.read(lambda tx: _by_session(tx, wanted, password, at))
    return store.read(lambda tx: _by_token(tx, wanted, password))


def by_key(store: Database, user: str, key: str) -> Admitted | None:
    """Return whom a public key ("ssh-ed25519 AAAA…") lets in, None for nobody's.

    That the client has the private key is for the caller to find out. Blocks. Raises StoreError.
    """
    wanted = parse_user(user)
    if wanted is None or len(key) > MAX_KEY_TEXT:
        return None
    try:
        fingerprint = parse_public_key(key).fingerprint
    except BadValue:
        return None
    return store.read(lambda tx: _of_owners(tx, wanted, people.key_owners(tx, fingerprint)))


def _by_session(tx: Tx, wanted: User, password: str, now: int) -> Admitted | None:
    login = people.session(tx, password, now)
    return _of_owners(tx, wanted, [login.subject]) if login is not None else None


def _by_token(tx: Tx, wanted: User, password: str) -> Admitted | None:
    node = nodes.by_token(tx, password)
    if node is None or node.name != wanted.node or wanted.network not in ("", node.network_id):
        return None
    return Admitted(node.network_id, node.name, f"node:{node.name}")


def _of_owners(tx: Tx, wanted: User, subjects: list[str]) -> Admitted | None:
    """Return the node that is meant, if it is one of these people's; of several none."""
    found = [
        node
        for subject in subjects
        for node in nodes.owned_by(tx, subject, wanted.node)
        if wanted.network in ("", node.network_id) and _may_enter(tx, node, subject)
    ]
    if len(found) != 1:
        return None
    return Admitted(found[0].network_id, found[0].name, found[0].owner_subject)


def _may_enter(tx: Tx, node: Node, subject: str) -> bool:
    """Say whether a node's owner is in its network still, as for a stream to it."""
    return subject == ADMIN or bool(networks.role(tx, node.network_id, subject))
