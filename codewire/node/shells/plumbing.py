"""The descriptors between an SSH session and what runs for it: a terminal, or three pipes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from codewire.io.pipes import enlarge_pipe, open_pipe
from codewire.io.ptys import open_pty, set_window_size

if TYPE_CHECKING:
    from codewire.node.shells.order import Order


class Plumbing:
    """Our ends, each closed by whoever uses it, and `theirs` until they are passed on.

    With a terminal `stdin`, `stdout` and `terminal` are duplicates of its master, and there is no
    `stderr`; what is not there is -1. `terminal_name` is the path of its other side, or "".
    """

    def __init__(self, order: Order) -> None:
        """Raises OSError; nothing is left open then."""
        self.theirs: list[int] = []
        self.terminal_name = ""
        self.stdin = self.stdout = self.stderr = self.terminal = -1
        self.ended = self.tell_ended = -1
        try:
            if order.has_terminal:
                self._open_terminal(order.rows, order.cols)
            else:
                self._open_pipes()
        except BaseException:
            self.close()
            raise

    def _open_terminal(self, rows: int, cols: int) -> None:
        self.stdout, slave, self.terminal_name = open_pty(rows, cols)
        self.theirs = [slave]
        self.stdin = os.dup(self.stdout)
        self.terminal = os.dup(self.stdout)
        # Rung when what leads has ended: others may keep the terminal open for good.
        self.ended, self.tell_ended = open_pipe()

    def _open_pipes(self) -> None:
        child_in, self.stdin = open_pipe()
        self.theirs.append(child_in)
        self.stdout, child_out = open_pipe()
        self.theirs.append(child_out)
        self.stderr, child_err = open_pipe()
        self.theirs.append(child_err)
        enlarge_pipe(self.stdin)
        enlarge_pipe(self.stdout)
        for fd in self.theirs:
            os.set_blocking(fd, True)

    def pass_on(self) -> None:
        """Close what the process has by now. Idempotent."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def close(self) -> None:
        """Close all of it; nobody uses any."""
        self.pass_on()
        for name in ("stdin", "stdout", "stderr", "terminal", "ended", "tell_ended"):
            self.close_end(name)

    def close_end(self, name: str) -> None:
        """Close one of our ends. Idempotent."""
        fd: int = getattr(self, name)
        setattr(self, name, -1)
        if fd >= 0:
            os.close(fd)

    def resize(self, rows: int, cols: int) -> None:
        """Set the terminal's size, if there is one."""
        if self.terminal >= 0:
            # It may have ended.
            with contextlib.suppress(OSError):
                set_window_size(self.terminal, rows, cols)

    def foreground(self) -> int:
        """Return the terminal's foreground process group, 0 where there is none."""
        if self.terminal >= 0:
            with contextlib.suppress(OSError):
                return max(0, os.tcgetpgrp(self.terminal))
        return 0
