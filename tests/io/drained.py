"""A PTY whose output is drained, and a drain on descriptors of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from codewire.io.pipes import open_memory, open_pipe
from codewire.io.ptys import open_pty
from codewire.io.wait import wait_writable
from codewire.output.drain import Drain
from codewire.output.opening import open_log


class Terminal:
    """A PTY whose output is drained; what a session is to the drain."""

    def __init__(self, number: int, path: str) -> None:
        self.id = number
        self.master, self.slave, _ = open_pty(24, 80)
        os.set_blocking(self.slave, False)
        self.log = open_log(path)
        self.drained = threading.Event()
        self.drained_at = -1
        self.hung_up = threading.Event()
        self.writable = threading.Event()
        self._closing = threading.Lock()

    def print(self, data: bytes) -> None:
        """Write to the terminal as a program does."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.slave, view[:4096]) :]
            except BlockingIOError:
                assert wait_writable(self.slave, 30), "the drain stopped reading"

    def on_writable(self) -> None:
        self.writable.set()

    def on_drained(self) -> None:
        self.drained_at = self.log.end
        self.drained.set()

    def on_hangup(self) -> None:
        self._close_master()
        self.hung_up.set()

    def _close_master(self) -> None:
        """Close it once, by the drain or at the end of the test: its number is soon another's."""
        with self._closing:
            master, self.master = self.master, -1
        if master >= 0:
            os.close(master)

    def output(self) -> bytes:
        return self.log.read(0, 1 << 30).data

    def close_slave(self) -> None:
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def close(self) -> None:
        self.close_slave()
        self._close_master()
        self.log.release()


Make = Callable[[], Terminal]


def new_drain(kind: type[Drain] = Drain) -> Drain:
    read_end, write_end = open_pipe()
    note = open_memory("test-drain", 16)
    return opened(kind(read_end, write_end, note))


def opened(drain: Drain) -> Drain:
    drain.open()
    return drain
