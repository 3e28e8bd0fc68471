"""What is written down of a session: sessions.json (spec/files.md 4) and the keeper's copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from codewire.wire.timestamps import format_nanos, parse_timestamp


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
    # Keys of a newer or foreign program: kept as they are.
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prompt = self.prompt or " ".join(self.argv)

    def status_text(self) -> str:
        """Return the status as clients know it: running, completed (N), killed."""
        if self.status is Status.COMPLETED:
            return f"completed ({-1 if self.exit_code is None else self.exit_code})"
        return str(self.status.value)

    def mark(self) -> str:
        """Return what its processes carry in their environment: no other session has the same."""
        return f"{self.id}-{self.created_ns}"

    def to_json(self) -> dict[str, Any]:
        """Return the element of sessions.json; empty and unknown values are left out."""
        optional: dict[str, Any] = {
            "name": self.name,
            "pid": self.pid,
            "tags": self.tags,
            "completed_at": format_nanos(self.completed_ns) if self.completed_ns else "",
            "result": self.result,
            "end_reason": self.end_reason,
            "kill_requested": self.kill_requested,
            "output_lines": self.lines,
            "lines_counted_to": self.counted,
            "gaps": self.gaps,
            "launch_key": self.launch_key,
        }
        value: dict[str, Any] = {
            **self.extra,
            "id": self.id,
            "prompt": self.prompt,
            "command": self.argv,
            "working_dir": self.working_dir,
            "created_at": format_nanos(self.created_ns),
            "status": self.status_text(),
        }
        value.update({key: item for key, item in optional.items() if item})
        if self.exit_code is not None:
            value["exit_code"] = self.exit_code
        if self.signal is not None:
            value["signal"] = self.signal
        return value


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
    ]
)


def record_from_json(value: Any) -> Record:
    """Read one element of sessions.json, ours or upstream's. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("not an object")
    status, exit_code = _read_status(value.get("status"), _whole(value, "exit_code"))
    session_id = _whole(value, "id")
    if session_id is None or not 0 < session_id < 1 << 32:
        raise ValueError(f"bad id {value.get('id')!r}")
    completed = value.get("completed_at")
    return Record(
        id=session_id,
        argv=_strings(value, "command"),
        prompt=_string(value, "prompt"),
        working_dir=_string(value, "working_dir"),
        created_ns=parse_timestamp(value["created_at"]) if value.get("created_at") else 0,
        name=_string(value, "name"),
        tags=_strings(value, "tags"),
        pid=_whole(value, "pid") or 0,
        status=status,
        kill_requested=bool(value.get("kill_requested")),
        exit_code=exit_code,
        signal=_whole(value, "signal"),
        end_reason=_string(value, "end_reason"),
        completed_ns=parse_timestamp(completed) if completed else 0,
        result=_string(value, "result"),
        lines=_whole(value, "output_lines") or 0,
        counted=_whole(value, "lines_counted_to") or 0,
        gaps=[(int(start), int(end)) for start, end in value.get("gaps") or []],
        launch_key=_string(value, "launch_key"),
        extra={key: item for key, item in value.items() if key not in KNOWN_KEYS},
    )


def _read_status(value: Any, exit_code: int | None) -> tuple[Status, int | None]:
    """Understand `completed (2)` and the Rust era's {"Completed": 2} (spec/wire.md 18)."""
    if isinstance(value, dict):
        value = " ".join(f"{key} ({code})" for key, code in value.items())
    if not isinstance(value, str):
        raise ValueError(f"bad status {value!r}")
    word = value.lower()
    if word.startswith("completed"):
        digits = word.partition("(")[2].rstrip(")")
        if exit_code is None and digits.lstrip("-").isdigit():
            exit_code = int(digits)
        return Status.COMPLETED, exit_code
    return (Status.KILLED if word.startswith("killed") else Status.RUNNING), exit_code


def _whole(value: dict[str, Any], key: str) -> int | None:
    item = value.get(key)
    if item is not None and (not isinstance(item, int) or isinstance(item, bool)):
        raise ValueError(f"bad {key} {item!r}")
    return item


def _string(value: dict[str, Any], key: str) -> str:
    item = value.get(key) or ""
    if not isinstance(item, str):
        raise ValueError(f"bad {key} {item!r}")
    return item


def _strings(value: dict[str, Any], key: str) -> list[str]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"bad {key} {items!r}")
    return items
