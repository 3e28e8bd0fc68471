"""A worker whose keeper died starts another and hands it everything. It tries until it succeeds.

Without a keeper nobody can start sessions or learn how they end, but all of them live on: the
worker has every descriptor, too.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable

from codewire.io.procfs import read_process
from codewire.io.spawning import spawn_leader
from codewire.keeper import protocol
from codewire.keeper.workerside.channel import Channel
from codewire.keeper.workerside.orders import Hello, Kept
from codewire.paths import program
from codewire.wire.exits import exit_json

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.05
# The machine is well again: within so long there is a keeper.
LAST_PAUSE_SECONDS = 1.0
# A keeper that lived this long is no crash loop.
STEADY_SECONDS = 5.0
# A new keeper only starts Python and reads.
HAND_OVER_SECONDS = 30.0
# The end of the stream comes before the end of the process, by very little.
DEATH_SECONDS = 2.0


class Succession:
    """Keepers of this worker's, one after the other."""

    def __init__(self, hello: Hello, on_lost: Callable[[], list[Kept]]) -> None:
        self._hello = hello
        self._on_lost = on_lost
        self._pid = 0
        self._begun = 0.0
        self._pause = 0.0

    def next_keeper(self, extra: protocol.Message) -> Channel:
        """Return the channel to a new keeper that has been told everything. Blocks as long as that
        takes; `extra` are fields of the adopt message."""
        self._bury()
        while True:
            if time.monotonic() - self._begun > STEADY_SECONDS:
                self._pause = 0.0
            if self._pause:
                time.sleep(self._pause)
            self._pause = min(LAST_PAUSE_SECONDS, self._pause * 2 or FIRST_PAUSE_SECONDS)
            self._begun = time.monotonic()
            try:
                return self._start(extra)
            except Exception as error:  # noqa: BLE001 - ending now would end every session
                cause = getattr(error, "strerror", None) or error
                log.error("a new keeper cannot be started: %s; trying on", cause)
                self._bury()

    def _start(self, extra: protocol.Message) -> Channel:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        try:
            with theirs:
                os.set_inheritable(theirs.fileno(), True)
                command = [*program(), "keeper", "--adopt", str(theirs.fileno())]
                self._pid = spawn_leader(command, os.environ)
            self._hand_over(channel, extra)
        except BaseException:
            # A keeper that has not heard everything ends by itself when it sees this.
            channel.close()
            raise
        self._hello.keeper_pid = self._pid
        return channel

    def _hand_over(self, channel: Channel, extra: protocol.Message) -> None:
        hello = self._hello
        kept = self._on_lost()
        others = {**hello.listeners, **hello.carried}
        message = {
            "op": "adopt",
            "version": protocol.VERSION,
            "started_ns": hello.started_ns,
            "restarts": hello.restarts,
            "socket": hello.socket_path,
            "detached": hello.detached,
            "file_limit": hello.file_limit,
            "worker_pid": os.getpid(),
            "kept": list(others),
            "count": len(kept),
            **extra,
        }
        channel.send(message, [*hello.fds(), *others.values()], HAND_OVER_SECONDS)
        for start in range(0, len(kept), protocol.BATCH):
            batch = kept[start : start + protocol.BATCH]
            records = [
                {
                    "id": k.id,
                    "pid": k.pid,
                    "meta": k.meta,
                    "exit": None if k.exit is None else exit_json(k.exit),
                    "master": k.master >= 0,
                }
                for k in batch
            ]
            masters = [k.master for k in batch if k.master >= 0]
            channel.send({"op": "sessions", "sessions": records}, masters, HAND_OVER_SECONDS)

    def _bury(self) -> None:
        """Collect the last keeper if we started it; one that does not end by itself is killed."""
        deadline = time.monotonic() + DEATH_SECONDS
        while self._pid and not self._is_collected():
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.01)
        self._pid = 0

    def _is_collected(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
        except ChildProcessError:
            return True
        except OSError:
            return False


def describe(pid: int) -> str:
    """Return a process in words, with what proc(5) says of its state."""
    process = read_process(pid)
    if process is None:
        return f"pid {pid}, ended"
    words = {"T": "stopped", "t": "being traced", "D": "waiting for a disk"}
    return f"pid {pid}, {words.get(process.state, 'alive')}"
