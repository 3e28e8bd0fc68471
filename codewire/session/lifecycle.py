"""The life of sessions: launch, restore, end, kill. The only place that changes their state.

Launching reserves before it starts anything and undoes all of it on failure (design, P5). Ending
waits for the last byte, then fixes result, counters, record and events, and only then says so (P4).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from codewire.config import Settings
from codewire.errors import KeeperError, LaunchError
from codewire.io.wait import spawn
from codewire.keeper.custody import Custody, Kept, SpawnFailed, SpawnOrder
from codewire.keeper.processes import Process
from codewire.paths import DataDir
from codewire.session.clock import CLOCK
from codewire.session.events import EventBus
from codewire.session.files import making_files, remove_files
from codewire.session.journal import Journal
from codewire.session.ladder import Ladder
from codewire.session.output.drain import Drain
from codewire.session.output.observer import Observer
from codewire.session.output.result import capture_result
from codewire.session.program import (
    LaunchRequest,
    build_environment,
    resolve_directory,
    resolve_program,
)
from codewire.session.record import Record, Status, has_ended
from codewire.session.registry import Registry
from codewire.session.restoring import Restorer
from codewire.session.session import Session
from codewire.session.store import Store
from codewire.session.terminal.answers import Answerer
from codewire.session.terminal.input import Input, InputClosed

log = logging.getLogger(__name__)

DEFAULT_ROWS, DEFAULT_COLS = 24, 80

# A program that reads its input late must not lose it to a flush at start: wait for its first
# output, at most this long (upstream always waits it out).
STDIN_DELAY_SECONDS = 0.2


class Lifecycle:
    """Owns every session of the node. Built before the keeper is known: see `attach_custody`."""

    def __init__(self, paths: DataDir, settings: Settings) -> None:
        self._paths = paths
        self._settings = settings
        self.registry = Registry(paths)
        self.bus = EventBus()
        self.observer = Observer(self.registry.all, self.bus)
        self.answerer = Answerer()
        self._journal = Journal(paths.sessions_journal)
        self.store = Store(
            paths.sessions_json, self._journal, self.registry.records, self._on_saved
        )
        self.is_stopping = False
        self._lock = threading.Lock()
        # Launched but not yet told to everyone, and how those among them ended meanwhile.
        self._unannounced: set[int] = set()
        self._early_exits: dict[int, dict[str, Any]] = {}

    def use(self, custody: Custody, drain: Drain) -> None:
        """Work with this keeper and this drain."""
        self._custody = custody
        self._drain = drain

    # Restoring

    def restore(self, kept: Sequence[Kept]) -> None:
        """Bring back what was: records from disk, live processes from the keeper."""
        Restorer(
            self._paths,
            self.registry,
            self.store,
            self._journal,
            self._drain,
            make=self._make,
            open_terminal=lambda session: self._open_terminal(session, is_restored=True),
            on_exit=self.on_exit,
            kill=self.kill,
        ).run(kept)

    def kept(self) -> list[Kept]:
        """Return what a new keeper must take over (the old one died): what is not on disk alone."""
        unsaved = self.store.unsaved()
        return [
            Kept(s.id, s.record.pid, s.record.to_json(), s.exit or None, s.master)
            for s in self.registry.all()
            if s.is_running() or s.master >= 0 or s.id in unsaved
        ]

    # Launching

    def launch(self, request: LaunchRequest) -> Session:
        """Start a session. Raises LaunchError; then nothing was started and nothing is left."""
        earlier = self.registry.by_key(request.key)
        if earlier is not None:
            return earlier
        if self.is_stopping:
            raise LaunchError("the node is stopping")
        cwd = resolve_directory(request.working_dir)
        env = build_environment(os.environ, self._paths.environment, request, 0, cwd)
        program = resolve_program(request.command, cwd, env)
        with self._reserved(request) as session:
            env["CW_SESSION_ID"] = str(session.id)
            session.record.working_dir = cwd
            self._spawn(session, request, program, env, cwd)
        self._announce(session)
        if request.stdin_data:
            spawn(self._type_first, session, request.stdin_data)
        return session

    @contextlib.contextmanager
    def _reserved(self, request: LaunchRequest) -> Iterator[Session]:
        """Hold id, name and files for a launch; give all of them back when it fails."""
        session_id = self.registry.reserve(request.name)
        now = CLOCK.now()
        record = Record(
            id=session_id,
            argv=list(request.command),
            working_dir=request.working_dir,
            created_ns=now.wall_ns,
            began_steady_ns=now.steady_ns,
            boot=now.boot,
            name=request.name,
            tags=list(request.tags),
            launch_key=request.key,
        )
        session = self._make(record)
        directory = self._paths.session(session_id)
        try:
            with making_files(directory):
                session.open_log(self._settings.log_max_bytes)
            yield session
        except BaseException:
            session.close_log()
            remove_files(directory)
            self.registry.unreserve(session_id, request.name)
            raise

    def _spawn(
        self, session: Session, request: LaunchRequest, program: str, env: dict[str, str], cwd: str
    ) -> None:
        order = SpawnOrder(
            id=session.id,
            path=program,
            argv=session.record.argv,
            env=env,
            cwd=cwd,
            rows=request.rows or DEFAULT_ROWS,
            cols=request.cols or DEFAULT_COLS,
            meta=session.record.to_json(),
        )
        try:
            session.record.pid, session.master = self._custody.spawn(order)
        except SpawnFailed as error:
            raise LaunchError(f"opening PTY: fork/exec {request.command[0]}: {error}") from error
        except (KeeperError, OSError) as error:
            raise LaunchError(f"cannot start the session: {error}") from error

    def _announce(self, session: Session) -> None:
        """From here on the session is there for everyone."""
        self._open_terminal(session, is_restored=False)
        self._unannounced.add(session.id)
        self.registry.add(session)
        # Before anybody is told: from now on it is listed, whoever is killed.
        self.store.put(session.record)
        record = session.record
        data = {
            "command": record.argv,
            "working_dir": record.working_dir,
            "tags": record.tags,
        }
        self._publish(session, "session.created", data)
        self._drain.add(session)
        log.info("session %d launched pid=%d", session.id, record.pid)
        with self._lock:
            self._unannounced.discard(session.id)
            early_exit = self._early_exits.pop(session.id, None)
        if early_exit is not None:
            self._begin_end(session, early_exit)

    def _open_terminal(self, session: Session, *, is_restored: bool) -> None:
        output = session.open_log(self._settings.log_max_bytes)
        output.watch(self.observer.waker)
        output.on_gap = lambda: self._custody.note(session.id, session.record.to_json())
        session.input = Input(
            session.master, lambda wanted: self._drain.watch_writable(session, wanted)
        )
        self.answerer.add(session, output.end, is_restored=is_restored)

    def _make(self, record: Record) -> Session:
        directory = self._paths.session(record.id)
        session = Session(
            record,
            os.path.join(directory, "output.log"),
            os.path.join(directory, "events.jsonl"),
        )
        session.on_drained_hook = lambda: spawn(self._complete, session)
        session.on_hangup_hook = lambda: self._close_terminal(session)
        return session

    def _type_first(self, session: Session, data: bytes) -> None:
        waker = threading.Event()
        session.log.watch(waker)
        waker.wait(STDIN_DELAY_SECONDS)
        session.log.unwatch(waker)
        with contextlib.suppress(InputClosed):
            self.type_in(session, data, "stdin_data")

    # Input

    def type_in(
        self,
        session: Session,
        data: bytes,
        source: str,
        is_cancelled: Callable[[], bool] = lambda: False,
        before: Callable[[], None] | None = None,
    ) -> int:
        """Type into the session; return the byte count. Blocks while the program reads nothing.

        `before` is called right before the first byte is typed.
        Raises InputClosed when it ends, or `is_cancelled` says so, meanwhile.
        """
        if session.input is None or not session.is_running():
            raise InputClosed(0)
        self._drain.typed(session)
        session.terminal.typed.note(session.grow_count(), data)
        count = session.input.write(data, is_cancelled, before)
        self._publish(session, "session.input", {"source": source, "bytes_count": count})
        return count

    def key_in(self, session: Session, data: bytes) -> None:
        """As `type_in` for an attached terminal: keystrokes are summed up by the caller."""
        if session.input is not None:
            self._drain.typed(session)
            session.terminal.typed.note(session.grow_count(), data)
            session.input.write(data)

    def is_typing(self) -> bool:
        """Say whether somebody is typing anywhere: then nothing may take long at a time."""
        return self._drain.is_typing()

    def publish_input(self, session: Session, source: str, count: int) -> None:
        """Report bytes typed through `key_in`."""
        self._publish(session, "session.input", {"source": source, "bytes_count": count})

    # Ending

    def on_exit(self, session_id: int, how: dict[str, Any]) -> None:
        """The keeper reaped the session's process."""
        with self._lock:
            session = self.registry.find(session_id)
            if session is None or session_id in self._unannounced:
                # Reaped before the launch was announced: `_announce` looks here.
                self._early_exits[session_id] = how
                return
        self._begin_end(session, how)

    def _begin_end(self, session: Session, how: dict[str, Any]) -> None:
        session.exit = how
        if session.master >= 0:
            self._drain.exited(session)
        else:
            session.has_exited = True
            spawn(self._complete, session)

    def _complete(self, session: Session) -> None:
        """The child is gone and its last byte is logged: settle everything, then tell."""
        self.observer.finish(session)
        record = session.record
        record.result = capture_result(session)
        self._settle(session, session.exit)
        if session.input is not None:
            session.input.end()
        self.registry.release_name(session)
        # Unsaved from before it counts as ended: a keeper that starts now must be told of it.
        self.store.put(record)
        session.ended.set()
        data: dict[str, Any] = {"from": "running", "to": "completed"}
        if record.exit_code is not None:
            data["exit_code"] = record.exit_code
        data["duration_ms"] = session.duration_ms()
        self._publish(session, "session.status", data)
        session.wake()
        self._custody.note(session.id, record.to_json())
        log.info("session %d %s", session.id, record.status_text())
        for dropped in self.registry.drop_oldest_finished(self._settings.keep_finished):
            self.store.changed(dropped)
        if session.master < 0:
            session.close_log()

    def _settle(self, session: Session, how: dict[str, Any]) -> None:
        record = session.record
        record.duration_ms = session.duration_ms()
        record.completed_ns = time.time_ns()
        self.registry.count_end(session)
        if "code" in how:
            record.exit_code, record.end_reason = how["code"], "exited"
        elif "signal" in how:
            record.exit_code, record.end_reason = -1, "signal"
            record.signal = how["signal"]
        else:
            record.end_reason = "lost"
        if record.kill_requested:
            record.end_reason = "killed"
        # Last: who finds it ended finds all of the above.
        record.status = Status.KILLED if record.kill_requested else Status.COMPLETED

    def _close_terminal(self, session: Session) -> None:
        """Nobody has the terminal open any more. Called by the drain, the owner of the master."""
        if session.input is not None:
            session.input.close()
        session.master = -1
        self._custody.release(session.id)
        if not session.is_running():
            session.close_log()
            self.store.changed(session.id)

    def _on_saved(self, written: Mapping[int, Mapping[str, Any] | None]) -> None:
        """The disk says this of some sessions: the keeper need not remember ends it tells of."""
        for session_id, value in written.items():
            session = self.registry.find(session_id)
            if session is None or (value is not None and has_ended(value) and session.master < 0):
                self._custody.forget(session_id)

    # Killing

    def kill(self, sessions: Sequence[Session]) -> dict[int, list[Process]]:
        """End running sessions; block until they are gone. Return survivors by session id.

        A finished session is left alone: its pid may belong to somebody else.
        """
        running = [session for session in sessions if session.is_running()]
        for session in running:
            session.record.kill_requested = True
            self._custody.note(session.id, session.record.to_json())
        ladder = Ladder(running, self._custody.signal, self._settings.grace_seconds)
        return ladder.climb() if running else {}

    def stop(self) -> None:
        """End every session and write everything down: the node is stopping."""
        self.is_stopping = True
        self.kill(self.registry.running())
        self.store.close()

    def publish_attached(self, session: Session, client_id: str, attached: bool) -> None:
        """Count a client in or out and say so."""
        with session.lock:
            session.attached_count += 1 if attached else -1
        kind = "session.attached" if attached else "session.detached"
        self._publish(session, kind, {"client_id": client_id})

    def _publish(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        self.bus.publish(session.id, session.record.tags, kind, data, session.events_path)
