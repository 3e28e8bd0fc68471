"""What /proc says about the measured servers, by pid."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user plus system time of live processes, dead ones counting 0 (10 ms resolution)."""
    ticks = 0
    for pid in pids:
        fields = _stat_fields(pid)
        # proc(5): utime and stime are fields 14 and 15; fields[0] here is field 3, the state.
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kilobytes(pids: Iterable[int], key: str = "Rss") -> int:
    """Return the sum of `Rss` or `Pss` over the processes, in kB."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith(f"{key}:"))
    return total


def is_alive(pid: int) -> bool:
    """Say whether the process runs; zombies do not."""
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X")


def of_home(home: str) -> list[int]:
    """Return the live processes started with this HOME."""
    wanted = f"HOME={home}".encode()
    return [pid for pid in _all_pids() if wanted in _environment(pid) and is_alive(pid)]


def descendants(pid: int) -> list[int]:
    """Return the process's children, their children, and so on."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            continue
        found += children
        queue += children
    return found


def end(pids: Iterable[int], timeout: float = 10.0) -> None:
    """SIGTERM the processes, SIGKILL by pid those still alive after `timeout` seconds."""
    pids = list(pids)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if wait_until(lambda: not any(map(is_alive, pids)), timeout):
            return


def wait_until(predicate: Callable[[], bool], timeout: float) -> bool:
    """Say whether the predicate came true within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/pid/stat from the state on, [] when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return []
    return stat[stat.rindex(b")") + 2 :].split()
