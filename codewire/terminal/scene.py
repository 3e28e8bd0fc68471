"""One look at a terminal: rows, cursor, modes. States, decisions and typing are judged by it.

Made inside Display.look, so it copies what it needs. What a look means for typing is said here
once: a pager, a picker, a password prompt (spec/submit.md). What is a dialog, the rules of agents
say (session/decisions.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from codewire.agents.evidence import Verdict
from codewire.term.grid import Row
from codewire.term.modes import CURSOR
from codewire.term.screen import Screen
from codewire.term.sgr import REVERSED
from codewire.term.submission import Snapshot, fold, shows, tail_of

PASTES = 2004
ALL_KEYS = 8
PAGERS = frozenset("less more most man pg bat view".split())
PICKERS = frozenset(
    "fzf sk peco percol gum dialog whiptail fzy dmenu zenity nmtui htop top".split()
)
PAGER_LINE = re.compile(r"^(?:\(END\)|--More--|:$|lines \d+-\d+)")
# What a picker shows beside its input: found/all.
COUNT_LINE = re.compile(r"^\s*\d+/\d+(?:\s|$|\s*\(\d+\))")
PASSWORD = re.compile(
    r"(?:pass(?:word|phrase|code)|\bpin\b|verification code|secret|\botp\b)[^:?\n]{0,60}[:?]\s*$",
    re.IGNORECASE,
)
YES_NO = "yes/no"
# Rules by which a program is blocked because it, or a hook of it, says so, whatever it shows.
SAID = ("OSC 7501", "cw report")
DIALOG_LINES = 14
# A cursor that a program draws is looked for in so many rows above and below the terminal's own.
NEAR_ROWS = 60


class Scene(NamedTuple):
    """What a terminal shows. `left` is what stands left of the cursor, cells counted right."""

    rows: tuple[str, ...]
    left: str
    row: int = 0
    column: int = 0
    is_visible: bool = True
    pastes: bool = False
    all_keys: bool = False
    is_alternate: bool = False

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column, as rules take them."""
        return self.row, self.column

    def snapshot(self) -> Snapshot:
        """Return what stands around the cursor."""
        above = self.rows[self.row - 1] if 0 < self.row <= len(self.rows) else ""
        return Snapshot(fold(self.left), fold(above), self.row, self.column)

    def is_painted(self, rows: int = 1) -> bool:
        """Say whether so many rows have something visible."""
        return sum(bool(row.strip()) for row in self.rows) >= rows

    def count(self, text: str) -> int:
        """Return how often the text's end is on the screen, down to the cursor's row."""
        tail = "".join(tail_of(text).split())
        return "".join("".join(self.rows[: self.row + 1]).split()).count(tail) if tail else 0


BLANK = Scene((), "")


def view(screen: Screen, _: int) -> Scene:
    """Take a look; for Display.look."""
    rows = screen.grid.rows
    is_visible = CURSOR in screen.modes.on
    row, column = (screen.y, screen.x) if is_visible else drawn_cursor(rows, screen.y, screen.x)
    chars = rows[row].chars if row < len(rows) else []
    # Full to the edge the cursor rests on the last character, not behind it.
    if column == len(chars) - 1 and chars[column].strip():
        column += 1
    return Scene(
        tuple(rows[number].text() for number in screen.slices(len(rows))),
        "".join(chars[:column]),
        row,
        column,
        is_visible,
        screen.modes.is_set(PASTES),
        bool(screen.modes.key_flags & ALL_KEYS),
        screen.modes.is_alternate,
    )


def drawn_cursor(rows: Sequence[Row], row: int, column: int) -> tuple[int, int]:
    """Return where a program draws a cursor of its own: the one reversed cell near its own.

    Ink's programs hide the terminal's and leave it (`row`, `column`) below all they draw; Gemini
    CLI leaves it in the right row, but too far left behind some emoji. What is not one cell is
    something chosen, and of several cells none is the cursor, unless one is in the cursor's row.
    """
    own = reversed_cell(rows[row]) if row < len(rows) else -1
    if own >= 0:
        return row, max(own, column)
    near = range(max(0, row - NEAR_ROWS), min(len(rows), row + NEAR_ROWS))
    found = [(at, cell) for at in near if (cell := reversed_cell(rows[at])) >= 0]
    return found[0] if len(found) == 1 else (row, column)


def reversed_cell(row: Row) -> int:
    """Return where the one character of a row is that is drawn in reverse; -1 for none."""
    found = -1
    if row.styles.count(row.styles[0]) == len(row.styles):
        return found
    for at, style in enumerate(row.styles):
        if style.flags & REVERSED and row.chars[at]:
            if found >= 0:
                return -1
            found = at
    return found


def dialog_text(scene: Scene, verdict: Verdict) -> str:
    """Return what a person is told a dialog says: its lines, without empty ones."""
    if verdict.rule == YES_NO:
        return verdict.text
    lines = [line.strip("│┃|║ \t") for line in scene.rows if line.strip("│┃|║╭╮╰╯─━ \t")]
    said = [verdict.text] if verdict.rule in SAID and verdict.text else []
    return "\n".join(said + lines[-DIALOG_LINES:])


def is_pager(scene: Scene, names: tuple[str, ...]) -> bool:
    """Say whether a pager takes every key as a command."""
    return bool(PAGERS.intersection(names)) or bool(PAGER_LINE.match(fold(scene.left)))


def is_picker(scene: Scene, names: tuple[str, ...]) -> bool:
    """Say whether Enter would choose from a list that what is typed narrows down."""
    near = scene.rows[max(0, scene.row - 1) : scene.row + 2]
    return bool(PICKERS.intersection(names)) or any(COUNT_LINE.match(line) for line in near)


def asks_password(scene: Scene) -> bool:
    """Say whether what stands left of the cursor asks for a secret."""
    return bool(PASSWORD.search(scene.left.rstrip()))


def is_shown(before: Scene, now: Scene, text: str) -> bool:
    """Say whether the text is where the cursor is."""
    return shows(before.snapshot(), now.snapshot(), text)


def holds(scene: Scene, text: str) -> bool:
    """Say whether the text's end is anywhere on the screen."""
    tail = "".join(tail_of(text).split())
    return bool(tail) and tail in "".join("".join(scene.rows).split())
