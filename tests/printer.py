"""Programs to run in sessions whose every output byte is known beforehand.

Printed lines are numbered and, with the terminal's CR LF, exactly LINE_BYTES long: what belongs at
an offset of the log follows from the offset alone. Run by path (`command` gives the argv).

    printer.py flood SEED CODE LINES CHUNKS STOP SUM
        prints LINES lines every 40 ms, CHUNKS times or until the file STOP exists; then writes the
        number of lines to the file SUM and exits with CODE
    printer.py ask SEED
        prints READY, then for each number typed that many lines; ends on "end"
"""

from __future__ import annotations

import os
import sys
import time

LINE_BYTES = 100
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
READY = b"READY\r\n"


def line(seed: int, number: int) -> bytes:
    """Return line `number` as it is in the log."""
    start = (seed * 7 + number) % len(ALPHABET)
    filler = (ALPHABET[start:] + ALPHABET * 2)[: LINE_BYTES - 16]
    return f"{seed:04d} {number:08d} {filler}\r\n".encode()


def lines(seed: int, first: int, count: int) -> bytes:
    """Return `count` lines from `first` on as they are in the log."""
    return b"".join(line(seed, number) for number in range(first, first + count))


def expected(seed: int, offset: int, count: int) -> bytes:
    """Return what belongs at `offset` of a log that holds nothing but lines."""
    first = offset // LINE_BYTES
    whole = lines(seed, first, count // LINE_BYTES + 2)
    return whole[offset - first * LINE_BYTES :][:count]


def command(*args: object) -> list[str]:
    """Return the argv of one of the programs."""
    return [sys.executable, "-IS", os.path.abspath(__file__), *map(str, args)]


def _print(data: bytes) -> None:
    """Write all of it; the terminal turns LF into CR LF."""
    view = memoryview(data.replace(b"\r\n", b"\n"))
    while view:
        view = view[os.write(1, view) :]


def _flood(seed: int, code: int, count: int, chunks: int, stop: str, total: str) -> int:
    printed = 0
    for _ in range(chunks):
        _print(lines(seed, printed, count))
        printed += count
        if os.path.exists(stop):
            break
        time.sleep(0.04)
    with open(total + ".new", "w", encoding="ascii") as file:
        file.write(str(printed))
    os.replace(total + ".new", total)
    return code


def _ask(seed: int) -> int:
    import termios

    settings = termios.tcgetattr(0)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, settings)
    _print(READY)
    printed = 0
    for request in sys.stdin:
        if request.strip() == "end":
            return 0
        _print(lines(seed, printed, int(request)))
        printed += int(request)
    return 1


if __name__ == "__main__":
    mode, *args = sys.argv[1:]
    if mode == "flood":
        sys.exit(_flood(*map(int, args[:4]), args[4], args[5]))  # type: ignore[call-arg]
    sys.exit(_ask(int(args[0])))
