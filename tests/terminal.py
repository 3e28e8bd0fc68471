"""A terminal for a test: a PTY whose other end the test reads as a screen would."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time

from codewire.term.restore import TEARDOWN
from tests.processes import wait_until

# What the test itself writes behind the process's last byte.
END_MARK = b"\0[end of screen]\0"


class Terminal:
    """Start a process with `streams`, assign it to `process`. Every wait is bounded.

    It is not the process's controlling terminal: the end of a session leader would hang up the
    test's end too. Window changes are therefore signalled by the test.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, rows: int = 24, cols: int = 80) -> None:
        self.master, self.slave = os.openpty()
        self.resize(rows, cols)
        self.modes = termios.tcgetattr(self.slave)
        self.streams = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave}
        self.seen = b""
        self._expected_up_to = 0

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def expect_raw(self) -> None:
        """Wait until the process has taken the terminal; until then the kernel echoes."""
        lflag = 3
        wait_until(lambda: not termios.tcgetattr(self.slave)[lflag] & termios.ECHO, 30)

    def type(self, data: bytes) -> None:
        """Press keys; at most a few thousand at once (n_tty takes 4095)."""
        assert select.select([], [self.master], [], 30)[1], "the client reads no keys"
        os.write(self.master, data)

    def expect(self, wanted: bytes, timeout: float = 30.0) -> None:
        """Read the screen until `wanted` comes, after everything expected before."""
        deadline = time.monotonic() + timeout
        while (at := self.seen.find(wanted, self._expected_up_to)) < 0:
            left = deadline - time.monotonic()
            rest = self.seen[self._expected_up_to :]
            assert left > 0, f"no {wanted!r} in {rest[-600:]!r}"
            self._read(min(left, 0.2))
        self._expected_up_to = at + len(wanted)

    def wait(self, timeout: float = 30.0) -> int:
        """Return the process's exit status, reading the screen meanwhile and to its end."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still runs: {self.seen[-600:]!r}"
            self._read(0.05)
        self._read_to_the_end()
        return self.process.returncode

    def check_restored(self) -> None:
        """Assert that the terminal is as it was before."""
        assert termios.tcgetattr(self.slave) == self.modes
        assert TEARDOWN in self.seen
        assert fcntl.fcntl(self.slave, fcntl.F_GETFL) & os.O_NONBLOCK == 0

    def hang_up(self) -> None:
        """Close the test's end, as a closed window does."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        """End the process if need be and close both ends."""
        if hasattr(self, "process"):
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(10)
        os.close(self.slave)
        if self.master >= 0:
            self.hang_up()

    def _read_to_the_end(self) -> None:
        """Read all the process wrote: the kernel hands it on in order, but a moment later."""
        while self._read(0):
            pass
        os.write(self.slave, END_MARK)
        deadline = time.monotonic() + 10
        while not self.seen.endswith(END_MARK):
            assert time.monotonic() < deadline, f"the end never comes: {self.seen[-600:]!r}"
            self._read(0.2)
        self.seen = self.seen.removesuffix(END_MARK)

    def _read(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        self.seen += os.read(self.master, 65536)
        return True
