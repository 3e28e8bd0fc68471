"""A process beside ours, for what does not fit into it: a library, or a parent of others.

Started again whenever it ends, with a pause that grows; told to end by its stdin, which also ends
with us. What it prints comes here line by line. Its death touches nobody.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from codewire.io.wait import wait_readable

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
# One that lived so long was well: the next pause is the first again.
WELL_SECONDS = 60.0
STOP_SECONDS = 4.0
MAX_LINE = 64 << 10


class Island:
    """Runs `argv` for as long as we live. `on_line` gets each line of its stdout.

    `on_end` is called whenever it has ended. With `on_link`, each life has a socketpair: the
    number of its end is appended to `argv`, and `on_link`, which must not block, gets ours.
    """

    def __init__(
        self,
        what: str,
        argv: list[str],
        on_line: Callable[[bytes], None],
        on_end: Callable[[], None] = lambda: None,
        on_link: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._what = what
        self._argv = argv
        self._on_line = on_line
        self._on_end = on_end
        self._on_link = on_link
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._last_ending = ""

    def run(self) -> None:
        """Start it and read what it says, again and again. Blocks; raises nothing."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._live()
            except OSError as error:
                log.warning("%s cannot run: %s", self._what, error.strerror)
            if self._stopping.is_set():
                return
            if time.monotonic() - started > WELL_SECONDS:
                pause, self._last_ending = FIRST_PAUSE, ""
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _live(self) -> None:
        self._process = process = self._start()
        assert process.stdout is not None
        try:
            # What was told to stop while this one was being started has not told it.
            if not self._stopping.is_set():
                self._read(process.stdout.fileno())
        finally:
            self._close(process)
            self._on_end()
        ending = _ending(process)
        if not self._stopping.is_set() and ending != self._last_ending:
            self._last_ending = ending
            log.warning("%s ended (%s); it is started again", self._what, ending)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._on_link is None:
            return _spawn(self._argv)
        near, far = socket.socketpair()
        try:
            process = _spawn([*self._argv, str(far.fileno())], far.fileno())
        except BaseException:
            near.close()
            raise
        finally:
            far.close()
        self._on_link(near)
        return process

    def _read(self, fd: int) -> None:
        """Hand over lines until it closes its stdout."""
        os.set_blocking(fd, False)
        rest = b""
        while True:
            wait_readable(fd)
            try:
                data = os.read(fd, MAX_LINE)
            except BlockingIOError:
                continue
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-MAX_LINE:]
            for line in lines:
                self._on_line(line)

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        """See it out: it ends when its stdin does, and is killed if it does not."""
        deadline = time.monotonic() + STOP_SECONDS
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
            while process.poll() is None:
                time.sleep(0.02)

    def stop(self) -> None:
        """Have it end in order, or by force. Blocks for STOP_SECONDS at most."""
        self._stopping.set()
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            os.write(process.stdin.fileno(), b"stop\n")
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + STOP_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()


def _spawn(argv: list[str], *passed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=passed,
    )


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is None:
        return "it still runs"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
