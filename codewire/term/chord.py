"""The detach chord, Ctrl+B then d, found in a stream of keystrokes (spec/cli.md 6).

Terminals with the kitty keyboard protocol send both keys as CSI … u; both forms count. Bytes that
may begin the chord are held; `flush` gives them back when nothing follows (a lone ESC key).
"""

from __future__ import annotations

PREFIX = b"\x02"

DETACH = object()
"""The event that says the chord is complete."""

NORMAL, ESC, SEQUENCE, PREFIXED, PREFIXED_ESC, PREFIXED_SEQUENCE = range(6)

# No key report is longer; what goes on like this is no key.
MAX_HELD = 64


class DetachChord:
    """Keystrokes in; bytes for the session, and DETACH, out."""

    def __init__(self) -> None:
        self._state = NORMAL
        self._held = bytearray()

    @property
    def holding(self) -> bool:
        """Say whether bytes are held back that a pause should release (the prefix itself is not)."""
        return self._state not in (NORMAL, PREFIXED)

    def feed(self, data: bytes) -> list[bytes | object]:
        """Return what to forward, in order, and DETACH where the chord was completed."""
        events: list[bytes | object] = []
        out = bytearray()
        for byte in data:
            if self._step(byte, out):
                if out:
                    events.append(bytes(out))
                    out.clear()
                events.append(DETACH)
        if out:
            events.append(bytes(out))
        return events

    def flush(self) -> bytes:
        """Return the held bytes: nothing followed in time. A held prefix stays held."""
        if self._state in (NORMAL, PREFIXED):
            return b""
        held = bytes(self._held)
        self._held.clear()
        if self._state in (PREFIXED_ESC, PREFIXED_SEQUENCE):
            held = PREFIX + held
        self._state = NORMAL
        return held

    def _step(self, byte: int, out: bytearray) -> bool:
        """Take one byte; return whether it completed the chord."""
        state = self._state
        if state == NORMAL:
            return self._from_normal(byte, out)
        if state == PREFIXED:
            return self._from_prefix(byte, out)
        self._held.append(byte)
        if state in (ESC, PREFIXED_ESC):
            self._from_escape(byte, out)
            return False
        return self._in_sequence(byte, out)

    def _from_normal(self, byte: int, out: bytearray) -> bool:
        if byte == 0x02:
            self._state = PREFIXED
        elif byte == 0x1B:
            self._hold(byte, ESC)
        else:
            out.append(byte)
        return False

    def _from_prefix(self, byte: int, out: bytearray) -> bool:
        if byte == 0x1B:
            self._hold(byte, PREFIXED_ESC)
            return False
        self._state = NORMAL
        if byte == ord("d"):
            return True
        # Ctrl+B twice is one literal Ctrl+B.
        out += PREFIX if byte == 0x02 else PREFIX + bytes((byte,))
        return False

    def _hold(self, byte: int, state: int) -> None:
        self._held[:] = bytes((byte,))
        self._state = state

    def _from_escape(self, byte: int, out: bytearray) -> None:
        prefixed = self._state == PREFIXED_ESC
        if byte == ord("["):
            self._state = PREFIXED_SEQUENCE if prefixed else SEQUENCE
        elif byte == 0x1B:
            # An ESC key, then perhaps a sequence.
            out.append(0x1B)
            self._held[:] = b"\x1b"
        else:
            self._release(out, PREFIXED if prefixed else NORMAL)

    def _in_sequence(self, byte: int, out: bytearray) -> bool:
        prefixed = self._state == PREFIXED_SEQUENCE
        if 0x20 <= byte <= 0x3F and len(self._held) < MAX_HELD:
            return False
        if byte != ord("u") or not 0x40 <= byte <= 0x7E:
            is_report = 0x40 <= byte <= 0x7E
            if prefixed and not is_report:
                out += PREFIX
            # Focus, cursor and mouse reports may come between the two keys.
            self._release(out, PREFIXED if prefixed and is_report else NORMAL)
            return False
        key, modifiers = _key(bytes(self._held[2:-1]))
        if prefixed and key == ord("d") and modifiers == 1:
            self._held.clear()
            self._state = NORMAL
            return True
        if key == ord("b") and modifiers == 5:
            if prefixed:
                self._release(out, NORMAL)
            else:
                self._held.clear()
                self._state = PREFIXED
            return False
        if prefixed:
            out += PREFIX
        self._release(out, NORMAL)
        return False

    def _release(self, out: bytearray, state: int) -> None:
        out += self._held
        self._held.clear()
        self._state = state


def _key(parameters: bytes) -> tuple[int, int]:
    """Return (key code, modifiers) of CSI parameters `code[:…][;modifiers[:…]]`, (0, 0) if none."""
    fields = parameters.split(b";")
    numbers = [field.split(b":")[0] for field in fields]
    if not numbers[0].isdigit() or (len(numbers) > 1 and numbers[1] and not numbers[1].isdigit()):
        return 0, 0
    return int(numbers[0]), int(numbers[1]) if len(numbers) > 1 and numbers[1] else 1
