"""How an agent's state is worded for people: the state, its kind, since when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from collections.abc import Mapping

# ANSI colours of states that a person should notice.
COLOURS = {"blocked": 1, "error": 1, "done": 2, "working": 3}


def state_of(info: Mapping[str, Any]) -> str:
    """Return a session's state, with its kind: `blocked (permission)`; "-" where none is known."""
    state = str(info.get("state") or "-")
    kind = info.get("state_kind")
    return f"{state} ({kind})" if kind else state


def state_column(info: Mapping[str, Any], now_ns: int) -> str:
    """Return the cell of `cw list`: state and how long it has lasted, `blocked 3m`."""
    state = str(info.get("state") or "-")
    since = info.get("state_since")
    age = output.age(str(since), now_ns).removesuffix(" ago") if since else ""
    return f"{state} {age}".rstrip("- ") or "-"


def state_line(info: Mapping[str, Any], now_ns: int) -> str | None:
    """Return the line of `cw status`, None for a node that knows no states."""
    if not info.get("state_since"):
        return None
    age = output.age(str(info["state_since"]), now_ns).removesuffix(" ago")
    reason = info.get("state_reason")
    return f"{state_of(info)} for {age}" + (f": {reason}" if reason else "")


def signal_words(number: object) -> str:
    """Return a signal's number and name: `15 (SIGTERM)`, the number alone where it has none."""
    # Of Linux, whose numbers these are; the signal module would cost a command 1 ms.
    import signal

    try:
        return f"{number} ({signal.Signals(int(str(number))).name})"
    except ValueError:
        return str(number)
