"""Who a message is from and to: sessions of one node, or of two in a relay's network.

A session of this machine's node writes to another node's as itself, vouched for by the relay. With
no session that sends, or one of the recipient's own node, it is the user who does so there, which
only the node's owner may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.errors import NodeRefused, UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context

Sender = dict[str, Any]
HINT = "a session may write to it: run this in one, or name one with --from"


def resolve(client: Client, ref: str) -> int:
    """Return the id of a session of a client's node."""
    from codewire.client.addressing import resolve_session

    return resolve_session(client, ref)


def own_session(client: Client) -> Sender:
    """Return the session this command runs in; its id means nothing to another node."""
    from codewire.client.inside import as_sender

    return as_sender(client.route)


def letter_from(ref: str, sender: str | None, context: Context) -> tuple[Client, int | str, Sender]:
    """Return the client to send by, the recipient and the sender as its methods take them.

    `ref` names the recipient, `sender` is --from. Raises UsageError.
    """
    client, session = context.locate(ref)
    peer = client.route.peer()
    if peer is not None:
        home, number = _from_another_node(client, sender, context)
        if home is not None:
            return home, f"{peer.node}:{session}", number
    try:
        return client, resolve(client, session), _from_same_node(client, sender, context)
    except NodeRefused as error:
        if peer is None:
            raise
        raise NodeRefused(f"{error}; {HINT}") from error


def _from_another_node(
    client: Client, sender: str | None, context: Context
) -> tuple[Client | None, Sender]:
    """Return a client of the node whose session sends, and that session; None: none does."""
    if not sender:
        home = context.client_on("local") if not context.named_server else context.client()
        found = own_session(home)
        return (home, found) if found["sender"] else (None, {})
    home, ref = context.locate(sender)
    if home.route.key == client.route.key:
        return None, {}
    return home, {"sender": resolve(home, ref)}


def _from_same_node(client: Client, sender: str | None, context: Context) -> Sender:
    """Return who sends, a session of the recipient's node; its name may be left out.

    Raises UsageError for a session of another node: its id means nothing there.
    """
    if not sender:
        return own_session(client)
    if ":" not in sender:
        return {"sender": resolve(client, sender)}
    home, ref = context.locate(sender)
    if home.route.key != client.route.key:
        raise UsageError("--from must be a session of the node that the message is sent to")
    return {"sender": resolve(client, ref)}
