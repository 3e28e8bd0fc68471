"""The warden: parent of everything that SSH sessions run here, a process beside the worker.

It has one thread, so it may fork, and it knows of processes only. The worker opens a line for each
shell and sends what to start with its descriptors; whatever becomes of a line, of the worker or of
the whole connection, what was started on it is hung up, and killed soon after.

    worker → warden   Start {path, argv, env, cwd}, Signal {number, group}, Leave {}
    warden → worker   Started {}, Failed {errno}, Exit {code} or {signal, core}
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.io.lines import Line, take_line
from codewire.io.pipes import open_pipe
from codewire.io.processes import Process, ProcessTable, signal_process
from codewire.io.spawning import spawn_wired
from codewire.wire.control import decode_control

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# From SIGHUP to SIGKILL, and until what survives that (it hangs in the kernel) is given up.
HANGUP_SECONDS, GIVE_UP_SECONDS = 0.5, 10.0
TICK_SECONDS = 0.05
# What most systems allow a login; the worker has more.
OPEN_FILES = 1024
STDIN = 0


class Shell:
    """One line and what was started on it."""

    def __init__(self, line: Line, fds: list[int]) -> None:
        self.line = line
        self.fds = fds
        self.pid = 0
        self.is_reaped = False
        # Its processes as they were seen last, once they are being ended.
        self.members: dict[int, Process] = {}
        self.ends_at = 0.0
        self.was_hung_up = False

    def close_fds(self) -> None:
        """Close our copies of what was started with. Idempotent."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Warden:
    """The loop. `run` returns when the link has ended and nothing is left."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._selector = selectors.DefaultSelector()
        self._shells: dict[Line, Shell] = {}
        self._ending: list[Shell] = []
        self._is_over = False

    def run(self) -> None:
        """Serve until the worker says or ends."""
        bell = _child_bell()
        self._watch(bell, lambda: _empty(bell))
        self._watch(self._link.fileno(), self._accept)
        self._watch(STDIN, self._stop)
        while not self._is_over or self._ending:
            for key, _ in self._selector.select(TICK_SECONDS if self._ending else None):
                key.data()
            self._reap()
            self._end_some(time.monotonic())

    def _watch(self, fd: int, act: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, act)

    def _stop(self) -> None:
        """End everything; nothing more is read."""
        self._is_over = True
        self._selector.close()
        self._selector = selectors.DefaultSelector()
        for shell in list(self._shells.values()):
            self._end(shell)

    # Orders

    def _accept(self) -> None:
        taken = take_line(self._link)
        if taken is None:
            self._stop()
            return
        shell = Shell(Line(taken[0]), taken[1])
        self._shells[shell.line] = shell
        self._watch(shell.line.fileno(), lambda: self._read(shell))

    def _read(self, shell: Shell) -> None:
        try:
            is_open = shell.line.fill()
            while (frame := shell.line.next_frame()) is not None:
                self._obey(shell, decode_control(frame[1]))
        except (CodewireError, OSError, KeyError, TypeError, ValueError) as error:
            log.warning("an order was not understood: %s", error)
            is_open = False
        if not is_open and shell.line in self._shells:
            self._end(shell)

    def _obey(self, shell: Shell, order: dict[str, Any]) -> None:
        what = order.get("type")
        if what == "Start":
            self._start(shell, order)
        elif what == "Signal" and shell.pid and not shell.is_reaped:
            _signal_group(int(order.get("group") or shell.pid), int(order["number"]))
        elif what == "Leave" and shell.line in self._shells:
            self._forget(shell)

    def _start(self, shell: Shell, order: dict[str, Any]) -> None:
        try:
            shell.pid = spawn_wired(
                order["path"], order["argv"], order["env"], order["cwd"], shell.fds, OPEN_FILES
            )
            answer: dict[str, Any] = {"type": "Started"}
        except OSError as error:
            answer = {"type": "Failed", "errno": error.errno}
        finally:
            shell.close_fds()
        shell.line.send_control(answer)

    def _forget(self, shell: Shell) -> None:
        del self._shells[shell.line]
        if not self._is_over:
            self._selector.unregister(shell.line.fileno())
        shell.close_fds()
        shell.line.close()

    # Ends

    def _reap(self) -> None:
        """Take the exits of our children, and tell who started them."""
        shells = {
            shell.pid: shell
            for shell in (*self._shells.values(), *self._ending)
            if shell.pid and not shell.is_reaped
        }
        for pid, shell in shells.items():
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, 0
            if ended:
                shell.is_reaped = True
                self._tell(shell, status)

    def _tell(self, shell: Shell, status: int) -> None:
        if shell.line not in self._shells:
            return
        code = os.waitstatus_to_exitcode(status)
        how: dict[str, Any] = {"code": code}
        if code < 0:
            how = {"signal": -code, "core": os.WCOREDUMP(status)}
        try:
            shell.line.send_control({"type": "Exit", **how})
        except CodewireError:
            # Its end is read in a moment.
            pass

    def _end(self, shell: Shell) -> None:
        """Begin to end what was started on a line, which is over."""
        self._forget(shell)
        if shell.pid:
            shell.ends_at = time.monotonic() + HANGUP_SECONDS
            self._ending.append(shell)

    def _end_some(self, now: float) -> None:
        """Hang up, then kill, whatever is left of those that are to end."""
        if not self._ending:
            return
        self._ending = [s for s in self._ending if now < s.ends_at + GIVE_UP_SECONDS]
        try:
            table = ProcessTable()
        except (OSError, MemoryError):
            for shell in self._ending:
                if not shell.is_reaped:
                    _signal_group(shell.pid, signal.SIGKILL)
            return
        for shell in list(self._ending):
            shell.members = table.tree(shell.pid, shell.members, shell.is_reaped)
            if not shell.members:
                self._ending.remove(shell)
            elif now >= shell.ends_at:
                _signal_all(shell, signal.SIGKILL)
            elif not shell.was_hung_up:
                shell.was_hung_up = True
                _signal_all(shell, signal.SIGHUP)
                _signal_all(shell, signal.SIGCONT)


def _signal_all(shell: Shell, number: int) -> None:
    for process in shell.members.values():
        signal_process(process, number)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        # Gone, or not ours to signal (setuid).
        pass


def _child_bell() -> int:
    """Return a descriptor that is readable when a child has ended."""
    reader, writer = open_pipe()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # It does nothing but exist: without a handler nothing is written.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def _empty(fd: int) -> None:
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        pass


def main(argv: list[str]) -> int:
    """Run the warden; `argv` is the descriptor of its end of the link."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    link = socket.socket(fileno=int(argv[0]))
    os.set_inheritable(link.fileno(), False)
    Warden(link).run()
    return 0
