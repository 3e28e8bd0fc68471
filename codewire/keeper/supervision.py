"""Starting workers: when the next one is due, and why the last one did not come up.

A start that fails is tried again after a pause, for ever; it never costs the keeper.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time

from codewire.io.procfs import Process, read_process, stat_process
from codewire.io.spawning import spawn_leader
from codewire.keeper.place.scout import Scout
from codewire.keeper.processes.children import Exit

# A worker that lived this long is no crash loop: start the next one at once.
STEADY_SECONDS = 5.0
# Quick deaths tolerated before the pause doubles from 50 ms up to a maximum: longer for workers
# that never got as far as serving clients, short for those that did. A machine that is well again
# must have its node within 5 s.
FREE_RESTARTS = 5
MAX_PAUSE_UNREADY = 2.0
MAX_PAUSE_READY = 0.5
# When clients are told that no worker serves them: after so many starts that came to nothing, or
# so long without one that is ready. One that has said hello is busy reading what there is.
HOPELESS_STARTS = 2
HOPELESS_SECONDS = 3.0
GREETED_SECONDS = 4.0
# From its start to its hello a worker only imports; one that has not said it by then never will.
HELLO_SECONDS = 60.0


class Supervisor:
    """The keeper's one worker, or the moment when there will be one."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        # The interpreter's file system may hang, too; whether there is one, execve(2) says.
        self._scout = Scout(lambda: os.path.exists(command[0]))
        self.pid = 0
        self.restarts = 0
        # Monotonic; None while a worker runs.
        self.start_at: float | None = 0.0
        self.is_ready = False
        # A worker told us how long sessions may take to end.
        self.grace_seconds: float | None = None
        # What a worker said of why it cannot start; how the last one ended.
        self.told = ""
        self.how = ""
        self._has_told = False
        # Its pid may be anybody's from then on.
        self._is_reaped = False
        # One that we did not start: nobody tells us of its end.
        self._adopted: Process | None = None
        self.failed_starts = 0
        self._started = 0.0
        self._quick_deaths = 0
        self._unready_since = time.monotonic()

    def start(self) -> socket.socket | None:
        """Start a worker and return our end of its link; None when that failed: later again."""
        self.start_at = None
        self._has_told = self._is_reaped = False
        self._adopted = None
        self._started = time.monotonic()
        if self._scout.find() is None and self._scout.is_out():
            self._failed(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return None
        try:
            ours, theirs = socket.socketpair()
        except (OSError, MemoryError) as error:
            self._failed(error)
            return None
        with theirs:
            command = [*self._command, str(theirs.fileno())]
            try:
                os.set_inheritable(theirs.fileno(), True)
                self.pid = spawn_leader(command, os.environ)
            except (OSError, MemoryError) as error:
                ours.close()
                self._failed(error)
                return None
        return ours

    def _failed(self, error: BaseException) -> None:
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.told = f"starting {self._command[0]}: {cause.lower()}"
        self.pid = 0
        self._note_failure(time.monotonic())

    def adopt(self, pid: int, restarts: int) -> None:
        """Take over a worker that serves already."""
        self.pid, self.restarts = pid, restarts
        self._adopted = read_process(pid)
        self._started = time.monotonic()
        self.ready()
        self.start_at = None

    def ready(self) -> None:
        """Note that the worker serves clients."""
        self.is_ready = True
        self.failed_starts = 0
        self.told = self.how = ""

    def tell(self, reason: str) -> None:
        """Take what a worker that ends says of why."""
        self.told = reason
        self._has_told = True

    def take_grace(self, seconds: object) -> None:
        """Take how long sessions may have to end (0 to 3600 s), from a worker that says it."""
        if isinstance(seconds, (int, float)) and 0 <= seconds <= 3600:
            self.grace_seconds = float(seconds)

    def lost(self) -> float:
        """Kill what is left of the worker; return the pause until the next one is started."""
        self.kill()
        now = time.monotonic()
        self.restarts += 1
        if not self._has_told:
            self.told = self._absence()
        if self.is_ready:
            self._unready_since = now
        was_ready, self.is_ready = self.is_ready, False
        return self._note_failure(now, was_ready)

    def _absence(self) -> str:
        """Return what to do where the program itself is gone, "" where it is not."""
        program = self._command[1:2]
        if not program or os.path.exists(program[0]):
            return ""
        return (
            f"{program[0]} is gone (uninstalled or moved): the sessions live on; install cw there "
            f"again, or end them with 'kill {os.getpid()}'"
        )

    def _note_failure(self, now: float, was_ready: bool = False) -> float:
        self.failed_starts += not was_ready
        steady = now - self._started >= STEADY_SECONDS
        self._quick_deaths = 0 if steady else self._quick_deaths + 1
        pause = 0.0
        if self._quick_deaths > FREE_RESTARTS:
            longest = MAX_PAUSE_READY if was_ready else MAX_PAUSE_UNREADY
            pause = min(longest, 0.05 * 2 ** min(16, self._quick_deaths - FREE_RESTARTS))
        elif not self.pid:
            # Not even started: at once would be too soon.
            pause = 0.05 * 2**self._quick_deaths
        self.start_at = now + pause
        return pause

    def hurry(self) -> None:
        """Start the next worker at once: somebody asked for it, or has mended what was wrong."""
        self._quick_deaths = self.failed_starts = 0
        self._unready_since = time.monotonic()
        if self.start_at is not None:
            self.start_at = time.monotonic()

    def is_alive(self) -> bool:
        """Say whether there is a worker that has not been reaped."""
        return bool(self.pid) and not self._is_reaped

    def kill(self) -> None:
        """End the worker, if there is one. Never raises."""
        if self.is_alive() and self._is_same():
            try:
                os.kill(self.pid, signal.SIGKILL)
            except OSError:
                # Gone already.
                pass

    def _is_same(self) -> bool:
        """Say whether an adopted worker's pid is still its own; where nobody can tell, it is."""
        if self._adopted is None:
            return True
        try:
            now = stat_process(self.pid)
        except OSError:
            return True
        return now is not None and now.started == self._adopted.started

    def note_end(self, pid: int, how: Exit) -> None:
        """Take how a child ended, in case it is the worker."""
        if pid == self.pid:
            ended = f"with status {how['code']}" if "code" in how else f"by signal {how['signal']}"
            self.how = f"it ended {ended}"
            self._is_reaped = True

    def is_late(self, is_greeted: bool, now: float) -> bool:
        """Say whether a worker that runs has not said hello for so long that it never will."""
        return self.start_at is None and not is_greeted and now >= self._started + HELLO_SECONDS

    def hopeless_at(self, is_greeted: bool) -> float | None:
        """Return when (monotonic) clients are told that there is no worker; None: one serves."""
        if self.is_ready:
            return None
        if self.failed_starts >= HOPELESS_STARTS and not is_greeted:
            return 0.0
        return self._unready_since + (GREETED_SECONDS if is_greeted else HOPELESS_SECONDS)

    def is_hopeless(self, is_greeted: bool, now: float) -> bool:
        """Say whether that moment has come."""
        moment = self.hopeless_at(is_greeted)
        return moment is not None and now >= moment
