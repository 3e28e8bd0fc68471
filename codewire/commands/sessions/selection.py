"""Which sessions a command is about: a session, or tags, here or on another node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context


def given(value: Any) -> bool:
    return value is not None and value is not False


def selection(args: dict[str, Any], context: Context) -> tuple[Client, int | None, list[str]]:
    """Return the client, the session and the tags a command line asks for."""
    from codewire.client.addressing import resolve_session

    tags = list(args["--tag"])
    word, session = args["<session-or-tag>"], args.get("--session")
    if session:
        if context.names_node(word):
            session, word = f"{word}:{session}", None
        client, ref = context.locate(session)
        if word:
            tags.append(word)
        return client, resolve_session(client, ref), tags
    if not word:
        return context.client(), None, tags
    if context.names_node(word):
        return context.client_of(word), None, tags
    client, found = context.find(word)
    if isinstance(found, str):
        return client, None, [*tags, found]
    return client, found, tags
