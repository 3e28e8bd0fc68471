"""Sessions that only their own directory tells of: the node's files are damaged, or another's.

A directory has a copy of its session's record (store.py writes it); one of an earlier program, or
of a session that was killed with its whole node, has events and output to go by. One where nothing
ever happened belonged to a launch that was cut short, and is removed.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any

from codewire.disk.filing import read_file, read_json
from codewire.disk.journal import read_line
from codewire.session.records.files import (
    EVENTS,
    LAUNCH,
    MESSAGES,
    OUTPUT,
    RECORD,
    remove_files,
)
from codewire.session.records.record import (
    MAX_ID,
    Record,
    Status,
    is_end_of,
    record_from_json,
)
from codewire.wire.events import CREATED, STATUS
from codewire.wire.timestamps import parse_timestamp

log = logging.getLogger(__name__)

# A record has a result of at most 64 KiB and an argv of at most 2 MiB.
MAX_RECORD_BYTES = 16 << 20
# Of the events of a session that nothing else tells of.
MAX_EVENT_BYTES = 8 << 20


def session_directories(path: str) -> list[int]:
    """Return the ids whose directories exist, sorted. Raises nothing."""
    try:
        names = os.listdir(path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.error("reading %s failed: %s", path, error.strerror)
        return []
    numbers = [int(name) for name in names if re.fullmatch(r"[1-9][0-9]{0,9}", name, re.ASCII)]
    return sorted(number for number in numbers if number <= MAX_ID)


def take_up(directory: str, number: int, known: Record | None) -> Record | None:
    """Return a record that only the directory has, None where `known` says as much."""
    if known is not None and known.status is not Status.RUNNING:
        return None
    own = _read_own(os.path.join(directory, RECORD), number)
    if known is not None:
        return own if own is not None and is_end_of(known, own) else None
    if own is not None:
        return own
    if _is_empty(directory):
        remove_files(directory)
        return None
    return _piece_together(directory, number)


def _read_own(path: str, number: int) -> Record | None:
    try:
        record = record_from_json(read_json(read_file(path, MAX_RECORD_BYTES)))
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    return record if record.id == number else None


def _is_empty(directory: str) -> bool:
    """Say whether no session has left anything there: it never began."""
    try:
        with os.scandir(directory) as entries:
            return all(
                entry.name in (OUTPUT, EVENTS, MESSAGES, LAUNCH)
                and entry.is_file(follow_symlinks=False)
                # How it was to be started is written before it is.
                and (entry.name == LAUNCH or entry.stat(follow_symlinks=False).st_size == 0)
                for entry in entries
            )
    except OSError:
        return False


def _piece_together(directory: str, number: int) -> Record | None:
    """Return what output and events tell of a session that left no record, of whatever program."""
    times = [t for name in (OUTPUT, EVENTS) if (t := _mtime(os.path.join(directory, name)))]
    if not times:
        return None
    record = Record(number, [], "", min(times))
    record.status, record.end_reason, record.completed_ns = Status.COMPLETED, "lost", max(times)
    try:
        data = read_file(os.path.join(directory, EVENTS), MAX_EVENT_BYTES)
    except OSError:
        data = b""
    for line in data.split(b"\n"):
        event = read_line(line)
        data_of = event.get("data") if event is not None else None
        if event is not None and isinstance(data_of, dict):
            try:
                _learn(record, event.get("type"), event.get("timestamp"), data_of)
            except (ValueError, TypeError, KeyError, OverflowError):
                continue
    return record


def _learn(record: Record, kind: Any, timestamp: Any, data: dict[str, Any]) -> None:
    """Add what one event says (spec/wire.md 13.1). Raises ValueError or KeyError."""
    if kind == CREATED:
        read = record_from_json({**data, "id": record.id, "status": "running"})
        record.created_ns = parse_timestamp(timestamp)
        record.argv, record.prompt = read.argv, read.prompt
        record.working_dir, record.tags = read.working_dir, read.tags
    elif kind == STATUS:
        ended = {"id": record.id, "status": "completed", "exit_code": data["exit_code"]}
        record.exit_code = record_from_json(ended).exit_code
        record.completed_ns, record.end_reason = parse_timestamp(timestamp), "exited"


def _mtime(path: str) -> int:
    """Return when a file was last written, 0 when it is none."""
    try:
        return os.stat(path).st_mtime_ns if os.path.isfile(path) else 0
    except OSError:
        return 0
