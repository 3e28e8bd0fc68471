"""What a tool is, and the few things several tools need."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codewire.client.addressing import resolve_session
from codewire.errors import CodewireError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.term.strip import strip_ansi
from codewire.term.width import harmless, harmless_json

# A result is one text; what is longer is of no use to a model and much to its bill.
MAX_CHARS = 500_000
# The same for a list, whose items are shown whole or not at all.
MAX_BYTES = 500_000
MAX_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Reply:
    """A result of several texts (content blocks), and the same as data where a tool says so."""

    texts: list[str]
    data: dict[str, Any] | None = None


Run = Callable[[CallClient, dict[str, Any]], str | list[str] | Reply]

SESSION = Param("session_id", "session", "Which session: its id or its name", required=True)
GRANT = Param(
    "grant",
    "string",
    "With node:session: the access grant for it (default: one accepted with `cw access accept`)",
)
TAGS = Param("tags", "strings", "Labels; a session that has any of them matches")
DURATION = Param(
    "max_duration_seconds",
    "number",
    "How long to watch before returning (default 30)",
    default=30,
    maximum=MAX_SECONDS,
)


class ToolFailed(CodewireError):
    """A failure with more to say than its one line: texts of their own in the result."""

    def __init__(self, error: CodewireError, *more: str) -> None:
        super().__init__(str(error))
        self.code = error.code
        self.more = [text for text in more if text]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `run` returns the text of the result, several texts, or a Reply.

    `output` is the schema of the data in its replies (mcp/outputs.py).
    """

    name: str
    text: str
    params: tuple[Param, ...]
    run: Run
    output: dict[str, Any] | None = None


def session_number(client: CallClient, value: int | str) -> int:
    """Return the id of a session given by id or name. Raises RequestError, UsageError."""
    return value if isinstance(value, int) else resolve_session(client, value)


def observed_session(client: CallClient, value: int | str) -> int | str:
    """Return what names a session whose messages are to be seen; another node looks for it itself.

    Raises RequestError, UsageError.
    """
    is_elsewhere = client.route.peer() is not None or (isinstance(value, str) and ":" in value)
    return value if is_elsewhere else session_number(client, value)


def listing(
    items: list[Any], *, hint: str, newest: bool = False, facts: dict[str, Any] | None = None
) -> list[str]:
    """Return a JSON array of what fits MAX_BYTES, then what else there is to say, if anything.

    The first items are kept, or the last ones; `hint` says how to get at those left out.
    """
    room, kept = MAX_BYTES, []
    for item in reversed(items) if newest else items:
        room -= len(to_json([item]).encode("utf-8", "replace"))
        if room < 0:
            break
        kept.append(item)
    if newest:
        kept.reverse()
    facts = dict(facts or {})
    if len(kept) < len(items):
        facts["truncated"] = f"{len(items) - len(kept)} of {len(items)} are left out: {hint}"
    return [to_json(kept), to_json(facts)] if facts else [to_json(kept)]


def listed(key: str, texts: list[str]) -> Reply:
    """Return what `listing` returned as a reply whose data has the list by a name."""
    facts = json.loads(texts[1]) if len(texts) > 1 else {}
    return Reply(texts, {key: json.loads(texts[0]), **facts})


def to_json(value: Any) -> str:
    """Return the JSON an agent reads: texts in it are without escape sequences and controls."""
    return harmless_json(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isprintable() else plain_text(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def plain_text(text: str) -> str:
    """Return text without escape sequences and control characters."""
    return harmless(strip_ansi(text.encode("utf-8", "replace")).decode("utf-8", "replace"))
