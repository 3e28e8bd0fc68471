"""IssueSenderDelegation: the relay's word that a session of this node sends (spec/peer.md 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import ConfigError, RelayError, RelayRefused, RequestError
from codewire.node.caller import Caller, calling_session
from codewire.node.context import Handler, Message, Node
from codewire.session.session import Session
from codewire.wire.codes import BAD_REQUEST, NOT_RUNNING, UNAUTHORISED, UNAVAILABLE
from codewire.wire.texts import go_quote

if TYPE_CHECKING:
    from codewire.network.answers import Credential

# What a delegation may be for.
VERBS = ("msg", "request", "reply")
# The relay's answer; a client waits for twice as long.
ISSUE_SECONDS = 5.0


def issue(node: Node, request: Message, caller: Caller) -> Message:
    """Get a delegation for one message of a session to one node. Raises RequestError.

    Who is in a session may have one for that session alone; the user may for any. It names both the
    session's number and its name, and never is for whatever node it is shown to.
    """
    verb, audience = request.get("verb") or "", request.get("audience_node") or ""
    if verb not in VERBS:
        known = ", ".join(VERBS)
        raise RequestError(f"unknown verb {go_quote(verb)}: there are {known}", BAD_REQUEST)
    if not audience:
        raise RequestError("audience_node required", BAD_REQUEST)
    session = _sender(node, request)
    _check_caller(node, caller, session)
    issued = _ask(node, session, verb, audience)
    return {
        "type": "SenderDelegationIssued",
        "from_id": session.id,
        "from_name": session.record.name or None,
        "from_node": issued.source_node,
        "sender_cap": issued.token,
    }


def _sender(node: Node, request: Message) -> Session:
    """Return the session that is to send; one that has ended has no name of its own any more."""
    registry = node.sessions.registry
    if request.get("id") is not None:
        session = registry.get(request["id"])
    elif request.get("name"):
        session = registry.by_name(request["name"].removeprefix("@"))
    else:
        raise RequestError("session id or name required", BAD_REQUEST)
    if not session.is_running():
        raise RequestError(f"session {session.id} is not running", NOT_RUNNING)
    return session


def _check_caller(node: Node, caller: Caller, session: Session) -> None:
    inside = calling_session(caller, node.sessions.registry)
    if inside is not None and inside is not session:
        raise RequestError(
            f"session {inside.id} may not send to other nodes as session {session.id}",
            UNAUTHORISED,
        )


def _ask(node: Node, session: Session, verb: str, audience: str) -> Credential:
    # An import of its own: most nodes have no relay.
    from codewire.network.configuration import load_configuration
    from codewire.network.relay import Relay

    try:
        relay = load_configuration(node.paths.config)
        if not relay.url:
            raise RequestError("relay is not configured", BAD_REQUEST)
        if not relay.node_token:
            raise RequestError("relay node token is not configured", BAD_REQUEST)
        return Relay(relay.server, relay.node_token, ISSUE_SECONDS).sender_delegation(
            [verb],
            session_id=session.id,
            session_name=session.record.name,
            audience_node=audience,
        )
    except (ConfigError, RelayError) as error:
        is_final = isinstance(error, ConfigError) or (
            isinstance(error, RelayRefused) and not error.is_transient
        )
        code = UNAUTHORISED if is_final else UNAVAILABLE
        raise RequestError(f"no sender delegation: {error}", code) from error


ANSWERS: dict[str, Handler] = {"IssueSenderDelegation": issue}
