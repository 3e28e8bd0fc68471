"""All sessions of the node: by id, by name, ids that are never reused, what is kept of the past."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from codewire.errors import LaunchError, RequestError
from codewire.io.wait import run_blocking
from codewire.paths import DataDir
from codewire.session.life import State
from codewire.session.program import check_name
from codewire.session.records.record import MAX_ID, Record
from codewire.session.session import Session
from codewire.wire.codes import NAME_TAKEN, NO_SUCH_SESSION
from codewire.wire.texts import go_quote


class Registry:
    """The sessions. All methods may be called from any greenlet or thread and do not block."""

    def __init__(self, paths: DataDir) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._sessions: dict[int, Session] = {}
        self._names: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._next_id = 1
        self._ends = 0

    def all(self) -> list[Session]:
        """Return every session, by id."""
        with self._lock:
            return [self._sessions[number] for number in sorted(self._sessions)]

    def records(self) -> list[Record]:
        """Return every session's record, by id."""
        return [session.record for session in self.all()]

    def running(self) -> list[Session]:
        """Return the sessions that have not ended."""
        return [session for session in self.all() if session.is_running()]

    def get(self, session_id: int) -> Session:
        """Return a session. Raises RequestError."""
        session = self._sessions.get(session_id)
        if session is None:
            raise RequestError(f"session {session_id} not found", NO_SUCH_SESSION)
        return session

    def find(self, session_id: int) -> Session | None:
        """Return a session, None when there is none."""
        return self._sessions.get(session_id)

    def by_name(self, name: str) -> Session:
        """Return the session called `name`: the live one, else the newest. Raises RequestError."""
        found = self.named(name)
        if found is None:
            raise RequestError(f"no session named {go_quote(name)}", NO_SUCH_SESSION)
        return found

    def named(self, name: str) -> Session | None:
        """Return the same, None where there is none."""
        found = [s for s in self.all() if s.record.name == name]
        return max(found, key=lambda s: (s.is_running(), s.id), default=None)

    def tagged(self, tags: Iterable[str]) -> list[Session]:
        """Return the sessions that carry any of `tags`."""
        wanted = frozenset(tags)
        return [s for s in self.all() if not wanted.isdisjoint(s.record.tags)]

    def by_key(self, key: str) -> Session | None:
        """Return the session that an earlier attempt of the same launch started."""
        return self._sessions.get(self._keys.get(key, 0)) if key else None

    def reserve(self, name: str) -> int:
        """Take the next id, and `name` if any; undo with `unreserve`. Raises LaunchError."""
        if name:
            check_name(name)
        with self._lock:
            owner = self._names.get(name) if name else None
            if owner is not None:
                text = f"name {go_quote(name)} already in use by session {owner}"
                raise LaunchError(text, NAME_TAKEN)
            session_id = self._next_id
            if session_id > MAX_ID:
                raise LaunchError("no session id is left; remove old ones from sessions/")
            self._next_id += 1
            if name:
                self._names[name] = session_id
            return session_id

    def unreserve(self, session_id: int, name: str) -> None:
        """Give back what `reserve` took: the launch failed."""
        with self._lock:
            if self._names.get(name) == session_id:
                del self._names[name]
            if self._next_id == session_id + 1:
                self._next_id = session_id

    def add(self, session: Session) -> None:
        """List a session; a running one holds its name."""
        with self._lock:
            self._sessions[session.id] = session
            self._next_id = max(self._next_id, session.id + 1)
            self._ends = max(self._ends, session.record.end_number)
            if session.record.name and session.is_running():
                self._names[session.record.name] = session.id
            if session.record.launch_key:
                self._keys[session.record.launch_key] = session.id

    def release_name(self, session: Session) -> None:
        """Free the name of a session that has ended."""
        with self._lock:
            if self._names.get(session.record.name) == session.id:
                del self._names[session.record.name]

    def skip_to(self, next_id: int) -> None:
        """Give no id below `next_id` any more: it was given before."""
        with self._lock:
            self._next_id = max(self._next_id, next_id)

    def count_end(self, session: Session) -> None:
        """Note that a session is the latest one to have ended."""
        with self._lock:
            self._ends += 1
            session.record.end_number = self._ends

    def drop_oldest_finished(self, keep: int) -> list[int]:
        """Forget all but the last `keep` finished sessions, files included; return their ids."""
        finished = [s for s in self.all() if s.life.state is State.CLOSED]
        # What is to be restarted needs its files.
        finished = [s for s in finished if "due_ns" not in s.record.restart]
        # In the order of their ends, whatever the time of day was set to meanwhile.
        finished.sort(key=lambda s: (s.record.end_number, s.id))
        dropped = finished[: max(0, len(finished) - keep)]
        if not dropped:
            return []
        import shutil

        for session in dropped:
            with self._lock:
                self._sessions.pop(session.id, None)
                self._keys.pop(session.record.launch_key, None)
            # Nothing that is still to be written makes the directory anew.
            session.events.end()
            session.messages.end()
            run_blocking(shutil.rmtree, self._paths.session(session.id), True)
        return [session.id for session in dropped]
