"""What a node answers: the fleet's six requests, put to the node as any client puts them.

Blocking; called from threads of the bridge. Only what is here can be reached from NATS.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

from codewire.client.api import Client
from codewire.client.reach.route import LocalRoute
from codewire.errors import CodewireError, RequestError
from codewire.fleet.messages import DETAILED, Request, old_session_entry, reply
from codewire.io.deadline import Deadline
from codewire.paths import home
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from codewire.paths import DataDir

# Below the client's own ten seconds: it is to hear why.
NODE_SECONDS = 9.0
SNIPPET_LINES = 5
RUNNING = "running"
# The node's own words for a command that is not there.
OURS = re.compile(r'command "(.*)" (not found in PATH|does not exist)')


class Answerer:
    """Answers requests for one node. Any number of threads may share it."""

    def __init__(self, paths: DataDir, name: str) -> None:
        self._paths = paths
        self._name = name

    def answer(self, request: Request, deadline: Deadline) -> dict[str, Any]:
        """Return the reply to a request. Blocks until then; raises nothing of ours.

        Nothing is begun after it: who asked has been told that there was no answer.
        """
        if deadline.expired:
            return self.error("the node is busy: nothing was done")
        try:
            return self._dispatch(request, deadline)
        except CodewireError as error:
            return self.error(str(error))

    def error(self, words: str) -> dict[str, Any]:
        """Return a reply that says why not."""
        first = words.partition("\n")[0]
        found = OURS.match(first)
        if found:
            # As the fleet has always said it.
            first = f"Command '{found[1]}' {found[2]}"
        return reply("Error", self._name, message=first)

    def sessions(self) -> list[dict[str, Any]]:
        """Return every session as the fleet shows it. Raises CodewireError."""
        found = self._ask({"type": "ListSessions"}, Deadline.after(NODE_SECONDS)).get("sessions")
        entries = found if isinstance(found, list) else []
        return [old_session_entry(entry) for entry in entries if isinstance(entry, dict)]

    def _dispatch(self, request: Request, until: Deadline) -> dict[str, Any]:
        if request.type == "ListSessions":
            return reply("SessionList", self._name, sessions=self.sessions())
        if request.type == "Launch":
            return self._launch(request, until)
        if request.type == "GetStatus":
            return self._status(request.id, until)
        if request.type == "SendInput":
            return self._send(request, until)
        return self._kill(request.id, until)

    def _ask(self, request: dict[str, Any], until: Deadline) -> dict[str, Any]:
        client = Client(route=LocalRoute(self._paths), autostart=False, notify=lambda line: None)
        return client.until(until).ask(request)

    def _launch(self, request: Request, until: Deadline) -> dict[str, Any]:
        directory = self._directory(request.working_dir)
        answer = self._ask(
            {
                "type": "Launch",
                "command": list(request.command),
                "working_dir": directory,
                "launch_key": os.urandom(12).hex(),
            },
            until,
        )
        return reply("Launched", self._name, id=answer["id"])

    def _directory(self, given: str) -> str:
        """Return where a session starts: a relative directory counts from home."""
        directory = os.path.normpath(os.path.join(home(), given))
        if not os.path.exists(directory):
            raise RequestError(f"Working directory '{given}' does not exist")
        if not os.path.isdir(directory):
            raise RequestError(f"Working directory '{given}' is not a directory")
        return directory

    def _status(self, session_id: int, until: Deadline) -> dict[str, Any]:
        answer = self._ask({"type": "GetStatus", "id": session_id}, until)
        info, size = answer.get("info"), answer.get("output_size")
        entry = old_session_entry(info if isinstance(info, dict) else {}, DETAILED)
        snippet = entry.get("last_output_snippet")
        if isinstance(snippet, str):
            lines = snippet.replace("\r", "").split("\n")
            entry["last_output_snippet"] = "\n".join(lines[-SNIPPET_LINES:])
        return reply("SessionStatus", self._name, info=entry, output_size=size or 0)

    def _send(self, request: Request, until: Deadline) -> dict[str, Any]:
        self._find(request.id, until, must_run=True)
        order = {"type": "SendInput", "id": request.id, "data": encode_bytes(request.data)}
        self._ask(order, until)
        return reply("InputSent", self._name, id=request.id, bytes=len(request.data))

    def _kill(self, session_id: int, until: Deadline) -> dict[str, Any]:
        """Begin to end a session; a finished one keeps its status. The answer does not wait."""
        if self._find(session_id, until) == RUNNING:
            threading.Thread(target=self._end, args=(session_id,), daemon=True).start()
        return reply("Killed", self._name, id=session_id)

    def _end(self, session_id: int) -> None:
        client = Client(route=LocalRoute(self._paths), autostart=False, notify=lambda line: None)
        try:
            client.kill(session_id)
        except CodewireError:
            # It ended, or the node did; either way the session's state says so.
            pass

    def _find(self, session_id: int, until: Deadline, *, must_run: bool = False) -> str:
        """Return a session's status. Raises RequestError."""
        answer = self._ask({"type": "GetStatus", "id": session_id}, until)
        info = answer.get("info")
        status = str(info.get("status")) if isinstance(info, dict) else ""
        if must_run and status != RUNNING:
            raise RequestError(f"session {session_id} is not running")
        return status
