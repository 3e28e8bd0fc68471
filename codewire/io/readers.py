"""Who reads a terminal now: its foreground processes, and whether one waits for input (proc(5)).

In doubt nobody is known to wait: callers then let time pass instead.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from codewire.io.procfs import PROC, command_words, is_mounted, read_process

# A foreground group has a handful of processes; what a script starts in a loop is not followed.
MAX_PROCESSES = 64
# What the kernel calls a process that sleeps in a read of a terminal.
READING = ("n_tty_read", "wait_woken")
# Or in a wait for one of several files, which may be the terminal.
POLLING: tuple[str, ...] = (
    "ep_poll",
    "do_epoll_wait",
    "do_poll",
    "do_sys_poll",
    "do_select",
    "core_sys_select",
)
POLLING += ("poll_schedule_timeout", "schedule_hrtimeout_range", "schedule_hrtimeout_range_clock")


class Foreground(NamedTuple):
    """The foreground processes of a terminal. `waits` is None where the kernel does not tell.

    `polls` says that one waits for several files.
    """

    names: tuple[str, ...]
    waits: bool | None
    polls: bool = False


def foreground(fd: int, leader: int, proc: str = PROC) -> Foreground:
    """Return who is in the foreground of a terminal, by names of programs and their scripts.

    `fd` is the PTY master, `leader` the session's first process, looked at when there is no group.
    """
    try:
        group = os.tcgetpgrp(fd)
    except OSError:
        group = leader
    names: list[str] = []
    places: list[str] = []
    for pid in _family(group, proc):
        names += _names(pid, proc)
        places.append(_read(f"{proc}/{pid}/wchan"))
    known = [place for place in places if place not in ("", "0")]
    waits = any(place in READING for place in known) if known else None
    polls = any(place in POLLING for place in known)
    return Foreground(tuple(dict.fromkeys(names)), waits, polls)


def _family(group: int, proc: str) -> list[int]:
    """Return a group's leader and those of its descendants that are in the same group."""
    found: list[int] = []
    new = [group]
    while new and len(found) < MAX_PROCESSES:
        pid = new.pop(0)
        if pid == group or _group(pid, proc) == group:
            found.append(pid)
            text = _read(f"{proc}/{pid}/task/{pid}/children")
            new += [int(word) for word in text.split() if word.isdigit()]
    return found


def _group(pid: int, proc: str) -> int:
    fields = _read(f"{proc}/{pid}/stat").rpartition(")")[2].split()
    return int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else -1


def _names(pid: int, proc: str) -> list[str]:
    """Return what a process is called: its command, and the first words of its command line."""
    if is_mounted(proc):
        words, comm = _read(f"{proc}/{pid}/cmdline").split("\0")[:2], _read(f"{proc}/{pid}/comm")
    else:
        process = read_process(pid)
        words = [os.fsdecode(word) for word in command_words(pid)[:2]]
        comm = process.command if process is not None else ""
    names = [comm.strip(), *(word.rpartition("/")[2] for word in words)]
    return [name.removeprefix("-") for name in names if name]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(8192).decode("utf-8", "replace")
    except OSError:
        return ""
