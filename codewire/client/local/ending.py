"""Ending a node: the signals it takes, how long that may last, and whether everything is gone.

`cw stop` says done only when the keeper, its workers and every process of its sessions have been
seen to be gone; who they are is asked and read from /proc before the first signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from codewire.client.local.leftover import end_all, left_over, named
from codewire.client.local.look import ask
from codewire.client.local.processes import (
    KEEPER,
    WORKER,
    all_processes,
    catches,
    describe,
    holders,
    is_locked,
    lives_on,
    read_process,
    role_of,
    tree,
)
from codewire.errors import CodewireError
from codewire.io.fds import lock_file
from codewire.io.libproc import UNKNOWN_STATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.client.local.look import Found
    from codewire.client.local.processes import Process
    from codewire.paths import DataDir

POLL_SECONDS = 0.02
# A session's ladder waits the grace time twice at most (after SIGHUP and SIGTERM, before SIGKILL);
# what else an end takes is less than this.
MARGIN_SECONDS = 30.0
# What an end without any grace takes, on a busy machine.
NOW_SECONDS = 15.0
PROGRESS_SECONDS = 5.0
# From a keeper's end to that of what it sent SIGKILL; and a worker's time to start a new keeper.
SETTLE_SECONDS = 5.0
# An older keeper ends at once at the second SIGTERM; two that come together are one.
REPEAT_SECONDS = 0.5


class Ending:
    """One end of one node. `say` is told in single lines what goes on."""

    def __init__(self, paths: DataDir, found: Found, say: Callable[[str], None]) -> None:
        self._paths = paths
        self._say = say
        self._found = found
        self._keeper = 0
        self._process: Process | None = None
        self._leaders: list[Process] = []
        self._witnesses: list[Process] = []
        self._note: int | None = None

    def run(self, grace_seconds: float, now: bool) -> None:
        """Return once the node and its sessions are gone. Blocks; raises CodewireError."""
        self._keeper = self._found.keeper or self._await_keeper(now)
        if not self._keeper:
            return
        self._remember()
        try:
            self._signal(now)
            seconds = NOW_SECONDS if now else 2 * grace_seconds + MARGIN_SECONDS
            self._wait(seconds, grace_seconds, now)
        finally:
            self._drop_note()

    # Who there is

    def _await_keeper(self, now: bool) -> int:
        """Return the keeper that a worker starts for the one it lost. Raises CodewireError.

        0 where it starts none and everything has been ended without one, because it is to end now.
        """
        for worker in self._found.workers:
            if worker.state == "T":
                with contextlib.suppress(OSError):
                    os.kill(worker.pid, signal.SIGCONT)
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            keepers = holders(self._paths.lock)[KEEPER]
            if keepers:
                return keepers[0].pid
            time.sleep(POLL_SECONDS)
        where = ", ".join(describe(worker.pid) for worker in self._found.workers)
        if where and now:
            self._end_without_keeper()
            return 0
        if where:
            raise CodewireError(
                f"the node's keeper is gone and its worker ({where}) starts no other: its sessions "
                "live on; see node.log in its data directory; 'cw stop --now' ends them"
            )
        raise CodewireError(
            f"a node answers at {self._paths.real_socket()}, but its process cannot be seen from "
            "here (another container?): stop it where it runs"
        )

    def _end_without_keeper(self) -> None:
        """Kill the workers and the sessions' processes. Raises CodewireError: some live on."""
        # What the files call running, and what the worker does where it answers.
        living = {process.pid: process for process in left_over(self._paths)}
        for process in tree(session_pids(self._paths) or [], os.getpid()):
            living.setdefault(process.pid, process)
        self._say("the node's keeper is gone: killing its worker and its sessions")
        end_all(list(living.values()), self._found.workers)

    def _remember(self) -> None:
        """Note every process that must be gone when the node is."""
        self._process = read_process(self._keeper)
        everyone = all_processes()
        children = [process for process in everyone if process.parent == self._keeper]
        pids = session_pids(self._paths) if not self._found.trouble else None
        if pids is None:
            # Nobody to ask: a session leads the Unix session of its terminal.
            pids = [p.pid for p in children if p.session == p.pid and p.tty]
        workers = [process for process in children if role_of(process.pid) == WORKER]
        known = {p.pid for p in (*workers, *self._found.workers)}
        self._witnesses = [*workers, *(w for w in self._found.workers if w not in workers)]
        self._witnesses += [p for p in tree(pids, os.getpid()) if p.pid not in known]
        self._leaders = [process for process in self._witnesses if process.pid in set(pids)]
        if self._process is not None:
            self._witnesses.insert(0, self._process)

    # Signals

    def _signal(self, now: bool) -> None:
        keeper = self._process
        if keeper is None:
            return
        is_first = self._take_note(keeper)
        if keeper.state == "T":
            self._kill(signal.SIGCONT)
        joins = catches(self._keeper, signal.SIGQUIT)
        if now and joins:
            self._kill(signal.SIGQUIT)
            self._say(f"sent SIGQUIT to node (pid {self._keeper})")
            return
        # A second SIGTERM would cut the first stop short in an older keeper.
        if is_first or joins or now:
            self._kill(signal.SIGTERM)
        if is_first or now:
            self._say(f"sent SIGTERM to node (pid {self._keeper})")
        else:
            self._say(f"node (pid {self._keeper}) is stopping already: waiting for it, too")

    def _kill(self, number: int) -> None:
        try:
            os.kill(self._keeper, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise CodewireError(f"node (pid {self._keeper}) belongs to another user") from None

    def _take_note(self, keeper: Process) -> bool:
        """Note in the data directory that this keeper was told; return whether it is the first."""
        mark = b"%d %d" % (keeper.pid, keeper.started)
        try:
            self._note = lock_file(self._paths.stop_note)
            if self._note is None:
                return False
            if os.pread(self._note, 64, 0) == mark:
                return False
            os.ftruncate(self._note, 0)
            os.pwrite(self._note, mark, 0)
        except OSError:
            # No room for a note, or no directory: it is only a courtesy.
            pass
        return True

    def _drop_note(self) -> None:
        if self._note is None:
            return
        if not self._lives():
            with contextlib.suppress(OSError):
                os.unlink(self._paths.stop_note)
        os.close(self._note)
        self._note = None

    # Waiting

    def _wait(self, seconds: float, grace_seconds: float, now: bool) -> None:
        started = time.monotonic()
        deadline = started + seconds
        said, repeated = started, started
        while self._lives() or self._find_successor():
            moment = time.monotonic()
            if moment > deadline:
                raise CodewireError(self._still_stopping(seconds, now))
            if now and moment - repeated >= REPEAT_SECONDS:
                repeated = moment
                self._kill(self._hard_signal())
            if moment - said >= PROGRESS_SECONDS:
                said = moment
                self._say(self._progress(grace_seconds, now))
            time.sleep(POLL_SECONDS)
        if survivors := self._survivors():
            raise CodewireError(
                f"the node is gone, but not all of its processes: {named(survivors)}"
            )

    def _lives(self) -> bool:
        return self._process is not None and self._is_there(self._process)

    def _is_there(self, process: Process) -> bool:
        """As `lives_on`; where states are not shown, a keeper that nobody has reaped yet is gone
        when the lock is.
        """
        is_known = process.state != UNKNOWN_STATE or process is not self._process
        return lives_on(process) and (is_known or is_locked(self._paths.lock))

    def _hard_signal(self) -> int:
        return signal.SIGQUIT if catches(self._keeper, signal.SIGQUIT) else signal.SIGTERM

    def _find_successor(self) -> bool:
        """Turn to the keeper that a worker started when the old one died; False if there is none.

        Its workers outlive a keeper only if it was killed: an orderly end takes them along, and a
        node that somebody started since is not meant. What was just killed has a moment to go.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._survivors() and time.monotonic() < deadline:
            known = {process.pid for process in self._witnesses}
            new = [p for p in holders(self._paths.lock)[KEEPER] if p.pid not in known]
            if new and any(role_of(p.pid) == WORKER for p in self._survivors()):
                self._keeper, self._process = new[0].pid, new[0]
                self._witnesses.insert(0, new[0])
                self._say(f"the node's keeper was replaced: sent SIGTERM to pid {self._keeper}")
                self._kill(signal.SIGTERM)
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _survivors(self) -> list[Process]:
        return [process for process in self._witnesses if self._is_there(process)]

    def _progress(self, grace_seconds: float, now: bool) -> str:
        count = sum(1 for process in self._leaders if lives_on(process))
        what = f"{count} session{'' if count == 1 else 's'}" if count else "the node"
        text = f"waiting for {what} to end"
        if now:
            return text
        return f"{text} (grace {grace_seconds:g} s); 'cw stop --now' ends them at once"

    def _still_stopping(self, seconds: float, now: bool) -> str:
        where = describe(self._keeper)
        if now:
            return f"node ({where}) does not end, {seconds:.0f} s after it was told to"
        return (
            f"node ({where}) is still stopping after {seconds:.0f} s; 'cw stop --now' ends it and "
            "its sessions at once"
        )


def session_pids(paths: DataDir) -> list[int] | None:
    """Return the leaders of the sessions that run, None when nobody answers."""
    answer = ask(paths, {"type": "ListSessions"}, 3.0)
    return running_pids(answer) if answer.get("type") == "SessionList" else None


def running_pids(answer: dict[str, object]) -> list[int]:
    """Return the pids of the running sessions in a SessionList."""
    sessions = answer.get("sessions")
    if not isinstance(sessions, list):
        return []
    entries = [entry for entry in sessions if isinstance(entry, dict)]
    pids = [entry.get("pid") for entry in entries if entry.get("status") == "running"]
    return [pid for pid in pids if isinstance(pid, int) and not isinstance(pid, bool) and pid > 1]


def end_other_node(found: Found, say: Callable[[str], None]) -> None:
    """End a node of another program (upstream's stops at SIGTERM). Raises CodewireError.

    `found.facts` is its SessionList: what it listed must be gone, too.
    """
    process = read_process(found.peer)
    if process is None:
        raise CodewireError(
            "another codewire program answers at the socket, but its process cannot be seen from "
            "here (another container?): stop it where it runs"
        )
    witnesses = [process, *tree(running_pids(found.facts), os.getpid())]
    try:
        os.kill(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise CodewireError(f"node ({describe(process.pid)}) belongs to another user") from None
    say(f"sent SIGTERM to node ({describe(process.pid)}, another codewire program)")
    deadline = time.monotonic() + MARGIN_SECONDS
    while living := [process for process in witnesses if lives_on(process)]:
        if time.monotonic() > deadline:
            raise CodewireError(
                f"still there {MARGIN_SECONDS:.0f} s after SIGTERM: {named(living)}"
            )
        time.sleep(POLL_SECONDS)
