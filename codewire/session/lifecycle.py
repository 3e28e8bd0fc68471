"""The life of sessions: launch, restore, type. Only this and ending.py change their state.

Launching reserves before it starts anything and undoes all of it on failure (design, P5).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from codewire import environment
from codewire.config import Settings
from codewire.disk.journal import Journal
from codewire.disk.scribe import Scribe
from codewire.errors import KeeperError, LaunchError
from codewire.io.backlog import Backlog
from codewire.io.clock import CLOCK
from codewire.io.filecalls import FileCalls, call_here
from codewire.io.processes import MARK_VARIABLE, Process
from codewire.io.slow import SlowCalls
from codewire.io.wait import spawn
from codewire.keeper.workerside.custody import Custody, Kept, SpawnFailed, SpawnOrder
from codewire.output.drain import Drain
from codewire.paths import DataDir
from codewire.session.agentrules import Rules
from codewire.session.approvals import Approver
from codewire.session.ending import Ending, write_left
from codewire.session.environment import build_environment
from codewire.session.events import EventBus
from codewire.session.lookout import Lookout, agents_directory
from codewire.session.observer import Observer
from codewire.session.program import (
    LaunchRequest,
    resolve_directory,
    resolve_program,
    script_command,
)
from codewire.session.records.files import EVENTS, OUTPUT, make_files, remove_files
from codewire.session.records.launchfile import SavedLaunch, write_launch
from codewire.session.records.record import Record
from codewire.session.records.store import Store
from codewire.session.registry import Registry
from codewire.session.relaunching import Relauncher
from codewire.session.restoring import Restorer
from codewire.session.session import Session
from codewire.session.turns import Turns
from codewire.session.typing import Keyboard
from codewire.terminal.answers import Answerer
from codewire.terminal.input import Input
from codewire.terminal.turns import Pen
from codewire.wire import events
from codewire.wire.codes import BUSY, UNAVAILABLE
from codewire.wire.sizes import DEFAULT_COLS, DEFAULT_ROWS

log = logging.getLogger(__name__)

# Longer than a keeper, a directory and a disk together may take.
LAUNCH_SECONDS = 60.0
# From the word that a node is to be stopped to the signal.
ANNOUNCED_SECONDS = 30.0
# Events that another state comes with.
CHANGES_STATE = (events.STATUS, events.STOPPED, events.CONTINUED)


class Lifecycle:
    """Owns every session of the node. Built before the keeper is known: see `attach_custody`."""

    def __init__(self, paths: DataDir, settings: Settings, calls: FileCalls = call_here) -> None:
        """`calls` is how files in the data directory are called on."""
        self._paths = paths
        self._calls = calls
        self._settings = settings
        # The node's own. Decoding it takes a tenth of a launch.
        self._environ = dict(os.environ)
        self.registry = Registry(paths)
        self.scribe = Scribe()
        self.bus = EventBus(self.scribe)
        self.observer = Observer(self.registry.all, self.bus)
        self.answerer = Answerer()
        self.backlog, self._slow = Backlog(), SlowCalls()
        self.ending = Ending(settings, self.registry, self.observer, self.backlog, self._publish)
        self._journal = Journal(paths.sessions_journal, calls=calls)
        self.store = Store(
            paths.sessions_json, self._journal, self.registry.records, self.ending.on_saved
        )
        rules = Rules(agents_directory(paths.root))
        self.lookout = Lookout(rules, self._publish, self._keep)
        self.relauncher = Relauncher(
            paths, self.registry, self.store, Rules(agents_directory(paths.root)), self.launch
        )
        self.ending.on_settled = self._on_settled
        self.ending.on_ended = self.relauncher.ended
        self.is_stopping = False
        # Said by the worker once there is a log; sessions get it as CW_NODE_ID.
        self.node_id = ""
        self._pen = Pen()
        self._launches = Turns()

    def use(self, custody: Custody, drain: Drain) -> None:
        """Work with this keeper and this drain."""
        self._custody = custody
        self._drain = drain
        self.keyboard = Keyboard(drain, self._publish)
        self.approver = Approver(self.keyboard)
        self.ending.use(custody, drain, self.store)

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
            on_exit=self.ending.on_exit,
            kill=lambda sessions: self.backlog.add(spawn, self.kill, sessions),
        ).run(kept)
        write_left(self._paths.left, {})
        for session in self.registry.all():
            # Where asking may hang, it is done now.
            if self._calls is not call_here and not session.is_running():
                session.log_status()
                self.relauncher.is_restorable(session)

    def kept(self) -> list[Kept]:
        """Return what a new keeper must take over (the old one died): what is not on disk alone."""
        for session in self.registry.all():
            # No children of the new keeper: only /proc knows.
            session.tells_stops = False
        unsaved = self.store.unsaved()
        return [
            Kept(s.id, s.record.pid, s.record.to_json(), s.exit, s.master)
            for s in self.registry.all()
            if s.is_running() or s.master >= 0 or s.id in unsaved
        ]

    # Launching

    def launch(self, request: LaunchRequest) -> Session:
        """Start a session. Raises LaunchError; then nothing was started and nothing is left.

        One that is sent again with its key is the one it repeats, also while that is under way.
        """
        with self._launches.take(request.key, LAUNCH_SECONDS) as has_turn:
            if not has_turn:
                raise LaunchError("the same launch is still under way", BUSY)
            return self.registry.by_key(request.key) or self._launch(request)

    def _launch(self, request: LaunchRequest) -> Session:
        if self.is_stopping:
            raise LaunchError("the node is stopping", UNAVAILABLE)
        cwd = resolve_directory(request.working_dir, self._slow)
        build = partial(build_environment, takes_callers=self._settings.env == "caller")
        start = self._calls(build, self._environ, self._paths.environment, request, 0, cwd)
        env = start.variables
        program = resolve_program(request.command, cwd, env, self._slow, start.path_owner)
        with self._reserved(request) as session:
            env["CW_SESSION_ID"] = str(session.id)
            env["CW_NODE_ID"] = self.node_id
            env[MARK_VARIABLE] = session.record.mark()
            session.record.working_dir = cwd
            self._save_launch(session, request, env)
            self._spawn(session, request, program, env, cwd)
        self._announce(session)
        if request.stdin_data:
            self.backlog.add(spawn, self.keyboard.type_first, session, request.stdin_data)
        return session

    def _save_launch(self, session: Session, request: LaunchRequest, env: dict[str, str]) -> None:
        """Write down what starts it again; on a full disk it starts all the same, and only once."""
        saved = SavedLaunch(
            tuple(session.record.argv),
            session.record.working_dir,
            env if request.saves_env else None,
            request.name,
            request.tags,
            request.rows,
            request.cols,
        )
        try:
            self._calls(write_launch, self._paths.session(session.id), saved)
        except OSError as error:
            log.warning("session %d cannot be relaunched: %s", session.id, error.strerror)

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
            relaunched_from=request.relaunched_from,
            restart=dict(request.restart),
        )
        session = self._make(record)
        directory = self._paths.session(session_id)
        try:
            open_log = partial(session.open_log, self._settings.log_max_bytes)
            self._calls(make_files, directory, open_log)
            yield session
        except BaseException:
            session.close_log()
            self._calls(remove_files, directory)
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
            session.record.pid, session.master = self._start(order)
        except SpawnFailed as error:
            raise LaunchError(_spawn_failed(error, order)) from error
        except (KeeperError, OSError) as error:
            raise LaunchError(f"cannot start the session: {error}") from error

    def _start(self, order: SpawnOrder) -> tuple[int, int]:
        """Start a program, or a script without `#!` as the shell would; return pid and master."""
        try:
            return self._custody.spawn(order)
        except SpawnFailed as error:
            script = (
                script_command(order.path, order.argv) if error.number == errno.ENOEXEC else None
            )
            if script is None:
                raise
        return self._custody.spawn(replace(order, path=script[0], argv=script))

    def _announce(self, session: Session) -> None:
        """From here on the session is there for everyone."""
        self._open_terminal(session, is_restored=False)
        self.registry.add(session)
        # Before anybody is told: from now on it is listed, whoever is killed.
        self.store.put(session.record)
        record = session.record
        data: dict[str, Any] = {
            "command": record.argv,
            "working_dir": record.working_dir,
            "tags": record.tags,
        }
        if record.relaunched_from:
            data["relaunched_from"] = record.relaunched_from
        self._publish(session, events.CREATED, data)
        self._drain.add(session)
        log.info("session %d launched pid=%d", session.id, record.pid)
        self.ending.announced(session)

    def _open_terminal(self, session: Session, *, is_restored: bool) -> None:
        output = session.open_log(self._settings.log_max_bytes, is_restored=is_restored)
        output.watch(self.observer.waker)
        output.on_gap = lambda: self._custody.note(session.id, session.record.to_json())
        session.input = Input(
            session.master, lambda wanted: self._drain.watch_writable(session, wanted)
        )
        session.questions = self.answerer.add(session, output, is_restored=is_restored)
        self.lookout.add(session, output, is_restored=is_restored)

    def _make(self, record: Record) -> Session:
        directory = self._paths.session(record.id)
        session = Session(
            record,
            os.path.join(directory, OUTPUT),
            os.path.join(directory, EVENTS),
            self._pen,
            calls=self._calls,
        )
        session.on_drained_hook = lambda: self.backlog.add(self.ending.complete, session)
        session.on_hangup_hook = lambda: self.ending.close_terminal(session)
        return session

    # Ending

    def kill(
        self, sessions: Sequence[Session], takes_daemons: bool = False
    ) -> dict[int, list[Process]]:
        """End running sessions, and the policies of all; see Ending.kill."""
        for session in sessions:
            self.relauncher.cancel(session, "killed")
        return self.ending.kill(sessions, takes_daemons)

    def announce_stop(self) -> None:
        """Whoever stops the node says so beforehand: what ends now has ended for good."""
        for session in (*self.registry.running(), *self.relauncher.pending()):
            session.record.is_final = True
            self.store.put(session.record)
            self._custody.note(session.id, session.record.to_json())

    def doubt_stop(self) -> None:
        """Where the stop that was announced does not come, forget it. Blocks ANNOUNCED_SECONDS."""
        time.sleep(ANNOUNCED_SECONDS)
        if self.is_stopping:
            return
        log.warning("a stop was announced, but has not come")
        for session in self.registry.all():
            if session.record.is_final and session.is_running():
                session.record.is_final = False
                self.store.put(session.record)

    def _on_settled(self, session: Session) -> None:
        if not self.is_stopping:
            self.relauncher.settle(session)

    def stop(self) -> None:
        """End every session and write everything down: the node is stopping."""
        self.is_stopping = True
        for session in self.relauncher.pending():
            self.relauncher.give_up_pending(session)
        survivors = self.ending.kill(self.registry.running(), with_node=True)
        write_left(self._paths.left, survivors)
        self.store.close()
        self.scribe.write()

    def publish_attached(self, session: Session, client_id: str, attached: bool) -> None:
        """Count a client in or out and say so."""
        with session.lock:
            session.attached_count += 1 if attached else -1
        kind = events.ATTACHED if attached else events.DETACHED
        self._publish(session, kind, {"client_id": client_id})
        if attached:
            self.lookout.seen(session)

    def publish_report(self, session: Session, state: str, summary: str) -> None:
        """Say what a session's agent reports of its task."""
        event_id = f"evt_{os.urandom(16).hex()}"
        data = {"event_id": event_id, "summary": summary, "state": state}
        self._publish(session, events.REPORT, data)

    def publish_decision(self, session: Session, data: dict[str, Any]) -> None:
        """Say who decided what in a session's dialog."""
        self._publish(session, events.DECISION, data)

    def _keep(self, session: Session) -> None:
        """Have the disk and, at once, the keeper know what the record says."""
        self.store.changed(session.id)
        if session.is_running():
            self._custody.note(session.id, session.record.to_json())

    def _publish(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        self.bus.publish(session.id, session.record.tags, kind, data, session.events)
        if kind in CHANGES_STATE:
            self.lookout.tell(session)


def _spawn_failed(error: SpawnFailed, order: SpawnOrder) -> str:
    """Word a failed start; of an environment that is too large, more than the system says."""
    if error.number == errno.E2BIG and environment.size(order.env) > sum(map(len, order.argv)):
        return environment.too_large(order.env)
    words = f"opening PTY: fork/exec {order.argv[0]}: {error}"
    if error.number == errno.ENOEXEC:
        words += " (neither a script nor a program for this machine)"
    return words
