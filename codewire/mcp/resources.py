"""Resources: the screen of each session, to be read, and to be told of when it changes."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from codewire.errors import CodewireError, RequestError
from codewire.mcp.memory import lines_of
from codewire.mcp.tool import MAX_CHARS, plain_text, session_number
from codewire.wire.codes import NO_SUCH_SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.mcp.calls import CallClient
    from codewire.mcp.rpc import Message
    from codewire.wire.answers.sessions import SessionInfo

SCREEN_URI = re.compile(r"codewire://sessions/([^/?#]+)/screen\Z")
MIME_TYPE = "text/plain"
MAX_LISTED = 1000
MAX_SUBSCRIPTIONS = 64
# How often a screen is looked at, and how long to leave a node in peace that does not answer.
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 5.0

TEMPLATES: list[dict[str, Any]] = [
    {
        "uriTemplate": "codewire://sessions/{id}/screen",
        "name": "screen",
        "title": "Screen of a session",
        "description": "What the terminal of a session shows now; id is its id or name. Subscribe "
        "to be told when it changes.",
        "mimeType": MIME_TYPE,
    }
]


def list_resources(client: CallClient) -> Message:
    """Return the screens of what runs, the newest MAX_LISTED."""
    running = [session for session in client.list_sessions() if session.is_running]
    return {"resources": [_described(session) for session in running[-MAX_LISTED:]]}


def _described(session: SessionInfo) -> dict[str, Any]:
    return {
        "uri": f"codewire://sessions/{session.id}/screen",
        "name": plain_text(f"screen of {session.label}"),
        "description": plain_text(session.prompt)[:200],
        "mimeType": MIME_TYPE,
    }


def read_resource(client: CallClient, uri: str) -> Message:
    """Return what a screen shows. Raises RequestError, CodewireError."""
    screen = dict(client.screen(session_of(client, uri)).sent)
    text = plain_text("\n".join(lines_of(screen)))[:MAX_CHARS]
    return {"contents": [{"uri": uri, "mimeType": MIME_TYPE, "text": text}]}


def session_of(client: CallClient, uri: str) -> int:
    """Return the session whose screen a URI names. Raises RequestError, CodewireError."""
    found = SCREEN_URI.match(uri)
    if found is None:
        raise RequestError(f"no such resource: {uri}; they are codewire://sessions/ID/screen")
    return session_number(client, unquote(found[1]))


class Subscriptions:
    """Who wants to be told of which screen. `tell` sends a notification's URI; any thread calls."""

    def __init__(self, new_client: Callable[[], CallClient], tell: Callable[[str], None]) -> None:
        self._new_client = new_client
        self._tell = tell
        self._lock = threading.Lock()
        self._ends: dict[str, threading.Event] = {}

    def add(self, client: CallClient, uri: str) -> Message:
        """Tell of changes from now on. Raises RequestError, CodewireError."""
        session_id = session_of(client, uri)
        seen = self._hash(client, session_id)[0]
        end = threading.Event()
        with self._lock:
            if uri in self._ends:
                return {}
            if len(self._ends) >= MAX_SUBSCRIPTIONS:
                raise RequestError(f"at most {MAX_SUBSCRIPTIONS} subscriptions; end some first")
            self._ends[uri] = end
        watch = threading.Thread(target=self._watch, args=(uri, session_id, seen, end), daemon=True)
        watch.start()
        return {}

    def remove(self, uri: str) -> None:
        """Tell of it no longer. Idempotent."""
        with self._lock:
            end = self._ends.pop(uri, None)
        if end is not None:
            end.set()

    def close(self) -> None:
        """End them all."""
        for uri in list(self._ends):
            self.remove(uri)

    def _watch(self, uri: str, session_id: int, seen: str, end: threading.Event) -> None:
        pause = LOOK_SECONDS
        while not end.wait(pause):
            pause = LOOK_SECONDS
            try:
                now, is_over = self._hash(self._new_client(), session_id)
            except CodewireError as error:
                if getattr(error, "code", "") == NO_SUCH_SESSION:
                    # It has been forgotten.
                    self._tell(uri)
                    self.remove(uri)
                    return
                pause = PAUSE_SECONDS
                continue
            if now != seen and not end.is_set():
                self._tell(uri)
            seen = now
            if is_over:
                self.remove(uri)
                return

    @staticmethod
    def _hash(client: CallClient, session_id: int) -> tuple[str, bool]:
        """Return what stands for the screen, and whether nothing will change it any more."""
        answer = client.status(session_id, screen_hash=True)
        shown = answer.info.screen_hash or answer.output_size
        return f"{answer.info.status} {shown}", not answer.info.is_running
