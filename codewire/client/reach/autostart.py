"""Starts a node for a client that finds none; many clients at once start exactly one.

A lock file serialises the starters, and the socket, not a pid file, says whether a node lives
(spec/files.md 2). A node counts as started when it answers, not when it lets clients in. It is
detached: own OS session, no inherited descriptors, cwd /, and the cgroup that scope.py names.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from codewire.client.local import nodelog
from codewire.client.local.look import NO_WORKER, ask
from codewire.client.local.processes import KEEPER, catches, holders, is_alive
from codewire.client.local.spawning import open_log, spawn_detached
from codewire.errors import NodeUnreachable
from codewire.io.fds import lock_file
from codewire.io.unix import is_answering
from codewire.paths import check_data_dir, program, self_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.paths import DataDir

# To the node's socket, and to its word that no worker can start.
START_SECONDS = 5.0
# To its first answer: a worker takes up a large node's sessions before it serves.
SERVE_SECONDS = 20.0
# For one answer; in between its log may say that there will be none.
ANSWER_SECONDS = 1.0
# What a keeper says of a worker that only takes its time.
NOT_YET = "not ready yet"
# A keeper that lost so many workers before the first served has one that cannot start.
FEW_WORKERS = 2
POLL_SECONDS = 0.02
# Between two questions to a node that has no worker yet.
ASK_SECONDS = 0.05
# A node that has just taken the data directory has its socket within milliseconds.
NO_SOCKET_SECONDS = 3.0
# For a node that cannot serve to end when it is told to.
SIGNAL_SECONDS = 3.0
# On a full disk its words have no room in the log.
NO_WORDS = "it could not say why; run 'cw node' to see"
ALREADY = "node already running"


def ensure_node(data_dir: DataDir, notify: Callable[[str], None]) -> None:
    """Return once a node answers; start one if none does. Blocks up to SERVE_SECONDS.

    `notify` gets one line when a node was started. Raises NodeUnreachable with the node's own last
    words when it does not come up or cannot serve.
    """
    try:
        if is_answering(data_dir.real_socket()):
            return
        check_data_dir()
        os.makedirs(data_dir.root, mode=0o700, exist_ok=True)
        lock = _lock_or_node(data_dir)
        if lock is None:
            return
        try:
            # Someone else may have started it while this client waited for the lock.
            if not is_answering(data_dir.real_socket()):
                _start(data_dir, notify)
        finally:
            os.close(lock)
    except OSError as error:
        raise _cannot_start(error) from error


def _cannot_start(error: OSError) -> NodeUnreachable:
    where = error.filename
    cause = error.strerror or str(error)
    return NodeUnreachable(f"node cannot be started: {f'{where}: ' if where else ''}{cause}")


def _lock_or_node(data_dir: DataDir) -> int | None:
    """Return the held start lock; None when a node answers before the lock is free."""
    deadline = time.monotonic() + 2 * START_SECONDS
    while True:
        lock = lock_file(data_dir.start_lock)
        if lock is not None:
            return lock
        if is_answering(data_dir.real_socket()):
            return None
        if time.monotonic() > deadline:
            raise NodeUnreachable("node failed to start (another client has been starting it)")
        time.sleep(POLL_SECONDS)


def _start(data_dir: DataDir, notify: Callable[[str], None]) -> None:
    from codewire.client.reach import scope

    command = [*self_command(), "node"]
    _check_program()
    prefix = scope.own_scope(os.environ)
    if prefix:
        try:
            return _Start(data_dir, notify).run([*prefix, *command])
        except NodeUnreachable:
            # Better a node in the login's scope than none; if the fault is its own, it says so now.
            pass
    return _Start(data_dir, notify).run(command)


def _check_program() -> None:
    """Raise NodeUnreachable where this program has been removed since it began to run."""
    entry = program()[1]
    if not os.path.exists(entry):
        raise NodeUnreachable(
            f"node cannot be started: {entry} is not there any more (moved or upgraded while this "
            "was running); start this anew from where cw is now"
        )


class _Start:
    """One attempt to start a node, up to its first answer."""

    def __init__(self, data_dir: DataDir, notify: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._notify = notify
        self._log_start = nodelog.log_size(data_dir.node_log)
        self._pid = 0
        self._began = time.monotonic()

    def run(self, command: list[str]) -> None:
        """Start a node and return once it serves. Raises NodeUnreachable, OSError."""
        log = open_log(self._data_dir.node_log)
        try:
            self._pid = spawn_detached(command, log)
        finally:
            os.close(log)
        self._await_socket()
        self._await_answer()
        if is_alive(self._pid):
            self._notify(f"[cw] node started (pid {self._pid})")

    def _await_socket(self) -> None:
        told, taken_at = False, 0.0
        while not is_answering(self._data_dir.real_socket()):
            words = ""
            if not is_alive(self._pid):
                words = nodelog.last_words(self._data_dir.node_log, self._log_start)
                # A node started by hand a moment ago holds the lock already: its socket comes
                # next. One that lost its socket makes it anew when told to.
                if ALREADY not in words:
                    raise self._failed(nodelog.cause(self._data_dir.node_log, self._log_start))
                told = told or _ask_for_socket(self._data_dir)
                # On a busy machine it takes ours a while to say so.
                taken_at = taken_at or time.monotonic()
            now = time.monotonic()
            is_late = now - self._began > START_SECONDS
            if now - taken_at > NO_SOCKET_SECONDS if words else is_late:
                words = words or nodelog.cause(self._data_dir.node_log, self._log_start)
                raise _no_socket(self._data_dir, words)
            time.sleep(POLL_SECONDS)

    def _await_answer(self) -> None:
        """Return once the node answers, be it with an error: then a worker serves."""
        while True:
            answer = ask(self._data_dir, {"type": "NodeStatus"}, ANSWER_SECONDS)
            no_worker = answer.get("code") == NO_WORKER
            if answer and not no_worker:
                return
            words = nodelog.last_error(self._data_dir.node_log, self._log_start)
            seconds = time.monotonic() - self._began
            told = str(answer.get("message") or "") if no_worker else ""
            # One that only takes its time may have logged an error, too.
            has_failed = bool(told) and NOT_YET not in told
            if words and (has_failed or self._has_failing_workers()):
                raise self._given_up(words)
            if has_failed and seconds > START_SECONDS:
                raise self._given_up(told)
            if not is_alive(self._pid) and not is_answering(self._data_dir.real_socket()):
                raise self._failed(words)
            if seconds > SERVE_SECONDS:
                raise NodeUnreachable(
                    f"node (pid {self._pid}) does not serve {seconds:.0f}s after its start"
                    f"{': ' if words else ''}{words}"
                )
            time.sleep(ASK_SECONDS)

    def _has_failing_workers(self) -> bool:
        ended = nodelog.count(self._data_dir.node_log, self._log_start, "worker ended")
        return ended >= FEW_WORKERS

    def _given_up(self, words: str) -> NodeUnreachable:
        """End the node that cannot serve: the next try may have what this one lacks."""
        deadline = time.monotonic() + SIGNAL_SECONDS
        try:
            os.kill(self._pid, signal.SIGTERM)
        except OSError:
            pass
        while is_alive(self._pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return self._failed(words)

    def _failed(self, words: str) -> NodeUnreachable:
        return NodeUnreachable(f"node failed to start: {words or NO_WORDS}")


def _ask_for_socket(data_dir: DataDir) -> bool:
    """Have the node that holds the data directory make its socket anew; True once it was told.

    False also for one that is too old to know how, or that is only about to have its first.
    """
    for keeper in holders(data_dir.lock)[KEEPER]:
        if catches(keeper.pid, signal.SIGUSR1):
            try:
                os.kill(keeper.pid, signal.SIGUSR1)
            except OSError:
                continue
            return True
    return False


def _no_socket(data_dir: DataDir, words: str) -> NodeUnreachable:
    """Word why no socket came: nothing said so far, something failed, or another node has it."""
    keepers = holders(data_dir.lock)[KEEPER] if ALREADY in words else []
    if keepers:
        return NodeUnreachable(
            f"a node (pid {keepers[0].pid}) has this data directory, but its socket is gone; "
            "'cw stop' ends it and its sessions"
        )
    text = "node failed to start (socket not available after 5s)"
    return NodeUnreachable(f"{text}: {words}" if words else text)
