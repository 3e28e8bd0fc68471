"""Incremental UTF-8: a character cut by a read is held back, invalid bytes become U+FFFD.

Output of sessions is bytes, LogData and WatchUpdate carry text: each such stream has one of these.
"""

from __future__ import annotations

import codecs


class Utf8Stream:
    """Bytes in, text out; the same text however the bytes are cut. Holds at most 3 bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, final: bool = False) -> str:
        """Return the text that is complete; `final` also gives what is held back, as U+FFFD."""
        return self._decoder.decode(data, final)

    @property
    def pending(self) -> int:
        """How many bytes are held back."""
        return len(self._decoder.getstate()[0])
