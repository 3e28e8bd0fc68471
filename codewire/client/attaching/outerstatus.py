"""What the terminal around shows of the session's state: OSC 7501, where that terminal knows it.

Pure: takes what is typed and what the node says, returns bytes. The terminal is asked once, behind
the first output, and nobody waits for the answer; one that gives none is told nothing.
"""

from __future__ import annotations

import re
from typing import Any

from codewire.term.programstatus import APP, STATES, Report, write_report
from codewire.term.queries import STATUS_QUERY

QUERY = b"\x1b]7501;?\x1b\\"
CLEAR = b"\x1b]7501;state=clear\x1b\\"
# The beginning of an answer, at the end of what was read; the rest may be on its way.
BEGUN = re.compile(rb"\x1b(?:\](?:7(?:5(?:0(?:1(?:;(?:\?\x1b?)?)?)?)?)?)?)?\Z")
# Terminals that print what they do not know.
PRINTS_ALL = ("", "dumb", "linux")
# A state that the program reports itself is in its output, which the terminal gets anyway.
REPORTED = "report"


class OuterStatus:
    """One attachment's. Asked for nothing more once the terminal has answered."""

    def __init__(self, term: str) -> None:
        """`term` is $TERM."""
        self.query = b"" if term in PRINTS_ALL else QUERY
        self._awaits = bool(self.query)
        self.is_known = False
        self._held = b""
        self._state: dict[str, Any] = {}
        self._told = ""
        self._is_due = False

    @property
    def holding(self) -> bool:
        """Say whether what may be an answer is held back; after about 50 ms call `flush`."""
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        """Return what was typed, without the terminal's answer."""
        if not self._awaits:
            return data
        data, self._held = self._held + data, b""
        found = STATUS_QUERY.search(data)
        if found:
            self._awaits, self.is_known = False, True
            self._is_due = bool(self._state)
            return data[: found.start()] + data[found.end() :]
        begun = BEGUN.search(data)
        if begun:
            self._held, data = begun[0], data[: begun.start()]
        return data

    def flush(self) -> bytes:
        """Return what was held back: no answer followed, so it was keys."""
        held, self._held = self._held, b""
        return held

    def take(self, state: dict[str, Any]) -> None:
        """Take the session's state from the node (a control message, untrusted)."""
        is_first = not self._state
        self._state = state
        self._is_due = self.is_known and (is_first or state.get("source") != REPORTED)

    def again(self) -> None:
        """The terminal has been given back meanwhile: tell it once more."""
        self._is_due = self.is_known and bool(self._state)

    def due(self) -> bytes:
        """Return what to tell the terminal now, b"" for nothing new."""
        if not self._is_due:
            return b""
        self._is_due = False
        texts = {key: value for key, value in self._state.items() if isinstance(value, str)}
        state = texts.get("state", "")
        if state == "idle" and self._told == "working":
            # Seen here counts as seen by us; whether somebody looks, that terminal knows.
            state = "done"
        self._told = state = state if state in STATES else "idle"
        app = texts.get("agent", "")
        return write_report(
            Report(
                state,
                texts.get("kind", ""),
                app if APP.match(app) else "cw",
                message=texts.get("reason", ""),
            )
        )

    def leave(self) -> bytes:
        """Return what takes back everything that was told, by the program, too."""
        return CLEAR if self.is_known else b""
