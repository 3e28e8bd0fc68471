"""The warden: parent of everything that SSH sessions run here, a process beside the worker.

It has one thread, so it may fork, and it knows of processes only. The worker opens a line for each
shell and sends what to start with its descriptors; whatever becomes of a line, of the worker or of
the whole connection, what was started on it is hung up, and killed soon after.

    worker → warden   Start {path, argv, env, cwd}, Signal {number, group}, Leave {}
    warden → worker   Started {pid}, Failed {errno}, Exit {code} or {signal, core}
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
from codewire.io.processes import ProcessTable
from codewire.io.spawning import spawn_wired
from codewire.node.shells.trees import TICK_SECONDS, Tree
from codewire.wire.control import decode_control

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

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
        self._ending: list[Tree] = []
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
            answer: dict[str, Any] = {"type": "Started", "pid": shell.pid}
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
        for shell in list(self._shells.values()):
            if shell.pid and not shell.is_reaped:
                shell.is_reaped, status = _reap(shell.pid)
                if shell.is_reaped:
                    self._tell(shell, status)
        for tree in self._ending:
            tree.is_reaped = tree.is_reaped or _reap(tree.pid)[0]

    def _tell(self, shell: Shell, status: int) -> None:
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
            tree = Tree(shell.pid, time.monotonic())
            tree.is_reaped = shell.is_reaped
            self._ending.append(tree)

    def _end_some(self, now: float) -> None:
        if not self._ending:
            return
        try:
            table = ProcessTable()
        except (OSError, MemoryError):
            for tree in self._ending:
                if not tree.is_reaped:
                    _signal_group(tree.pid, signal.SIGKILL)
            # The next look is another chance.
            return
        self._ending = [tree for tree in self._ending if not tree.end(table, now)]


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        # Gone, or not ours to signal (setuid).
        pass


def _reap(pid: int) -> tuple[bool, int]:
    """Return whether a child has ended, and its wait(2) status."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True, 0
    return bool(ended), status


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
