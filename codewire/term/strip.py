"""Strip escape sequences (spec/wire.md 16), statefully."""

from __future__ import annotations

GROUND, ESCAPE, CSI, STRING, STRING_ESCAPE, INTERMEDIATE = range(6)


class AnsiStripper:
    """Bytes in, bytes without escape sequences out; state is carried across calls."""

    def __init__(self) -> None:
        self._state = GROUND
        self.pending = 0

    def feed(self, data: bytes) -> bytes:
        """Return what is text."""
        if self._state == GROUND and b"\x1b" not in data:
            return data
        out = bytearray()
        for byte in data:
            self._step(byte, out)
            self.pending = 0 if self._state == GROUND else self.pending + 1
        return bytes(out)

    def _step(self, byte: int, out: bytearray) -> None:
        state = self._state
        if state == GROUND:
            if byte == 0x1B:
                self._state = ESCAPE
            else:
                out.append(byte)
        elif state in (ESCAPE, INTERMEDIATE):
            if state == ESCAPE and byte == 0x5B:
                self._state = CSI
            elif state == ESCAPE and byte in b"]PX^_":
                self._state = STRING
            elif 0x20 <= byte <= 0x2F:
                self._state = INTERMEDIATE
            else:
                self._state = GROUND
        elif state == CSI:
            if 0x40 <= byte <= 0x7E:
                self._state = GROUND
        elif state == STRING:
            if byte == 0x07:
                self._state = GROUND
            elif byte == 0x1B:
                self._state = STRING_ESCAPE
        elif state == STRING_ESCAPE:
            self._state = GROUND if byte == 0x5C else STRING


def strip_ansi(data: bytes) -> bytes:
    """Return `data` without escape sequences; an unfinished one is dropped to the end."""
    return AnsiStripper().feed(data)
