"""Clients for tests that run on their own thread: one that follows a session, one that pings.

They speak the raw wire, as somebody else's client would.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.rawwire import DATA, RawConnection


class Follower:
    """Follows one session, from one connection to the next, each resumed at its offset.

    `output` is every byte received, `gaps` the (offset, length) notices of bytes that are gone,
    `notice` the text of the end. Raises from `join` whatever went wrong on the thread.
    """

    def __init__(self, path: str, session_id: int, offset: int = 0) -> None:
        self._path = path
        self._session_id = session_id
        self._first = offset
        self.offset = offset
        self.output = bytearray()
        self.gaps: list[tuple[int, int]] = []
        self.notice = ""
        self.connections = 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, timeout: float = 30.0) -> bytes:
        """Return all output once the session has ended."""
        self._thread.join(timeout)
        if self._error is not None:
            raise AssertionError(f"follower of {self._session_id}: {self._error!r}")
        assert self.notice, f"no end of session {self._session_id} within {timeout} s"
        return bytes(self.output)

    def _run(self) -> None:
        try:
            while not self.notice:
                try:
                    with RawConnection(self._path, timeout=60) as connection:
                        self.connections += 1
                        self._follow(connection)
                except (BrokenPipeError, ConnectionResetError):
                    continue
        except Exception as error:  # noqa: BLE001 - whatever it is, the test's own thread raises it
            self._error = error

    def _follow(self, connection: RawConnection) -> None:
        request = {"type": "Attach", "id": self._session_id, "from_offset": self.offset}
        connection.send_control(request)
        while (frame := receive(connection)) is not None:
            kind, payload = frame
            if kind == DATA:
                assert not self.notice, "output after the end notice"
                self.output += payload
                self.offset += len(payload)
                continue
            message = json.loads(payload)
            if message["type"] == "Attached":
                lowest = max((start + size for start, size in self.gaps), default=self._first)
                assert message["offset"] >= max(lowest, self.offset), (message, self.offset)
            elif message["type"] == "Gap":
                assert message["offset"] == self.offset + message["gap"], (message, self.offset)
                self.gaps.append((self.offset, message["gap"]))
                self.offset = message["offset"]
            elif message["type"] == "Error" and message.get("code") == "no_worker":
                # The keeper's word, on a machine that is slow to start the next one.
                return
            elif message["type"] == "Error":
                self.notice = message["message"]


def receive(connection: RawConnection) -> tuple[int, bytes] | None:
    """Return the next frame; None also where the node was killed in the middle of one."""
    try:
        return connection.receive()
    except AssertionError:
        return None


class Probe:
    """Asks for the list of sessions again and again: what the others feel. Ended by `stop`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self.slowest = 0.0
        self.answers = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the longest time an answer took, in seconds."""
        self._stopping.set()
        self._thread.join(30)
        if self._error is not None:
            raise AssertionError(f"another client was harmed: {self._error!r}")
        assert not self._thread.is_alive(), "the probe was not answered"
        return self.slowest

    def _run(self) -> None:
        try:
            while not self._stopping.wait(0.01) or not self.answers:
                started = time.monotonic()
                with RawConnection(self._path) as connection:
                    answer: dict[str, Any] = connection.request({"type": "ListSessions"})
                assert answer["type"] == "SessionList", answer
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.answers += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test's own thread raises it
            self._error = error
