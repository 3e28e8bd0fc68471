"""What is written down of a session: sessions.json (spec/files.md 4) and the keeper's copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from codewire.wire.timestamps import format_nanos, parse_timestamp

MAX_ID = (1 << 32) - 1
# Offsets in a log: what lseek(2) and the sizes of files can hold, with room for arithmetic.
MAX_OFFSET = 1 << 62


class Status(Enum):
    """Where a session is in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    KILLED = "killed"


@dataclass(slots=True)
class Record:
    """One session on disk. Times are nanoseconds since the epoch, 0 when unknown."""

    id: int
    argv: list[str]
    working_dir: str
    created_ns: int
    name: str = ""
    tags: list[str] = field(default_factory=list)
    pid: int = 0
    status: Status = Status.RUNNING
    kill_requested: bool = False
    exit_code: int | None = None
    signal: int | None = None
    end_reason: str = ""
    completed_ns: int = 0
    result: str = ""
    lines: int = 0
    counted: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    launch_key: str = ""
    prompt: str = ""
    # When it began by the clock that nobody sets, and on which boot (clock.py); 0 when unknown.
    began_steady_ns: int = 0
    boot: str = ""
    # How long it lived, once that is known; 0 when it is not.
    duration_ms: int = 0
    # Counts the ends on this node: what is kept of the past does not hang on the time of day.
    end_number: int = 0
    # What is known of its agent (agentstate.py), {} for nothing.
    agent: dict[str, Any] = field(default_factory=dict)
    # The run it goes on from, and the one that goes on from it; 0 for none.
    relaunched_from: int = 0
    relaunched_as: int = 0
    # It ended with its node, and nobody has asked for that.
    is_restorable: bool = False
    # Its node is being stopped for good.
    is_final: bool = False
    # Its restart policy (restarts.py) and the conversation of its agent (agents/resuming.py), {}
    # for none.
    restart: dict[str, Any] = field(default_factory=dict)
    resume: dict[str, Any] = field(default_factory=dict)
    # Keys of a newer or foreign program: kept as they are.
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prompt = self.prompt or " ".join(self.argv)

    def status_text(self) -> str:
        """Return the status as clients know it: running, completed (N), killed."""
        return status_text(self.status, self.exit_code)

    def mark(self) -> str:
        """Return what its processes carry in their environment: no other session has the same."""
        return f"{self.id}-{self.created_ns}"

    def to_json(self) -> dict[str, Any]:
        """Return the element of sessions.json; empty and unknown values are left out.

        The status is read first and set last: who finds it ended finds the rest settled, too.
        """
        status = self.status
        optional: dict[str, Any] = {
            "name": self.name,
            "pid": self.pid,
            "tags": list(self.tags),
            "completed_at": format_nanos(self.completed_ns) if self.completed_ns else "",
            "result": self.result,
            "end_reason": self.end_reason,
            "kill_requested": self.kill_requested,
            "output_lines": self.lines,
            "lines_counted_to": self.counted,
            "gaps": list(self.gaps),
            "launch_key": self.launch_key,
            "began_steady_ns": self.began_steady_ns,
            "boot": self.boot,
            "duration_ms": self.duration_ms,
            "end_number": self.end_number,
            "agent": self.agent,
            "relaunched_from": self.relaunched_from,
            "relaunched_as": self.relaunched_as,
            "restorable": self.is_restorable,
            "final": self.is_final,
            "restart": self.restart,
            "resume": self.resume,
        }
        value: dict[str, Any] = {
            **self.extra,
            "id": self.id,
            "prompt": self.prompt,
            "command": self.argv,
            "working_dir": self.working_dir,
            "created_at": format_nanos(self.created_ns),
            "status": status_text(status, self.exit_code),
        }
        value.update({key: item for key, item in optional.items() if item})
        if self.exit_code is not None:
            value["exit_code"] = self.exit_code
        if self.signal is not None:
            value["signal"] = self.signal
        return value


def status_text(status: Status, exit_code: int | None) -> str:
    """Return a status as clients know it: running, completed (N), killed."""
    if status is Status.COMPLETED:
        return f"completed ({-1 if exit_code is None else exit_code})"
    return str(status.value)


def is_end_of(record: Record, later: Record) -> bool:
    """Say whether `later` tells how the same session ended, which `record` does not."""
    same = record.id == later.id and record.created_ns == later.created_ns
    return same and record.status is Status.RUNNING and later.status is not Status.RUNNING


def has_ended(value: Mapping[str, Any]) -> bool:
    """Say whether an element of sessions.json, as `to_json` wrote it, says how a session ended."""
    return bool(value.get("status") != Status.RUNNING.value)


