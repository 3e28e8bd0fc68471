"""Client: every request of a node as a typed call. One call, one connection.

Numbers are checked here as well as in the node, so that a mistake is a UsageError before anything
is sent. Calls that change nothing are repeated when the worker is replaced under them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire.client.agents import Agents
from codewire.client.messaging import Messaging
from codewire.client.numbers import (
    MAX_U32,
    MAX_U64,
    checked_id,
    checked_size,
    whole_number,
)
from codewire.client.prompting import Prompting
from codewire.client.reach.connection import field
from codewire.client.reach.route import local_route
from codewire.client.returning import Returning
from codewire.client.waiting import Waiting, session_list
from codewire.errors import RequestError, UsageError
from codewire.paths import data_dir
from codewire.wire.answers.reading import read, read_each
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from codewire.client.reach.route import Route
    from codewire.client.readers import LogChunk, WatchChunk
    from codewire.wire.answers.events import Happening
    from codewire.wire.answers.kills import Killed
    from codewire.wire.answers.node import NodeStatus
    from codewire.wire.answers.screens import Screen
    from codewire.wire.answers.sessions import SessionInfo
    from codewire.wire.answers.status import SessionStatus

# The longest grace_seconds a node may be configured with, and what the ladder takes after it.
KILL_SECONDS = 3600 + 60.0


def print_notice(line: str) -> None:
    """Say one line on stderr, where there is one."""
    if sys.stderr is not None:
        # One write: print() would write the newline on its own, after what others say meanwhile.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class Client(Messaging, Waiting, Agents, Prompting, Returning):
    """Talks to one node; any number of threads may share it.

    `server` is None for the local node, a name in servers.toml, or a URL. Of a wss one, `ca` is a
    file of authorities to trust instead of the system's, and `insecure` trusts any certificate. A
    `route` instead is a way to a node of the caller's own making. A local node that does not run
    is started unless `autostart` is false; `notify` is then told in one line (default: stderr), as
    it is when a remote node is out of reach for a while. Every call may raise NodeUnreachable,
    ConnectionLost, ProtocolError and, with the node's own text, RequestError. What is no wait ends
    within a minute, with NodeSilent where nobody answers; see `until` for less.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        insecure: bool = False,
        route: Route | None = None,
        autostart: bool = True,
        notify: Callable[[str], None] = print_notice,
    ) -> None:
        if server and route is None:
            from codewire.client.reach.servers import Options, server_route

            route = server_route(data_dir().servers, server, Options(token, ca, insecure))
        super().__init__(route or local_route(), autostart, notify)
        warning = self.route.warning()
        if warning:
            notify(f"[cw] warning: {warning}")

    # Sessions

    def list_sessions(self) -> list[SessionInfo]:
        """Return every session, finished ones included, by id."""
        return session_list(self.ask({"type": "ListSessions"}))

    def find_sessions(
        self, name: str = "", tag: str = "", *, session_id: int | None = None
    ) -> list[SessionInfo]:
        """Return the sessions with that name, tag or id: their id, name, status, attached and tags.

        More may be there: a node of another make sends the whole list, and it is sifted here.
        """
        request = {
            "type": "ListSessions",
            "name": name or None,
            "tags": [tag] if tag else None,
            "id": session_id,
            "brief": True,
        }
        if not name and not tag and session_id is None:
            return []
        return [
            session
            for session in session_list(self.ask(request))
            if (session_id is not None and session.id == session_id)
            or (name and session.name == name)
            or (tag and tag in session.tags)
        ]

    def launch(
        self,
        command: list[str],
        *,
        working_dir: str | None = None,
        name: str | None = None,
        tags: Iterable[str] = (),
        env: Iterable[str] = (),
        stdin_data: bytes = b"",
        rows: int | None = None,
        cols: int | None = None,
        environ: Mapping[str, str] | None = None,
        clean_env: bool = False,
        save_env: bool = True,
        restart: str | None = None,
        restart_max: int | None = None,
    ) -> int:
        """Start `command` (an argv, no shell) in a new session and return its id.

        `working_dir` defaults to the current directory; where another node has no such one, to
        what that chooses, which `notify` is told. `stdin_data` is typed once the session runs.

        A local session has this process's environment, on another node that node's; `environ` is
        one to have instead. `env` are KEY=VALUE strings on top. With `clean_env` it is no more
        than HOME, USER, LOGNAME, SHELL, PATH, LANG and TERM of that, and `env`.

        It is kept (mode 0600) for `relaunch`, unless `save_env` is false. `restart` "on-failure"
        or "always" has the node start it again when it ends, `restart_max` times at most.
        """
        from codewire.client.environment import launch_fields, warn_of_older

        size = checked_size(rows, cols)
        directory, is_optional = _start_directory(self.route, working_dir)
        request = {
            "type": "Launch",
            "command": list(command),
            "working_dir": directory,
            "dir_optional": is_optional or None,
            "name": name or None,
            "tags": list(tags) or None,
            **launch_fields(self.route, env, environ, clean_env, self._notify),
            "stdin_data": encode_bytes(stdin_data) if stdin_data else None,
            **dict(zip(("rows", "cols"), size, strict=True)),
            "no_save_env": None if save_env else True,
            "restart": restart,
            "restart_max": whole_number("restart_max", restart_max, MAX_U32),
            # A worker killed before it could answer may have started the session: asked again
            # with the same key, its successor names that one instead of starting another.
            "launch_key": os.urandom(12).hex(),
        }
        try:
            answer = self.ask(request)
        except RequestError as error:
            # Nothing was started; a node that knows dir_optional does not refuse.
            if not (is_optional and _is_missing(error)):
                raise
            again = {**request, "working_dir": "/", "launch_key": os.urandom(12).hex()}
            answer = {"note": "it runs in /", **self.ask(again)}
        warn_of_older(request, answer, self._notify)
        if answer.get("note"):
            self._notify(f"[cw] {self.route} has no {directory}: {answer['note']}")
        return field(answer, "id", 0)

    def status(
        self, session_id: int, *, screen_hash: bool = False, full: bool = False
    ) -> SessionStatus:
        """Return one session in detail.

        With `screen_hash` its `info` has one; with `full` all of its last output that is kept, as
        text (`last_event`).
        """
        from codewire.wire.answers.sessions import SessionInfo
        from codewire.wire.answers.status import SessionStatus

        request = {"type": "GetStatus", "id": checked_id(session_id)}
        answer = self.ask({**request, "screen_hash": screen_hash or None, "full": full or None})
        empty: dict[str, Any] = {}
        return read(SessionStatus, answer, info=read(SessionInfo, field(answer, "info", empty)))

    def kill(self, session_id: int, *, tree: bool = False) -> Killed:
        """End a session; return what came of it once its processes are gone.

        With `tree` the daemons it has started are ended, too, which are else among the survivors.
        """
        return self._end({"type": "Kill", "id": checked_id(session_id), "tree": tree or None})

    def kill_all(self, *, tree: bool = False) -> Killed:
        """End every running session; see `kill`. `count` says how many there were."""
        return self._end({"type": "KillAll", "tree": tree or None})

    def kill_by_tags(self, tags: Iterable[str], *, tree: bool = False) -> Killed:
        """End the running sessions that carry any of the tags; see `kill_all`."""
        return self._end({"type": "KillByTags", "tags": list(tags), "tree": tree or None})

    def _end(self, request: dict[str, Any]) -> Killed:
        from codewire.wire.answers.kills import Killed, Survivor

        answer = self.within(KILL_SECONDS).call(request)
        return read(Killed, answer, survivors=tuple(read_each(Survivor, answer.get("survivors"))))

    def screen(
        self,
        session_id: int,
        *,
        history_lines: int | None = None,
        ansi: bool = False,
        peek: bool = True,
    ) -> Screen:
        """Return what a session's terminal shows.

        `history` holds up to `history_lines` lines that scrolled off; with `ansi` lines keep their
        colours. `offset` is the log offset the screen is made of, `state` what its program does by
        that look: working, blocked or idle. Without `peek` a result counts
        as seen: a state of done becomes idle.
        """
        from codewire.wire.answers.screens import Cursor, Screen

        answer = self.ask(
            {
                "type": "GetScreen",
                "id": checked_id(session_id),
                "history_lines": whole_number("history_lines", history_lines, MAX_U32),
                "ansi": ansi or None,
                "peek": peek or None,
            }
        )
        empty: dict[str, Any] = {}
        return read(Screen, answer, cursor=read(Cursor, field(answer, "cursor", empty)))

    # Reading

    def logs(
        self,
        session_id: int,
        *,
        follow: bool = False,
        tail: int | None = None,
        strip_ansi: bool = True,
        from_offset: int | None = None,
        max_bytes: int | None = None,
        from_session: int | None = None,
    ) -> Iterator[LogChunk]:
        """Yield a session's log: all of it, its last `tail` lines, or from a byte offset on.

        `from_session` is the session whose terminal will show it: a node refuses circles.

        With `follow` it goes on until the session ends; without, `max_bytes` bounds how much of
        the raw log is read. Survives the replacement of the worker.
        """
        request = {
            "type": "Logs",
            "id": checked_id(session_id),
            "follow": follow,
            "tail": whole_number("tail", tail, MAX_U32),
            "strip_ansi": strip_ansi,
            "from_offset": whole_number("from_offset", from_offset, MAX_U64),
            "max_bytes": whole_number("max_bytes", max_bytes, MAX_U64),
            "from_session": from_session,
        }
        self.require(request)
        from codewire.client.readers import read_log

        return read_log(self.connect, self.redial(), request)

    def watch(
        self,
        session_id: int,
        *,
        include_history: bool = True,
        history_lines: int | None = None,
        from_offset: int | None = None,
        from_session: int | None = None,
    ) -> Iterator[WatchChunk]:
        """Yield a session's raw output until it ends; the last chunk carries its final status.

        `from_session` is the session whose terminal will show it: a node refuses circles.

        Survives the replacement of the worker.
        """
        request = {
            "type": "WatchSession",
            "id": checked_id(session_id),
            "include_history": include_history,
            "history_lines": whole_number("history_lines", history_lines, MAX_U32),
            "from_offset": whole_number("from_offset", from_offset, MAX_U64),
            "from_session": from_session,
        }
        self.require(request)
        from codewire.client.readers import read_watch

        return read_watch(self.connect, self.redial(), request)

    def subscribe(
        self,
        session_id: int | None = None,
        tags: Iterable[str] = (),
        event_types: Iterable[str] = (),
    ) -> Iterator[Happening]:
        """Yield a Subscribed, then each Event as it happens, for ever (spec/wire.md 9.4, 13).

        Filters are ANDed; none means every event. An EventsLost says how many this reader was too
        slow for; a second Subscribed that the worker was replaced.
        """
        request = {
            "type": "Subscribe",
            "id": None if session_id is None else checked_id(session_id),
            "tags": list(tags) or None,
            "event_types": list(event_types) or None,
        }
        from codewire.client.readers import read_events

        return read_events(self.connect, self.redial(), request)

    # The node

    def node_status(self) -> NodeStatus:
        """Return the node's version, processes, start times and session counts."""
        from codewire.wire.answers.node import NodeStatus

        empty: dict[str, Any] = {}
        return read(NodeStatus, field(self.ask({"type": "NodeStatus"}), "node", empty))

    def node_restart(self) -> None:
        """Replace the node's worker; sessions and attached clients live on."""
        self.call({"type": "NodeRestart"})


def _start_directory(route: Route, named: str | None) -> tuple[str, bool]:
    """Return where a launch starts, as the node knows it, and whether another place will do.

    So it is where nobody named one and the node has other files than this process. Raises
    UsageError.
    """
    try:
        here = os.path.abspath(named) if named else os.getcwd()
    except FileNotFoundError:
        if named or route.path_there("/") is not None:
            raise UsageError(
                "the current directory no longer exists; name another one (--dir)"
            ) from None
        here = "/"
    there = route.path_there(here) or ("" if named else route.start_directory)
    return there or here, not named and not there


def _is_missing(error: RequestError) -> bool:
    """Say whether a node refused a launch because of its working directory (spec/wire.md 10)."""
    if error.code:
        return error.code == "no_directory"
    # A node of another make only says it in words.
    text = str(error)
    return text.startswith("working directory ") and text.endswith(
        ("does not exist", "is not a directory")
    )
