"""Sessions that live without a node: what its files call running, and /proc still shows.

Their keeper and worker were killed, so nobody lists or ends them; programs that survive the hang-up
of their terminal go on. They are known by pid and by the mark in their environment together.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from codewire.client.local.processes import lives_on, tree
from codewire.errors import CodewireError
from codewire.files import read_regular
from codewire.io.processes import read_mark, signal_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codewire.client.local.processes import Process
    from codewire.paths import DataDir

# What is killed needs a moment to go; so does what hangs up with its terminal.
KILL_SECONDS = 5.0
GO_SECONDS = 1.0
PAUSE_SECONDS = 0.02


def left_over(paths: DataDir) -> list[Process]:
    """Return the processes of the data directory's sessions that live on, node or not.

    Those that are about to go are waited for, GO_SECONDS at most.
    """
    records = _running(paths)
    marks = {_mark(record) for record in records} - {""}
    pids = [pid for record in records if isinstance(pid := record.get("pid"), int) and pid > 1]
    found = [p for p in tree(pids, os.getpid()) if read_mark(p.pid) in marks]
    deadline = time.monotonic() + GO_SECONDS
    while (found := [p for p in found if lives_on(p)]) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    return found


def end_all(processes: Sequence[Process], workers: Sequence[Process] = ()) -> None:
    """Kill workers that have no keeper, and sessions' processes with what descends from them.

    Blocks until they are gone, KILL_SECONDS at most. Raises CodewireError: some live on.
    """
    seen = {process.pid: process for process in (*workers, *processes)}
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        # Anew each time: what was just forked is found, too.
        for process in tree([p.pid for p in processes], os.getpid()):
            seen.setdefault(process.pid, process)
        living = [process for process in seen.values() if lives_on(process)]
        if not living:
            return
        if time.monotonic() > deadline:
            raise CodewireError(f"not everything could be ended: {named(living)}")
        for process in living:
            signal_process(process, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)


def named(processes: Sequence[Process]) -> str:
    """Return processes in words, a few of many."""
    words = [
        f"pid {process.pid} ({process.command})" if process.command else f"pid {process.pid}"
        for process in processes[:10]
    ]
    if len(processes) > len(words):
        words.append(f"and {len(processes) - len(words)} more")
    return ", ".join(words)


def _running(paths: DataDir) -> list[dict[str, Any]]:
    """Return the records of sessions that are said to run, the newest of each."""
    records: dict[Any, dict[str, Any]] = {}
    for value in _values(paths):
        if isinstance(value, dict) and isinstance(value.get("id"), int):
            records[value["id"]] = value
    return [record for record in records.values() if record.get("status") == "running"]


def _values(paths: DataDir) -> Iterable[Any]:
    """Yield all records on disk, older ones first, as far as they can be read."""
    try:
        values = json.loads(read_regular(paths.sessions_json))
    except (OSError, ValueError, RecursionError):
        values = []
    yield from values if isinstance(values, list) else ()
    try:
        lines = read_regular(paths.sessions_journal).split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            change = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(change, dict):
            yield change.get("record")


def _mark(record: dict[str, Any]) -> str:
    """Return what a session's processes carry in their environment."""
    from codewire.wire.timestamps import parse_timestamp

    try:
        return f"{record['id']}-{parse_timestamp(record.get('created_at'))}"
    except ValueError:
        return ""