KNOWN_KEYS = frozenset(
    [
        "id",
        "prompt",
        "command",
        "working_dir",
        "created_at",
        "status",
        "name",
        "pid",
        "tags",
        "completed_at",
        "result",
        "end_reason",
        "kill_requested",
        "output_lines",
        "lines_counted_to",
        "gaps",
        "launch_key",
        "exit_code",
        "signal",
        "began_steady_ns",
        "boot",
        "duration_ms",
        "end_number",
        "agent",
        "relaunched_from",
        "relaunched_as",
        "restorable",
        "final",
        "restart",
        "resume",
    ]
)


def record_from_json(value: Any) -> Record:
    """Read one element of sessions.json, ours or upstream's. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("not an object")
    code = _number(value, "exit_code", -(1 << 31), 1 << 31)
    status, exit_code = _read_status(value.get("status"), code)
    session_id = _number(value, "id", 1, MAX_ID + 1)
    if session_id is None:
        raise ValueError("no id")
    return Record(
        id=session_id,
        argv=_strings(value, "command"),
        prompt=_string(value, "prompt"),
        working_dir=_string(value, "working_dir"),
        created_ns=_moment(value, "created_at"),
        name=_string(value, "name"),
        tags=_strings(value, "tags"),
        pid=_number(value, "pid", 0, 1 << 31) or 0,
        status=status,
        kill_requested=bool(value.get("kill_requested")),
        exit_code=exit_code,
        signal=_number(value, "signal", 0, 1 << 16),
        end_reason=_string(value, "end_reason"),
        completed_ns=_moment(value, "completed_at"),
        result=_string(value, "result"),
        lines=_number(value, "output_lines", 0, MAX_OFFSET) or 0,
        counted=_number(value, "lines_counted_to", 0, MAX_OFFSET) or 0,
        gaps=_read_gaps(value.get("gaps")),
        launch_key=_string(value, "launch_key"),
        began_steady_ns=_number(value, "began_steady_ns", 0, 1 << 63) or 0,
        boot=_string(value, "boot"),
        duration_ms=_number(value, "duration_ms", 0, 1 << 63) or 0,
        end_number=_number(value, "end_number", 0, 1 << 63) or 0,
        agent=_table(value, "agent"),
        relaunched_from=_number(value, "relaunched_from", 0, MAX_ID + 1) or 0,
        relaunched_as=_number(value, "relaunched_as", 0, MAX_ID + 1) or 0,
        is_restorable=value.get("restorable") is True,
        is_final=value.get("final") is True,
        restart=_table(value, "restart"),
        resume=_table(value, "resume"),
        extra={key: item for key, item in value.items() if key not in KNOWN_KEYS},
    )


def _read_status(value: Any, exit_code: int | None) -> tuple[Status, int | None]:
    """Understand `completed (2)` and the Rust era's {"Completed": 2} (spec/wire.md 18)."""
    if isinstance(value, dict):
        value = " ".join(f"{key} ({code})" for key, code in value.items())
    if not isinstance(value, str):
        raise ValueError(f"bad status {_short(value)}")
    word = value.lower()
    if word.startswith("completed"):
        digits = word.partition("(")[2].rstrip(")")
        if exit_code is None and re.fullmatch(r"-?[0-9]{1,9}", digits):
            exit_code = int(digits)
        return Status.COMPLETED, exit_code
    return (Status.KILLED if word.startswith("killed") else Status.RUNNING), exit_code


def _number(value: Mapping[str, Any], key: str, least: int, beyond: int) -> int | None:
    """Return a whole number `least` <= n < `beyond`, None when there is none. Raises ValueError."""
    item = value.get(key)
    if item is None:
        return None
    if not isinstance(item, int) or isinstance(item, bool) or not least <= item < beyond:
        raise ValueError(f"bad {key} {_short(item)}")
    return item


def _moment(value: Mapping[str, Any], key: str) -> int:
    text = value.get(key)
    return parse_timestamp(text) if text else 0


def _read_gaps(value: Any) -> list[tuple[int, int]]:
    """Return where bytes of the log are missing, in order. Raises ValueError."""
    gaps: list[tuple[int, int]] = []
    if not isinstance(value or [], list):
        raise ValueError(f"bad gaps {_short(value)}")
    for entry in value or []:
        if not isinstance(entry, list) or [type(item) for item in entry] != [int, int]:
            raise ValueError(f"bad gap {_short(entry)}")
        start, end = entry
        if not (gaps[-1][1] if gaps else 0) <= start <= end < MAX_OFFSET:
            raise ValueError(f"bad gap {_short(entry)}")
        gaps.append((start, end))
    return gaps


def _table(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object, {} where there is none: what is known of an agent can be found out anew."""
    item = value.get(key)
    return item if isinstance(item, dict) else {}


def _short(value: Any) -> str:
    return repr(value)[:80]


def _string(value: Mapping[str, Any], key: str) -> str:
    item = value.get(key) or ""
    if not isinstance(item, str):
        raise ValueError(f"bad {key} {_short(item)}")
    return item


def _strings(value: Mapping[str, Any], key: str) -> list[str]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"bad {key} {_short(items)}")
    return items
