"""Starting sessions again: because somebody asks, because a policy says so, or after their node.

Each start is a new session with a new id, the same name, and `relaunched_from`. Whoever comes back
after its node, or by its policy, does so once: the launch has a key made of the run before it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from codewire.agents.programs import NO_PROGRAM
from codewire.agents.resuming import (
    ARGV,
    HOOK,
    PRINTED,
    id_in,
    is_id,
    printed_command,
    resumed,
)
from codewire.errors import LaunchError
from codewire.io.clock import CLOCK
from codewire.paths import DataDir
from codewire.session import restarts
from codewire.session.agentprocess import program_names, program_place
from codewire.session.agentrules import Rules
from codewire.session.program import LaunchRequest
from codewire.session.records.launchfile import SavedLaunch, has_launch, read_launch
from codewire.session.records.record import Record
from codewire.session.records.store import Store
from codewire.session.registry import Registry
from codewire.session.session import Session
from codewire.wire.codes import BAD_REQUEST

log = logging.getLogger(__name__)

# How a session is started: as it was, with its agent's conversation, or with what was printed.
AS_WAS, RESUME, COMMAND = WAYS = ("as-was", "resume", "printed")


class Plan(NamedTuple):
    """How one session would come back. `by` says who named the conversation, "" for nobody."""

    argv: tuple[str, ...]
    by: str = ""
    # With its conversation, and the command line that its program printed.
    resume: tuple[str, ...] = ()
    printed: tuple[str, ...] = ()


class Relauncher:
    """Starts sessions again. `run` belongs to one greenlet or thread, the rest to all."""

    def __init__(
        self,
        paths: DataDir,
        registry: Registry,
        store: Store,
        rules: Rules,
        launch: Callable[[LaunchRequest], Session],
    ) -> None:
        self._paths = paths
        self._registry = registry
        self._store = store
        self._rules, self._rules_turn = rules, threading.Lock()
        self._launch = launch
        self._news = threading.Event()
        self._waiting = restarts.Waiting(CLOCK)
        self._lock = threading.Lock()

    # What there is to come back

    def restorable(self) -> list[Session]:
        """Return the sessions that ended with their node and have not come back, by id."""
        return [session for session in self._registry.all() if self.is_restorable(session)]

    def is_restorable(self, session: Session) -> bool:
        """Say whether a session ended with its node, and can be started again."""
        record = session.record
        return (
            record.is_restorable
            and not record.relaunched_as
            and not session.is_running()
            and session.ask(has_launch, self._paths.session(session.id))
        )

    def plan(self, session: Session) -> Plan:
        """Return how a session would come back. Raises LaunchError."""
        return self._plan(session.record, self._saved(session))

    def _saved(self, session: Session) -> SavedLaunch:
        return read_launch(self._paths.session(session.id), session.id)

    def _plan(self, record: Record, saved: SavedLaunch) -> Plan:
        said = record.resume
        printed = printed_command(str(said.get("command") or ""))
        with self._rules_turn:
            program = self._rules.program_of(program_names(list(saved.argv)))
        rules = program.resume
        if program is NO_PROGRAM or rules is None:
            return Plan(saved.argv, printed=printed)
        place = program_place(list(saved.argv), (program.name, *program.commands))
        named, by = id_in(saved.argv, place, rules), ARGV
        if is_id(said.get("id")):
            named, by = str(said["id"]), HOOK if said.get("by") == HOOK else PRINTED
        again = resumed(saved.argv, place, rules, named) if named else None
        return Plan(saved.argv, by if again else "", again or (), printed)

    def forget(self, session: Session) -> bool:
        """Offer a session no more; return whether it was offered."""
        was = self.is_restorable(session)
        session.record.is_restorable = False
        self._store.put(session.record)
        return was

    # Starting again

    def relaunch(self, session: Session, caller: LaunchRequest, way: str) -> Session:
        """Start what a session was again. Raises LaunchError; then nothing was started.

        `caller` brings the key of this request, and the environment for where none was saved.
        """
        if session.is_running():
            raise LaunchError(
                f"session {session.id} is still running; end it first (cw kill {session.id})",
                BAD_REQUEST,
            )
        restart = restarts.begun_anew(session.record.restart)
        return self._start(session, replace(caller, restart=restart), way)

    def restore(self, session: Session, caller: LaunchRequest, way: str) -> Session:
        """The same for one that ended with its node, once: asked again, it is the same session."""
        record = session.record
        key = f"restore:{record.mark()}"
        found = self._registry.by_key(key) or self._registry.find(record.relaunched_as)
        if found is not None:
            return found
        if not self.is_restorable(session):
            raise LaunchError(
                f"session {session.id} {_why_not(session)}; 'cw relaunch {session.id}' starts it "
                "again all the same",
                BAD_REQUEST,
            )
        restart = restarts.begun_anew(record.restart)
        return self._start(session, replace(caller, key=key, restart=restart), way)

    def restore_all(self) -> None:
        """Restore whatever ended with the node, unasked: with no id that a program printed."""
        for session in self.restorable():
            try:
                plan = self.plan(session)
                way = RESUME if plan.resume and plan.by != PRINTED else AS_WAS
                started = self.restore(session, LaunchRequest(()), way)
            except LaunchError as error:
                log.warning("session %d cannot be restored: %s", session.id, error)
            else:
                log.info("session %d restored as %d", session.id, started.id)

    def _start(self, session: Session, caller: LaunchRequest, way: str) -> Session:
        saved = self._saved(session)
        request = replace(
            caller,
            command=self._command(session.record, saved, way),
            working_dir=saved.working_dir,
            name=saved.name,
            tags=saved.tags,
            rows=saved.rows,
            cols=saved.cols,
            saved_env=saved.env,
            saves_env=saved.env is not None,
            relaunched_from=session.id,
        )
        started = self._launch(request)
        self._went_on(session, started)
        return started

    def _command(self, record: Record, saved: SavedLaunch, way: str) -> tuple[str, ...]:
        if way == AS_WAS:
            return saved.argv
        plan = self._plan(record, saved)
        wanted = plan.resume if way == RESUME else plan.printed
        if not wanted:
            what = "no conversation to take up" if way == RESUME else "no command line of its own"
            raise LaunchError(f"session {record.id} has {what}", BAD_REQUEST)
        return wanted

    def _went_on(self, session: Session, started: Session) -> None:
        record = session.record
        record.relaunched_as = started.id
        record.is_restorable = False
        if restarts.due_ns(record.restart):
            record.restart = restarts.ended(record.restart, "restarted")
        with self._lock:
            self._waiting.drop(session.id)
        self._store.put(record)

    # Policies

    def settle(self, session: Session) -> None:
        """A session ends: note in its record whether its policy wants it back."""
        record = session.record
        lived = session.duration_ms() / 1000
        record.restart = restarts.after_end(record, lived, CLOCK.wall_ns())

    def ended(self, session: Session) -> None:
        """A session has ended: restart it when that is due."""
        record = session.record
        if self.is_pending(session):
            self._await(session)
        elif record.restart.get("ended"):
            log.info("session %d is not restarted: %s", session.id, record.restart["ended"])

    def _await(self, session: Session) -> None:
        with self._lock:
            self._waiting.add(session.id, session.record.restart)
        self._news.set()

    def is_pending(self, session: Session) -> bool:
        """Say whether a session that has ended is to be restarted."""
        return bool(restarts.due_ns(session.record.restart)) and not session.is_running()

    def pending(self) -> list[Session]:
        """Return the sessions that wait to be restarted."""
        return [session for session in self._registry.all() if self.is_pending(session)]

    def cancel(self, session: Session, why: str) -> bool:
        """End a session's policy; return whether a restart was due."""
        was = self.is_pending(session)
        with self._lock:
            self._waiting.drop(session.id)
        if session.record.restart and "ended" not in session.record.restart:
            session.record.restart = restarts.ended(session.record.restart, why)
            self._store.put(session.record)
        return was

    def resume(self, *, is_new_node: bool) -> None:
        """Go on after a worker's start; what waited when its node ended is restorable instead."""
        for session in self.pending():
            if is_new_node:
                self.give_up_pending(session)
            elif (found := self._registry.by_key(_restart_key(session))) is not None:
                self._went_on(session, found)
            else:
                self._await(session)

    def give_up_pending(self, session: Session) -> None:
        """Its node ends, or has ended, before a restart was due."""
        session.record.is_restorable = not session.record.is_final
        self.cancel(session, "node ended")

    def run(self) -> None:
        """Restart what is due, for ever."""
        while True:
            with self._lock:
                seconds = self._waiting.seconds()
            self._news.wait(seconds)
            self._news.clear()
            with self._lock:
                due = self._waiting.due()
            for session in filter(None, map(self._registry.find, due)):
                self._restart(session)

    def _restart(self, session: Session) -> None:
        restart = restarts.counted(session.record.restart)
        request = LaunchRequest((), key=_restart_key(session), restart=restart)
        try:
            started = self._start(session, request, AS_WAS)
        except LaunchError as error:
            log.warning("session %d cannot be restarted: %s", session.id, error)
            self._failed(session, restart, str(error))
        except Exception:
            log.exception("session %d cannot be restarted", session.id)
            self._failed(session, restart, "internal error")
        else:
            log.info("session %d restarted as %d", session.id, started.id)

    def _failed(self, session: Session, restart: dict[str, Any], why: str) -> None:
        """A restart that could not even start counts as one that failed."""
        record = session.record
        with self._lock:
            if not self._waiting.drop(session.id):
                # Ended meanwhile.
                return
        record.restart = restarts.after_failed_start(restart, why, CLOCK.wall_ns())
        self._store.put(record)
        if restarts.due_ns(record.restart):
            self._await(session)


def _restart_key(session: Session) -> str:
    return f"restart:{session.record.mark()}"


def _why_not(session: Session) -> str:
    if session.is_running():
        return "is still running"
    return "has not ended with its node"
