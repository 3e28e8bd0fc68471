"""strace(1) attached to a running process: to fail its system calls, or to see which it makes.

The tracer comes and goes while the process lives. Its children are followed up to their execve, so
that what a session or another process of the node does is left alone (PER_PROCESS).
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults.calls import FAMILIES, family_of, is_in_data

ATTACH_SECONDS = 10.0
DETACH_SECONDS = 1.0
POLL_SECONDS = 0.005

# Let a child go when it becomes another program.
PER_PROCESS = ["-b", "execve"]

CALL = re.compile(r"^(\d+) +(\w+)\(")
INJECTED = "(INJECTED)"
# Stands for the data directory in a report.
DATA = "<data>"


class CannotTrace(Exception):
    """strace is missing, or may not attach here: nothing can be said about the node."""


class Strace:
    """One tracer of one process and its threads, with its report in `directory`."""

    def __init__(self, pid: int, directory: str, options: list[str]) -> None:
        """Attach; return once every thread is traced. Raises CannotTrace."""
        self.pid = pid
        name = f"strace.{pid}.{time.monotonic_ns()}"
        self._report = Path(directory, f"{name}.out")
        self._words = Path(directory, f"{name}.err")
        command = ["strace", "-f", "-o", str(self._report), *options]
        with open(self._words, "wb") as stderr:
            try:
                self._process = subprocess.Popen(
                    [*command, "-p", str(pid)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise CannotTrace(f"strace (apt-get install strace): {error}") from error
        self._await_attached()

    def _await_attached(self) -> None:
        deadline = time.monotonic() + ATTACH_SECONDS
        while " attached" not in (words := self._words.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.detach()
                raise CannotTrace(f"strace cannot attach to {self.pid}: {words.strip()}")
            time.sleep(POLL_SECONDS)

    def lines(self) -> list[str]:
        """Return the report so far, a line a call."""
        return self._report.read_text(errors="replace").splitlines()

    def injected(self) -> list[str]:
        """Return the calls that were failed so far."""
        return [line for line in self.lines() if INJECTED in line]

    def detach(self) -> None:
        """Let the process go. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                # It may wait for ever for a thread that has just ended, and what it holds with it.
                self._process.wait(DETACH_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)


def injection(family: str, error: str, when: str, paths: Iterable[str] = ()) -> list[str]:
    """Return strace's options that fail the calls of a family.

    `when` is strace's: `3` the third call of each thread, `3+` the third and all later ones.
    `paths`: only calls that have to do with one of these files.
    """
    calls = ",".join(f"?{name}" for name in FAMILIES[family].calls)
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}"]
    options += [word for path in paths for word in ("-P", path)]
    # One that is let go at its execve is let go before that could fail.
    return options if family == "execve" else [*PER_PROCESS, *options]


def observation() -> list[str]:
    """Return strace's options that only look, with the paths of descriptors."""
    return [*PER_PROCESS, "-y", "-e", "trace=all"]


def places(lines: list[str], family: str, error: str) -> list[int]:
    """Return which calls of a family, from 1, can fail so, in the thread with the most of them.

    The report is one of `observation`, with DATA for the data directory.
    """
    real = re.compile(FAMILIES[family].real)
    counts: dict[str, int] = {}
    found: dict[str, list[int]] = {}
    for line in lines:
        call = CALL.match(line)
        if call is None or family_of(call[2]) != family:
            continue
        if is_in_data(family, error) and DATA not in line:
            continue
        counts[call[1]] = counts.get(call[1], 0) + 1
        if real.search(line):
            found.setdefault(call[1], []).append(counts[call[1]])
    return max(found.values(), key=len, default=[])


def count_calls(lines: list[str]) -> dict[str, int]:
    """Return how many calls of each family are in a report."""
    calls = [family_of(call[2]) for line in lines if (call := CALL.match(line))]
    return {family: calls.count(family) for family in sorted(set(calls)) if family}


def other_calls(lines: list[str]) -> list[str]:
    """Return the calls in a report that belong to no family."""
    names = {found[2] for line in lines if (found := CALL.match(line))}
    return sorted(name for name in names if not family_of(name))


def is_stopped(pid: int) -> bool:
    """Say whether a process is stopped (state T of proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"T"]
    except OSError:
        return False


def gate_arrivals(directory: str, role: str) -> list[int]:
    """Return the processes that wait at the gate for the first time seen; each once."""
    found = []
    for name in os.listdir(directory):
        prefix, _, pid = name.partition(".")
        if prefix == role and pid.isdigit() and is_stopped(int(pid)):
            os.unlink(os.path.join(directory, name))
            found.append(int(pid))
    return found
