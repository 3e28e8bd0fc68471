"""Whether a verified sender delegation covers what is sent (spec/peer.md 1.5)."""

from __future__ import annotations

from typing import NamedTuple

from codewire.credentials.claims import SenderClaims
from codewire.errors import CredentialError

MSG = "msg"
REQUEST = "request"
REPLY = "reply"
VERBS = (MSG, REQUEST, REPLY)


class Sender(NamedTuple):
    """Who is said to send: a node, and its session by id or name."""

    node: str
    session_id: int | None
    session_name: str


def check_sender(
    claims: SenderClaims, sender: Sender, network_id: str, node_name: str, verb: str
) -> None:
    """Check a delegation against who sends, to which node of which network, as which verb.

    Raises CredentialError in the known words.
    """
    if claims.network_id != network_id:
        raise CredentialError("sender delegation network mismatch")
    if claims.source_node != sender.node:
        raise CredentialError("sender delegation source node mismatch")
    if claims.audience_node and claims.audience_node != node_name:
        raise CredentialError("sender delegation audience mismatch")
    if verb not in claims.verbs:
        raise CredentialError(f"sender delegation does not allow {verb}")
    if sender.session_id is not None and sender.session_id != claims.from_session_id:
        raise CredentialError("sender delegation session id mismatch")
    if sender.session_name and sender.session_name != claims.from_session_name:
        raise CredentialError("sender delegation session name mismatch")
