"""How an agent's state is worded for people: the state, its kind, since when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.wire.answers.sessions import SessionInfo

# ANSI colours of states that a person should notice.
COLOURS = {"blocked": 1, "error": 1, "done": 2, "working": 3}


def state_of(info: SessionInfo) -> str:
    """Return a session's state, with its kind: `blocked (permission)`; "-" where none is known."""
    state = info.state or "-"
    return f"{state} ({info.state_kind})" if info.state_kind else state


def state_column(info: SessionInfo, now_ns: int) -> str:
    """Return the cell of `cw list`: state and how long it has lasted, `blocked 3m`."""
    state = info.state or "-"
    since = info.state_since
    age = output.age(since, now_ns).removesuffix(" ago") if since else ""
    return f"{state} {age}".rstrip("- ") or "-"


def state_line(info: SessionInfo, now_ns: int) -> str | None:
    """Return the line of `cw status`, None for a node that knows no states."""
    if not info.state_since:
        return None
    age = output.age(info.state_since, now_ns).removesuffix(" ago")
    reason = info.state_reason
    return f"{state_of(info)} for {age}" + (f": {reason}" if reason else "")


def signal_words(number: object) -> str:
    """Return a signal's number and name: `15 (SIGTERM)`, the number alone where it has none."""
    # Of Linux, whose numbers these are; the signal module would cost a command 1 ms.
    import signal

    try:
        return f"{number} ({signal.Signals(int(str(number))).name})"
    except ValueError:
        return str(number)
