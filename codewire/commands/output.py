"""What commands print: results on stdout, talk on stderr, tables by display width, JSON.

Streams are written as UTF-8 whatever the locale, so that no byte of a log can make a command fail.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CLOSED = "stdout is closed: there is nowhere to write the result to"
NANOSECONDS = 1_000_000_000
# Whoever shares our terminal or pipe may have made it non-blocking; this long until the next try.
FULL_SECONDS = 0.01


def write(text: str, *, flush: bool = False) -> None:
    """Write text to stdout as it is. Raises OSError, and CodewireError where stdout is closed."""
    if sys.stdout is None:
        if not text:
            return
        raise CodewireError(CLOSED)
    data = text.encode("utf-8", "replace")
    while data:
        data = data[_write_some(data) :]
    if flush:
        flush_stdout()


def require_stdout() -> None:
    """Raise CodewireError where stdout is closed: for what must not be done and then not told."""
    if sys.stdout is None:
        raise CodewireError(CLOSED)


def _write_some(data: bytes) -> int:
    """Write what stdout takes: all of it, unless Python runs unbuffered (-u) or it is full."""
    try:
        written = sys.stdout.buffer.write(data)
    except BlockingIOError as error:
        written = error.characters_written
    if not written:
        time.sleep(FULL_SECONDS)
    return written or 0


def flush_stdout() -> None:
    """Hand everything written so far to the system. Raises OSError."""
    while sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BlockingIOError:
            time.sleep(FULL_SECONDS)
        else:
            return


def line(text: str) -> None:
    """Write one line of results."""
    write(text + "\n")


def note(text: str) -> None:
    """Say something on stderr; nobody listening is no error.

    Some of it comes from other nodes: no control character gets through.
    """
    if sys.stderr is None:
        return
    from codewire.term.width import harmless

    text = harmless(text)
    try:
        sys.stderr.write(text.encode("utf-8", "replace").decode() + "\n")
        sys.stderr.flush()
    except OSError:
        pass


def notice(text: str) -> None:
    """Say something as cw, not as a result: `[cw] …` on stderr."""
    note("[cw] " + text)


def show_json(value: Any) -> None:
    """Print a value for programs: indented by 2, characters outside ASCII as themselves.

    But for those that a terminal acts on: they are spelt out (`\\u009b`).
    """
    from codewire.term.width import harmless_json

    line(harmless_json(json.dumps(value, indent=2, ensure_ascii=False)))


def compact_json(value: Any) -> str:
    """Return a value as one line of JSON."""
    from codewire.term.width import harmless_json

    return harmless_json(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def wants_json(args: dict[str, Any]) -> bool:
    """Say whether --json or --output json was given."""
    return bool(args["--json"]) or args["--output"] == "json"


def table(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> None:
    """Print rows in columns, one blank between them; a cell wider than its column shifts the rest.

    widths are in terminal cells. Cut cells with `term.width.clip` first where they must fit.
    """
    from codewire.term.width import display_width, printable

    for row in rows:
        cells = [printable(cell) for cell in row]
        padded = [
            cell + " " * (width - display_width(cell))
            for cell, width in zip(cells, widths, strict=True)
        ]
        line(" ".join(padded).rstrip())


def fields(pairs: Iterable[tuple[str, object]], width: int) -> None:
    """Print `  Label: value` lines with the values in one column; None leaves its line out."""
    from codewire.term.width import printable

    for label, value in pairs:
        if value is not None:
            line(f"  {label + ':':<{width}}{printable(str(value))}".rstrip())


def plain(text: str) -> str:
    """Return terminal output as text lines: no escapes, no CR before LF, no blank end.

    No character is left that a terminal acts on, but for tabs and line ends.
    """
    from codewire.term.strip import strip_ansi
    from codewire.term.width import harmless

    data = harmless(strip_ansi(text.encode("utf-8", "replace")).decode("utf-8", "replace"))
    return data.replace("\r\n", "\n").rstrip("\r\n")


def coloured_only(text: str) -> str:
    """Return a line with its colours (SGR) as the only escapes."""
    from codewire.term.sgr import SGR
    from codewire.term.strip import SEQUENCE
    from codewire.term.width import harmless

    kept, data, start = [], text.encode("utf-8", "replace"), 0
    for found in SEQUENCE.finditer(data):
        kept.append(harmless(data[start : found.start()].decode("utf-8", "replace")))
        kept.append(found[0].decode() if SGR.fullmatch(found[0]) else "")
        start = found.end()
    return "".join(kept) + harmless(data[start:].decode("utf-8", "replace"))


def age(created_at: str, now_ns: int) -> str:
    """Return how long ago a timestamp was: `42s ago`, `7m ago`, `3h ago`, `2d ago`."""
    from codewire.wire.timestamps import parse_timestamp

    try:
        seconds = max(0, now_ns - parse_timestamp(created_at)) // NANOSECONDS
    except ValueError:
        return "-"
    for limit, unit, letter in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter} ago"
    return f"{seconds // 86400}d ago"


def is_terminal() -> bool:
    """Say whether results go to a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def coloured(text: str, colour: int) -> str:
    """Return text in an ANSI colour (1 to 6) on a terminal, unless NO_COLOR is set."""
    if not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[3{colour}m{text}\x1b[0m"


def go_cause(error: OSError) -> str:
    """Word a failed open as upstream does: `open x: no such file or directory`."""
    cause = error.strerror or str(error)
    return f"open {error.filename}: {cause[:1].lower()}{cause[1:]}"


def silence_stdout() -> None:
    """Point stdout at /dev/null, so that nothing is written to a closed pipe on exit."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
