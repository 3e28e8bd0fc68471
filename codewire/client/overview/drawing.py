"""The overview as lines of text: the list above, the selected session's screen below. Pure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from codewire.client.overview.states import age_words, mark, state_words
from codewire.term.paint import RESET, pad
from codewire.term.width import clip, display_width, harmless, printable

if TYPE_CHECKING:
    from codewire.client.overview.board import Board, Entry
    from codewire.term.paint import Paint

KEYS = "↑↓ select  Enter attach  n next blocked  p prompt  k kill  / filter  q quit"
# A header, a rule above the preview, and the line of keys.
FRAME_ROWS = 3
MIN_LIST, MIN_PREVIEW = 3, 4
MAX_LABEL = 40
# At least, so that columns stay where they are while times count on.
STATE_WIDTH, AGE_WIDTH = 12, 7
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def draw(board: Board, rows: int, cols: int, now_ns: int, paint: Paint) -> list[str]:
    """Return `rows` lines of at most `cols` cells each."""
    entries = board.visible()
    above, below = _shares(len(entries), rows)
    lines = [_header(board, cols, now_ns, paint)]
    lines += _list(board, entries, above, cols, now_ns, paint)
    if below:
        lines += _preview(board, below, cols, paint)
    lines = lines[: rows - 1] + [""] * (rows - 1 - len(lines))
    return [*lines, _footer(board, cols, paint)][-rows:]


def _shares(count: int, rows: int) -> tuple[int, int]:
    """Return how many rows the list and the preview get, its rule included in neither."""
    room = rows - FRAME_ROWS
    if room < MIN_LIST + MIN_PREVIEW:
        return max(1, rows - 2), 0
    above = min(max(count, MIN_LIST), max(MIN_LIST, room // 2))
    return above, room - above


def _header(board: Board, cols: int, now_ns: int, paint: Paint) -> str:
    counts = [f"{count} {state}" for state, count in board.counts().items()]
    words = ", ".join(counts) or ("no sessions" if all(board.has_answered) else "asking…")
    troubles = [
        f"{node + ': ' if node else ''}{trouble}"
        for node, trouble in zip(board.nodes, board.troubles, strict=True)
        if trouble
    ]
    at = time.localtime(now_ns // 1_000_000_000)
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}"
    if troubles:
        return paint(clip(printable("cw top  " + "; ".join(troubles)), cols, "…"), "red", bold=True)
    shown = f"  filter: {board.filter}" if board.filter and board.asks != "filter" else ""
    left = clip(printable(f"cw top  {words}{shown}"), max(1, cols - 6), "…")
    return paint(pad(left, cols - 5) + clock if cols > 12 else left, "", bold=True)


def _list(
    board: Board, entries: list[Entry], room: int, cols: int, now_ns: int, paint: Paint
) -> list[str]:
    places = [entry.key for entry in entries]
    place = places.index(board.selected) if board.selected in places else 0
    # The selected one in the middle, as far as the ends allow.
    first = max(0, min(place - room // 2, len(entries) - room))
    shown = entries[first : first + room]
    labels = [printable(entry.label) for entry in shown]
    label_width = min(max(map(display_width, labels), default=0), MAX_LABEL, max(8, cols // 2))
    states = [printable(state_words(entry.info, now_ns)) for entry in shown]
    ages = [_age(entry, now_ns) for entry in shown]
    widths = (
        label_width,
        max(map(len, [*states, " " * STATE_WIDTH])),
        max(map(len, [*ages, " " * AGE_WIDTH])),
    )
    lines = [
        _entry_line(entry, (label, state, age), widths, cols, entry.key == board.selected, paint)
        for entry, label, state, age in zip(shown, labels, states, ages, strict=True)
    ]
    return lines + [""] * (room - len(lines))


def _age(entry: Entry, now_ns: int) -> str:
    return age_words(entry.info, now_ns).removeprefix("finished ")


def _entry_line(
    entry: Entry,
    cells: tuple[str, str, str],
    widths: tuple[int, int, int],
    cols: int,
    is_selected: bool,
    paint: Paint,
) -> str:
    glyph, colour = mark(entry.info)
    label, state, age = cells
    name = pad(clip(label, widths[0], "…"), widths[0])
    rest = f" {pad(age, widths[2])}  {_words(entry)}"
    state = pad(state, widths[1])
    if is_selected:
        line = clip(f"▸{glyph} {name} {state}{rest}", cols, "…")
        return f"\x1b[7m{pad(line, cols)}{RESET}"
    used = 3 + widths[0] + 1 + widths[1]
    if used > cols:
        return clip(f" {glyph} {name} {state}", cols, "…")
    tail = clip(rest, cols - used, "…")
    return f" {paint(glyph, colour)} {name} {paint(state, colour)}{tail}".rstrip()


def _words(entry: Entry) -> str:
    """Return what a session says: why it waits, else its last line, else what it runs."""
    info = entry.info
    asked = info.state_reason if info.is_running and info.state in ("blocked", "error") else ""
    return printable(asked or entry.line or info.prompt)


def _preview(board: Board, room: int, cols: int, paint: Paint) -> list[str]:
    entry = board.entry(board.selected)
    if entry is None:
        return [paint("─" * cols, "grey"), *[""] * room]
    size = f" · {board.screen.cols}x{board.screen.rows}" if board.screen else ""
    title = clip(f"── {printable(entry.label)} · {printable(entry.info.prompt)}", cols - 14, "…")
    rule = f"{title}{size} "
    lines = [paint(clip(rule + "─" * max(0, cols - display_width(rule)), cols, ""), "grey")]
    shown = [shorten(line, cols, paint.is_on) for line in _bottom(board, room)]
    return lines + shown + [""] * (room - len(shown))


def _bottom(board: Board, room: int) -> list[str]:
    """Return the last rows of the selected screen, without the empty ones at its end."""
    if board.screen is None:
        return []
    lines = list(board.screen.lines)
    while lines and not COLOUR.sub("", lines[-1]).strip():
        lines.pop()
    return lines[-room:]


def shorten(line: str, cols: int, has_colours: bool) -> str:
    """Return a line cut to `cols` cells, with its colours as the only escapes, or without."""
    kept, used, start, is_coloured = [], 0, 0, False
    for found in [*COLOUR.finditer(line), None]:
        text = harmless(line[start : found.start() if found else len(line)])
        part = clip(text.replace("\t", " "), cols - used, "") if used < cols else ""
        used += display_width(part)
        kept.append(part)
        if found:
            start = found.end()
            kept.append(found[0] if has_colours else "")
            is_coloured = has_colours
    return "".join(kept) + (RESET if is_coloured else "")


def _footer(board: Board, cols: int, paint: Paint) -> str:
    target = board.target()
    label = printable(target.label) if target else ""
    if board.asks == "kill":
        return paint(clip(f"kill {label} and all it started? y/N", cols, "…"), "red", bold=True)
    if board.asks:
        head = "/" if board.asks == "filter" else f"prompt {label}: "
        return _typing(head, board.typed, cols)
    if board.message:
        return paint(clip(printable(board.message), cols, "…"), "orange")
    return paint(clip(KEYS, cols, "…"), "grey")


def _typing(head: str, typed: str, cols: int) -> str:
    """Return a line that is typed, its end in sight, with a block where the next letter goes."""
    head = clip(head, max(1, cols - 16), "…")
    text = printable(typed)
    while text and display_width(head + text) > cols - 1:
        text = text[1:]
    return f"{head}{text}\x1b[7m {RESET}"


def last_line(lines: list[str] | tuple[str, ...]) -> str:
    """Return the last row of a screen that says something: one with a letter or a digit."""
    for line in reversed(lines):
        plain = COLOUR.sub("", line)
        if any(map(str.isalnum, plain)):
            return " ".join(printable(plain).split())
    return ""
