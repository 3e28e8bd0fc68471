"""Signals as something to poll: what the keeper listens to, and what must not end it."""

from __future__ import annotations

import os
import signal

from codewire.io.pipes import open_pipe

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# SIGHUP also replaces the worker.
LOOK_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
# Those whose default is the end of the process, or its stopping (writing to a terminal from the
# background), and that mean nothing to a keeper.
IGNORED_SIGNALS = (
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGXCPU,
    signal.SIGXFSZ,
    signal.SIGPIPE,
    signal.SIGTTOU,
    signal.SIGTTIN,
)


class Signals:
    """This process's signals, from now on. `fd` is readable when one has come."""

    def __init__(self) -> None:
        self.fd, write_end = open_pipe()
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *STOP_SIGNALS, *LOOK_SIGNALS):
            signal.signal(number, self._on_signal)
        for number in IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @staticmethod
    def _on_signal(number: int, frame: object) -> None:
        """Do nothing here: the wakeup descriptor carries the number to the loop."""

    def take(self) -> bytes:
        """Return the numbers of those that came. Raises OSError; they are there the next time."""
        return os.read(self.fd, 4096)
