"""What a program says beside its screen: title, progress, reports, notifications, prompts.

Pure. One more reader of the output; knows no screen. See xterm's ctlseqs(ms) for OSC 0 and 2,
ConEmu's OSC 9;4 (progress), OSC 9, 99 and 777 (notifications), OSC 133 (shell prompts).
"""

from __future__ import annotations

from codewire.term.parser import ESCAPE, OSC, Parser, split_osc
from codewire.term.programstatus import ProgramStatus
from codewire.term.resumption import Resumption, parse_resumption

STATUS_QUERY = b"?"
MAX_TITLE = 256


class Signals:
    """The signals of one terminal; `now` is any clock in seconds that never goes back."""

    def __init__(self) -> None:
        self._parser = Parser(sequences_only=True)
        self.status = ProgramStatus()
        self.status_at = 0.0
        self.title = ""
        self.title_at = 0.0
        # ConEmu: 0 none, 1 a percentage, 2 error, 3 busy, 4 paused.
        self.progress = 0
        self.notification = ""
        self.notified_at = 0.0
        self.has_prompt = False
        self.resumption = Resumption()

    def feed(self, data: bytes, now: float) -> None:
        """Take the next bytes of output."""
        for kind, raw in self._parser.feed(data):
            if kind == OSC:
                self._osc(raw, now)
            elif kind == ESCAPE and raw == b"\x1bc":
                self.status.reset()
                self.title, self.progress = "", 0

    def _osc(self, raw: bytes, now: float) -> None:
        number, body = split_osc(raw)
        if number == 7501 and body != STATUS_QUERY:
            if self.status.apply(body):
                self.status_at = now
        elif number in (26, 88):
            self.resumption = parse_resumption(body, self.resumption)
            if number == 26 and self.status.apply_agent(body):
                self.status_at = now
        elif number in (0, 2):
            self.title, self.title_at = _clean(body), now
        elif number == 9 and body.startswith(b"4;"):
            state = body[2:3]
            self.progress = int(state) if state in (b"0", b"1", b"2", b"3", b"4") else 0
        elif number in (9, 99, 777):
            self.notification, self.notified_at = _clean(body), now
        elif number == 133 and body[:1] == b"A":
            self.has_prompt = True
            self.status.forget_activity()


def _clean(body: bytes) -> str:
    text = body.decode("utf-8", "replace")[:MAX_TITLE]
    return "".join(c for c in text if c.isprintable()).strip()
