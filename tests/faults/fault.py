"""One fault while it lasts: a tracer on each process concerned; new ones are held at the gate."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from tests.faults.strace import POLL_SECONDS, CannotTrace, Strace, gate_arrivals
from tests.processes import end_processes, is_alive

# How long a call that is to fail once is waited for, and how long the other kind of fault lasts.
ONCE_SECONDS = 3.0
LASTING_SECONDS = 2.0
# A new process of the node comes to its gate at once, on a machine that has nothing else to do.
ARRIVAL_SECONDS = 8.0

GATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gate")

# What a node makes at its first start, where nothing is there yet to be looked at.
DATA_FILES = (
    "codewire.lock",
    "codewire.pid",
    "codewire.sock",
    "token",
    "sessions",
    "sessions.json",
    "node.log",
)
COMING_SESSIONS = 8


class NobodyThere(Exception):
    """The process that the fault was to hit is gone, or was never started."""


class Fault:
    """Use as a context: on leaving it, nothing is traced and nobody waits at the gate any more.

    Leave it only when the node has answered again: the gate is kept until then.
    """

    def __init__(
        self, directory: str, options: Callable[[int], list[str]], *, is_single: bool
    ) -> None:
        """`options` returns strace's for a process.

        `is_single` ends the fault with the first call that failed.
        """
        self._directory = directory
        self._options = options
        self._is_single = is_single
        self._tracers: list[Strace] = []
        self._problem: CannotTrace | None = None
        self._over = threading.Event()
        self._attached = threading.Event()
        # Held while a tracer is being attached: the end finds all of them.
        self._lock = threading.Lock()
        self._guard: threading.Thread | None = None
        self._role = ""

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        """Close. A process that was armed before the end may come to the gate after it.

        On a slow machine long after: the guard stays as long as the directory is there.
        """
        self.end()
        if self._guard is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._directory, self._role))

    def attach(self, pid: int) -> None:
        """Let the fault hit a running process. Raises CannotTrace, NobodyThere."""
        with self._lock:
            if not self._over.is_set():
                self._tracers.append(self._trace(pid))
        self._attached.set()

    def _trace(self, pid: int) -> Strace:
        try:
            return Strace(pid, self._directory, self._options(pid))
        except CannotTrace as problem:
            if is_alive(pid):
                raise
            raise NobodyThere(f"process {pid} was gone before the fault began") from problem

    def await_new(self, role: str) -> None:
        """Let it hit every process of this role that starts from now on."""
        self._role = role
        open(os.path.join(self._directory, role), "w").close()
        self._guard = threading.Thread(target=self._keep_gate, daemon=True)
        self._guard.start()

    def _keep_gate(self) -> None:
        while os.path.isdir(self._directory):
            with contextlib.suppress(FileNotFoundError):
                self._let_in()
            time.sleep(POLL_SECONDS)

    def _let_in(self) -> None:
        for pid in gate_arrivals(self._directory, self._role):
            try:
                # One that comes after the single failure starts on a machine that is well again.
                if not (self._is_single and self.injected()):
                    self.attach(pid)
            except CannotTrace as problem:
                self._problem = problem
            except NobodyThere:
                continue
            end_processes([pid], signal.SIGCONT)

    def last(self) -> None:
        """Return when it has lasted as long as it shall. Raises CannotTrace, NobodyThere."""
        if not self._attached.wait(ARRIVAL_SECONDS) and self._problem is None:
            raise NobodyThere(f"no new {self._role} came to the gate (gate/sitecustomize.py)")
        deadline = time.monotonic() + (ONCE_SECONDS if self._is_single else LASTING_SECONDS)
        while time.monotonic() < deadline and not (self._is_single and self.injected()):
            time.sleep(POLL_SECONDS)
        if self._problem is not None:
            raise self._problem

    def end(self) -> None:
        """The machine is well again. Idempotent."""
        if self._role and not self._over.is_set():
            os.unlink(os.path.join(self._directory, self._role))
        self._over.set()
        with self._lock:
            for tracer in self._tracers:
                tracer.detach()

    def lines(self) -> list[str]:
        """Return the reports of all tracers."""
        return [line for tracer in list(self._tracers) for line in tracer.lines()]

    def injected(self) -> list[str]:
        """Return the calls that were failed."""
        return [line for tracer in list(self._tracers) for line in tracer.injected()]


def data_paths(root: str, pid: int) -> list[str]:
    """Return the files that are, or may soon be, in a data directory, and the directories.

    A session that is yet to come gets the files that the first one has.
    """
    names = {*DATA_FILES, f"codewire.pid.{pid}"}
    for directory, _, files in os.walk(root):
        inner = os.path.relpath(directory, root)
        names |= {os.path.normpath(os.path.join(inner, name)) for name in ("", *files)}
    of_first = {os.path.basename(name) for name in names if name.startswith("sessions/1/")}
    for number in range(1, COMING_SESSIONS + 1):
        names |= {f"sessions/{number}", *(f"sessions/{number}/{name}" for name in of_first)}
    names |= {f"{name}.new" for name in names}
    return [os.path.normpath(os.path.join(root, name)) for name in sorted(names)]
