"""How sessions end: their process exits, or is killed; and how it may be stopped for a while.

Ending waits for the last byte, then fixes result, counters, record and events, and only then says
so (P4). Lifecycle owns this and hands on what the keeper says.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codewire.config import Settings
from codewire.io.backlog import Backlog
from codewire.io.processes import Device, Process, Trace
from codewire.io.ptys import slave_device
from codewire.keeper.workerside.custody import Custody
from codewire.output.drain import Drain
from codewire.session.ladder import Ladder
from codewire.session.life import Event, State
from codewire.session.observer import Observer
from codewire.session.records.record import Status, has_ended
from codewire.session.records.store import Store
from codewire.session.registry import Registry
from codewire.session.result import capture_result
from codewire.session.session import Session
from codewire.wire import events
from codewire.wire.exits import Exit, Exited, Signalled

log = logging.getLogger(__name__)

Publish = Callable[[Session, str, dict[str, Any]], None]

# How long to wait until a stopped process that was told to go on does.
CONTINUE_SECONDS = 1.0


class Ending:
    """Ends sessions, each once. Built before the keeper is known: see `use`."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        observer: Observer,
        backlog: Backlog,
        publish: Publish,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._observer = observer
        self._backlog = backlog
        self._publish = publish
        self._lock = threading.Lock()
        # What became of those that are launched but not yet told to everyone.
        self._early_exits: dict[int, Exit] = {}
        self._early_halts: dict[int, bool] = {}

    def use(self, custody: Custody, drain: Drain, store: Store) -> None:
        """Work with this keeper, this drain and this store."""
        self._custody = custody
        self._drain = drain
        self._store = store

    # What the keeper says

    def announced(self, session: Session) -> None:
        """The session is there for everyone: let happen what has happened to it meanwhile."""
        with self._lock:
            session.life.happens(Event.ANNOUNCED)
            if session.record.kill_requested:
                session.life.happens(Event.KILL_ASKED)
            early_exit = self._early_exits.pop(session.id, None)
            early_halt = self._early_halts.pop(session.id, None)
        if early_halt is not None:
            self._note_halted(session, early_halt)
        if early_exit is not None:
            self._begin_end(session, early_exit)

    def on_exit(self, session_id: int, how: Exit) -> None:
        """The keeper reaped the session's process."""
        with self._lock:
            session = self._registry.find(session_id)
            if session is None or session.life.state is State.LAUNCHING:
                # Reaped before the launch was announced: `announced` looks here.
                self._early_exits[session_id] = how
                return
        self._begin_end(session, how)

    def on_halted(self, session_id: int, halted: bool) -> None:
        """A signal stopped the session's process, or it goes on."""
        with self._lock:
            session = self._registry.find(session_id)
            if session is None or session.life.state is State.LAUNCHING:
                self._early_halts[session_id] = halted
                return
        self._note_halted(session, halted)

    def _note_halted(self, session: Session, halted: bool) -> None:
        session.tells_stops = True
        if not session.life.happens(Event.STOPPED if halted else Event.CONTINUED):
            return
        log.info("session %d %s", session.id, "stopped" if halted else "continued")
        self._publish(session, events.STOPPED if halted else events.CONTINUED, {})
        session.wake()

    def go_on(self, session: Session) -> bool:
        """Continue a stopped session (SIGCONT to its process group); return whether it was stopped.

        Blocks until it goes on, CONTINUE_SECONDS at most.
        """
        if not session.is_halted():
            return False
        waker = threading.Event()
        session.watch(waker)
        try:
            self._custody.signal(session.id, signal.SIGCONT)
            deadline = time.monotonic() + CONTINUE_SECONDS
            while session.is_halted() and (left := deadline - time.monotonic()) > 0:
                # Of a process that is not the keeper's child only /proc tells.
                waker.wait(left if session.tells_stops else 0.01)
                waker.clear()
        finally:
            session.unwatch(waker)
        return True

    # Ending

    def _begin_end(self, session: Session, how: Exit) -> None:
        if session.exit is None:
            session.exit = how
        if not session.life.happens(Event.EXITED):
            return
        if session.master >= 0:
            self._drain.exited(session)
        else:
            self._backlog.add(self.complete, session)

    def complete(self, session: Session) -> None:
        """The child is gone and its last byte is logged: settle everything, then tell."""
        self._observer.finish(session)
        record = session.record
        record.result = capture_result(session)
        self._settle(session)
        if session.input is not None:
            session.input.end()
        self._registry.release_name(session)
        # Unsaved from before it counts as ended: a keeper that starts now must be told of it.
        self._store.put(record)
        session.life.happens(Event.SETTLED)
        data: dict[str, Any] = {"from": "running", "to": "completed"}
        if record.exit_code is not None:
            data["exit_code"] = record.exit_code
        data["duration_ms"] = session.duration_ms()
        self._publish(session, events.STATUS, data)
        session.wake()
        self._custody.note(session.id, record.to_json())
        log.info("session %d %s", session.id, record.status_text())
        if session.master < 0 and session.life.happens(Event.HUNG_UP):
            session.close_log()
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Forget the finished sessions that are too many. One whose terminal is open stays."""
        for dropped in self._registry.drop_oldest_finished(self._settings.keep_finished):
            self._store.changed(dropped)

    def _settle(self, session: Session) -> None:
        record, how = session.record, session.exit
        record.duration_ms = session.duration_ms()
        record.completed_ns = time.time_ns()
        self._registry.count_end(session)
        if isinstance(how, Exited):
            record.exit_code, record.end_reason = how.code, "exited"
        elif isinstance(how, Signalled):
            record.exit_code, record.end_reason = -1, "signal"
            record.signal = how.signal
        else:
            record.end_reason = "lost"
        if record.kill_requested:
            record.end_reason = "killed"
        # Last: who finds it ended finds all of the above.
        record.status = Status.KILLED if record.kill_requested else Status.COMPLETED

    def close_terminal(self, session: Session) -> None:
        """Nobody has the terminal open any more. Called by the drain, the owner of the master."""
        if session.input is not None:
            session.input.close()
        session.master = -1
        self._custody.release(session.id)
        if session.life.happens(Event.HUNG_UP):
            session.close_log()
            self._store.changed(session.id)
            # It did not count when it ended, and no other end may come for long.
            self._backlog.add(self._drop_oldest)

    def on_saved(self, written: Mapping[int, Mapping[str, Any] | None]) -> None:
        """The disk says this of some sessions: the keeper need not remember ends it tells of."""
        for session_id, value in written.items():
            session = self._registry.find(session_id)
            if session is None or (value is not None and has_ended(value) and session.master < 0):
                self._custody.forget(session_id)

    # Killing

    def kill(
        self, sessions: Sequence[Session], takes_daemons: bool = False
    ) -> dict[int, list[Process]]:
        """End running sessions; block until they are gone. Return survivors by session id.

        A finished session is left alone: its pid may belong to somebody else. Daemons that a
        session started are named among the survivors; with `takes_daemons` they are ended, too,
        also those that a finished session has left.
        """
        running = [session for session in sessions if session.is_running()]
        for session in running:
            session.record.kill_requested = True
            session.life.happens(Event.KILL_ASKED)
            self._custody.note(session.id, session.record.to_json())
        climbing = list(sessions) if takes_daemons else running
        if not climbing:
            return {}
        with contextlib.ExitStack() as held:
            ladder = Ladder(
                climbing,
                self._custody.signal,
                self._settings.grace_seconds,
                {session.id: _trace(session, held) for session in climbing},
                self._custody.hello.keeper_pid,
                takes_daemons,
            )
            return ladder.climb()


def _trace(session: Session, held: contextlib.ExitStack) -> Trace:
    """Return how to know a session's processes until `held` is closed.

    As long as its terminal is open, the kernel gives its number to nobody else: whatever is found
    there later would be a stranger's.
    """
    found: list[Device] = []

    def look(fd: int) -> None:
        held.callback(os.close, os.dup(fd))
        found.append(slave_device(fd))

    if session.is_running() and session.input is not None:
        with contextlib.suppress(OSError):
            session.input.use(look)
    return Trace(session.record.mark(), found[0] if found else None)


def survivors_json(survivors: dict[int, list[Process]]) -> list[dict[str, Any]]:
    """Return survivors as the wire names them: session_id, pid, command, and whether a daemon."""
    return [
        {"session_id": session_id, "pid": process.pid, "command": process.command}
        | ({"daemon": True} if process.is_daemon else {})
        for session_id, processes in survivors.items()
        for process in processes
    ]


def write_left(path: str, survivors: dict[int, list[Process]]) -> None:
    """Write down what outlives the node, for `cw stop` to name; no file when there is nothing."""
    with contextlib.suppress(OSError):
        os.unlink(path)
    if not survivors:
        return
    found = survivors_json(survivors)
    for process in found:
        log.warning(
            "session %d left pid %d (%s)",
            process["session_id"],
            process["pid"],
            process["command"],
        )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(found, file)
    except OSError as error:
        log.warning("writing %s failed: %s", path, error.strerror)
