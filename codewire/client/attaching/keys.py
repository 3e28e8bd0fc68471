"""What is typed at an attached terminal: keys for the session, the detach chord, and answers to us.

Pure: handed what was read and `now` (seconds of any clock that never goes back).
"""

from __future__ import annotations

from codewire.client.attaching.outerstatus import OuterStatus
from codewire.term.chord import DetachChord

# A lone ESC may begin the chord's kitty form, or an answer; a person does not type this fast.
CHORD_SECONDS = 0.05
# A paste comes in one go. One that pauses for so long has lost its end, and keys are keys again.
PASTE_SECONDS = 10.0


class Keys:
    """Keystrokes in; bytes for the session, and DETACH, out. `due` says when to call `flush`."""

    def __init__(self, detach_letter: str, status: OuterStatus, now: float) -> None:
        self._chord = DetachChord(detach_letter)
        self._status = status
        self._last = now
        self.due: float | None = None

    def feed(self, data: bytes, now: float) -> list[bytes | object]:
        """Return what to forward, in order, and DETACH where the chord was completed."""
        if self._chord.is_pasting and now - self._last > PASTE_SECONDS:
            self._chord.end_paste()
        self._last = now
        if not self._chord.is_pasting:
            data = self._status.feed(data)
        events = self._chord.feed(data)
        is_holding = self._chord.holding or self._status.holding
        self.due = now + CHORD_SECONDS if is_holding else None
        return events

    def flush(self) -> bytes:
        """Return what was held back: nothing followed in time, so it was keys of its own."""
        self.due = None
        # The beginning of an answer is no chord.
        events = self._chord.feed(self._status.flush())
        return b"".join(e for e in events if isinstance(e, bytes)) + self._chord.flush()
