"""What a tool is, and the few things several tools need."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewire.client.addressing import resolve_session
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient

# A result is one text; what is longer is of no use to a model and much to its bill.
MAX_CHARS = 500_000
MAX_SECONDS = 24 * 3600

Run = Callable[[CallClient, dict[str, Any]], str | list[str]]

SESSION = Param("session_id", "session", "Session: its id, or its name", required=True)
TAGS = Param("tags", "strings", "Labels; a session that has any of them matches")
DURATION = Param(
    "max_duration_seconds",
    "integer",
    "How long to watch before returning (default 30)",
    default=30,
    maximum=MAX_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `run` returns the text of the result, or several texts (content blocks)."""

    name: str
    text: str
    params: tuple[Param, ...]
    run: Run


def session_number(client: CallClient, value: int | str) -> int:
    """Return the id of a session given by id or name. Raises RequestError, UsageError."""
    return value if isinstance(value, int) else resolve_session(client, value)


def to_json(value: Any) -> str:
    """Return the JSON an agent reads."""
    return json.dumps(value, indent=2, ensure_ascii=False)
