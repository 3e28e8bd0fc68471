"""What /proc says about processes: who is alive, and who carries a given environment entry.

Everything here goes by pid. Linux only, as the suite's end-to-end part is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_until(predicate: Callable[[], Answer], timeout: float = 30.0, what: str = "") -> Answer:
    """Return the predicate's first truthy answer. Raises AssertionError after `timeout` seconds.

    The time-out is a guard for a machine with other work, no promise of the product's.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            claim = what or getattr(predicate, "__name__", "the condition")
            raise AssertionError(f"not within {timeout} s: {claim} (last answer: {answer!r})")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Say whether any thread of the process runs; a zombie nobody has reaped yet does not.

    A killed process may be half gone: its leader a zombie, another thread still taking a client.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return any(_state(f"/proc/{pid}/task/{thread}/stat") not in "ZX" for thread in threads)


def _state(path: str) -> str:
    """Return the state letter in a stat file of proc(5), X when there is none."""
    try:
        with open(path, "rb") as file:
            stat = file.read()
    except OSError:
        return "X"
    # The command name may hold blanks and brackets: the state comes after the last ')'.
    return stat[stat.rindex(b")") + 2 :][:1].decode()


def command_line(pid: int) -> str:
    """Return the process's argv joined with blanks, "" when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def pids_with_environment(entry: str) -> list[int]:
    """Return the live processes, other than this one, whose initial environment holds `entry`."""
    wanted = entry.encode()
    return [
        pid
        for pid in _all_pids()
        if pid != os.getpid() and wanted in _environment(pid) and is_alive(pid)
    ]


def end_processes(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Signal each process by pid; those already gone are fine."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def resident_kilobytes(pid: int) -> int:
    """Return VmRSS of a live process in kB. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def open_descriptors(pid: int) -> int:
    """Return how many descriptors a live process holds. Raises OSError when it is gone."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_connected(pid: int) -> bool:
    """Say whether a process has a connected Unix socket: proc(5), /proc/net/unix."""
    connected, state, inode = "03", 5, 6
    with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
        rows = [line.split() for line in file]
    inodes = {f"socket:[{row[inode]}]" for row in rows if row[state] == connected}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                return True
    return False


def thread_count(pid: int) -> int:
    """Return how many threads a live process has. Raises OSError when it is gone."""
    return len(os.listdir(f"/proc/{pid}/task"))


def cpu_seconds(pid: int) -> float:
    """Return user plus system time a live process has used. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
    fields = stat[stat.rindex(b")") + 2 :].split()
    # proc(5): utime and stime are fields 14 and 15; the state, field 3, is fields[0] here.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
