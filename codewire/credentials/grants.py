"""Whether a verified observer grant allows what is asked (spec/network-auth.md 7.3)."""

from __future__ import annotations

from typing import NamedTuple

from codewire.credentials.claims import ObserverClaims
from codewire.errors import CredentialError

READ = "msg.read"
LISTEN = "msg.listen"
VERBS = (READ, LISTEN)


class Principal(NamedTuple):
    """Who a connection belongs to: `client` and a subject, or `node` and its name."""

    kind: str
    id: str


class Place(NamedTuple):
    """What is asked for: a session of a node, its id and present name, as far as they are known."""

    network_id: str
    node_name: str
    session_id: int | None
    session_name: str


def check_grant(claims: ObserverClaims, place: Place, principal: Principal, verb: str) -> None:
    """Check what a grant says against what is asked. Raises CredentialError in the known words."""
    if claims.network_id != place.network_id:
        raise CredentialError("observer grant network mismatch")
    if claims.target_node != place.node_name:
        raise CredentialError("observer grant target node mismatch")
    audience = Principal(claims.audience_subject_kind, claims.audience_subject_id)
    if audience != principal or not principal.id:
        raise CredentialError("observer grant audience mismatch")
    if verb not in claims.verbs:
        raise CredentialError(f"observer grant does not allow {verb}")
    _check_session(claims, place)


def _check_session(claims: ObserverClaims, place: Place) -> None:
    if place.session_id is None and not place.session_name:
        raise CredentialError("missing session locator")
    if claims.session_id is None and not claims.session_name:
        # No relay signs one; upstream lets it pass for any session.
        raise CredentialError("missing session locator")
    if claims.session_id is not None and claims.session_id != place.session_id:
        raise CredentialError("observer grant session id mismatch")
    if claims.session_name and claims.session_name != place.session_name:
        raise CredentialError("observer grant session name mismatch")
