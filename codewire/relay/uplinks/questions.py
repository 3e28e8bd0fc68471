"""Counts of what relays of one database ask each other, for /metrics and `cw relay status`."""

from __future__ import annotations

import threading

# Asked by us: the other relay does not answer, or is none of this database; it answers no, as its
# node may; there is no thread to carry the stream.
UNREACHABLE, REFUSED, NO_THREAD = "unreachable", "refused", "no_thread"
# Asked of us: with a pass that is not good, and what was answered no.
BAD_PASS, SAID_NO = "bad_pass", "said_no"
ASKED, ANSWERED = "questions", "questions_answered"
FAILURES = {
    **{reason: f"questions_failed_{reason}" for reason in (UNREACHABLE, REFUSED, NO_THREAD)},
    **{reason: f"questions_denied_{reason}" for reason in (BAD_PASS, SAID_NO)},
}


class Questions:
    """Questions so far, and the streams there are by them. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = dict.fromkeys((ASKED, ANSWERED, *FAILURES.values()), 0)
        # Streams whose bytes are passed on to another relay, and those of others to nodes here.
        self._open = {"passes_open": 0, "passes_open_for_others": 0}

    def count(self, what: str) -> None:
        """Count a question (ASKED, ANSWERED) or why one failed."""
        name = FAILURES.get(what, what)
        with self._lock:
            self._totals[name] += 1

    def opened(self, *, for_others: bool, by: int = 1) -> None:
        """Note that a stream is there; `by` -1: no more."""
        name = "passes_open_for_others" if for_others else "passes_open"
        with self._lock:
            self._open[name] += by

    def figures(self) -> dict[str, int]:
        """Return all of them as they are now, by the names they are shown under."""
        with self._lock:
            totals = {f"{name}_total": number for name, number in self._totals.items()}
            return {**totals, **self._open}
