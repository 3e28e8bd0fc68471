"""The shape of answers, which differs between protocol versions.

Handshake versions are agreed on once (`initialize`); of the stateless era every request names its
own and every result its type.
"""

from __future__ import annotations

from typing import Any

from codewire.mcp.rpc import Message
from codewire.mcp.tool import Reply, plain_text

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
# From these on: tools return data beside texts; wrong arguments are for the model to mend, so they
# are the result of a tool and no error of the protocol.
DATA_SINCE = "2025-06-18"
ARGUMENT_RESULTS_SINCE = "2025-11-25"

# Where a failed call's error code stands (docs/protocol.md lists those of a node).
CODE_KEY = "codewire/code"
# A list that never changes while a server runs: ask again after a day.
CACHE_MS = 24 * 3600 * 1000


class Dialect:
    """What the client of this server understands."""

    def __init__(self) -> None:
        # Of the handshake; "" before it, or without one.
        self.version = ""

    def agree(self, asked: Any) -> str:
        """Take the version a client asks for, or the newest there is; return which."""
        self.version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        return self.version

    def takes_data(self) -> bool:
        """Say whether results may hold data; who says nothing ignores it."""
        return not self.version or self.version >= DATA_SINCE

    def takes_argument_results(self, params: Message) -> bool:
        """Say whether wrong arguments are a result of the tool."""
        return is_modern(params) or self.version >= ARGUMENT_RESULTS_SINCE


def is_modern(params: Message) -> bool:
    """Say whether a request is of the stateless era."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and meta.get(VERSION_KEY) in MODERN_VERSIONS


def sealed(params: Message, result: Message) -> Message:
    """Name the result's type where the request is of the era that requires it."""
    return {"resultType": "complete", **result} if is_modern(params) else result


def cacheable(params: Message, result: Message, milliseconds: int) -> Message:
    """Say how long a result holds, in the era that asks; what never changes is for everybody."""
    if not is_modern(params):
        return result
    return {
        **result,
        "ttlMs": milliseconds,
        "cacheScope": "public" if milliseconds else "private",
    }


def failed(text: str, *more: str, code: str = "") -> Message:
    """Return the result of a tool that could not do it; its code is in `_meta` for programs."""
    result: Message = {"content": _texts([f"Error: {text}", *more]), "isError": True}
    return {**result, "_meta": {CODE_KEY: code}} if code else result


def succeeded(reply: str | list[str] | Reply, takes_data: bool) -> Message:
    """Return the result of a tool."""
    if isinstance(reply, str):
        reply = [reply]
    if isinstance(reply, list):
        return {"content": _texts(reply)}
    result: Message = {"content": _texts(reply.texts)}
    if takes_data and reply.data is not None:
        result["structuredContent"] = _plain(reply.data)
    return result


def _texts(texts: list[str]) -> list[Message]:
    return [{"type": "text", "text": plain_text(text)} for text in texts]


def _plain(value: Any) -> Any:
    """Return data whose texts are as harmless as those of the content."""
    if isinstance(value, str):
        return value if value.isprintable() else plain_text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list) else value
