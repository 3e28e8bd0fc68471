"""Dialogs on a screen: what is asked, which choices there are, on which of them the mark is.

Four shapes are known: a list with numbers, one without, choices side by side on one line, and a
yes/no question on the cursor's line. Where programs mark a choice by colour alone, `paint` says
what colour a cell has; one that looks unlike at least two others is the marked one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from codewire.agents.generic import BOX, MARKED, MARKS, YES_NO

LIST, BAR, YES_OR_NO = "list", "bar", "yes/no"
# A dialog's text and choices are looked for in so many lines; menus have at most so many choices.
MAX_LINES, MAX_ITEMS, MAX_LABEL = 60, 40, 500
ABOVE = 60
# A choice's text goes on in so many lines at most.
MAX_WRAPPED = 3

NUMBER = re.compile(rf"^([\s{BOX}]*)([{MARKS}])?(\s*)(\d{{1,2}})[.)]\s+(\S.*)")
RULE = re.compile(r"^\s*[─━═╭╮╰╯┌┐└┘▀▄_]{10,}\s*$")
TOKEN = re.compile(r"\S+(?: \S+)*")
HINT = re.compile(
    r"(?:ctrl|alt|shift|esc|enter|tab|space|press)\b|[⇆↑↓←→]|(?:F\d+)\b", re.IGNORECASE
)
SELECTS = re.compile(r"[⇆↑↓←→]\s*(?:/\s*[↑↓←→]\s*)?(?:to\s+)?(?:select|navigate|choose)")
# What changes while nothing is decided. Everything else may be part of what is asked.
RESTLESS = re.compile("[\u2800-\u28ff◐◓◑◒◴◷◶◵✢✳✶✻✽■⬝]")
YES = re.compile(r"(?:yes|allow|approve|proceed)\b", re.IGNORECASE)
NO = re.compile(r"(?:no|reject|deny|decline|disallow|don'?t|cancel)\b", re.IGNORECASE)

Paint = Callable[[int, int], Hashable]


def no_paint(row: int, column: int) -> Hashable:
    """Say that colours are not known."""
    return None


class Item(NamedTuple):
    """One choice. `number` counts from 1 in the order shown; row and column count from 0."""

    number: int
    label: str
    row: int
    column: int
    is_marked: bool = False


class Dialog(NamedTuple):
    """What waits for a decision. `id` changes when what is asked does, not with mark or spinner."""

    shape: str
    lines: tuple[str, ...]
    items: tuple[Item, ...]
    id: str

    @property
    def marked(self) -> Item | None:
        """The choice that Enter would take; None where that cannot be seen."""
        found = [item for item in self.items if item.is_marked]
        return found[0] if len(found) == 1 else None

    def only(self, pattern: re.Pattern[str]) -> Item | None:
        """Return the one choice that begins with what matches; None for none and for several."""
        found = [item for item in self.items if pattern.match(item.label)]
        return found[0] if len(found) == 1 else None

    def choice(self, number: int) -> Item | None:
        """Return a choice by its number."""
        return next((item for item in self.items if item.number == number), None)


def read_dialog(
    lines: Sequence[str], cursor: tuple[int, int] = (0, 0), paint: Paint = no_paint
) -> Dialog | None:
    """Return the dialog at the bottom of a screen, None where none is recognised."""
    last = max((n for n, line in enumerate(lines) if line.strip()), default=-1)
    rows = range(max(0, last + 1 - MAX_LINES), last + 1)
    if 0 <= cursor[0] < len(lines) and YES_NO.search(lines[cursor[0]]):
        return _yes_no(lines, cursor[0])
    finders = ((LIST, _numbered), (BAR, _bar), (LIST, _plain))
    found = [(shape, items) for shape, find in finders if len(items := find(lines, rows)) >= 2]
    if not found:
        return None
    # The lowest: what stands above it may be text of the program's that looks like a menu.
    shape, items = max(found, key=lambda one: one[1][-1].row)
    return _dialog(shape, lines, _marked_by_paint(items, paint))


def _dialog(shape: str, lines: Sequence[str], items: list[Item]) -> Dialog:
    text = [*_above(lines, items[0].row), *(f"{item.number}. {item.label}" for item in items)]
    return Dialog(shape, tuple(text), tuple(items), identity(text))


def _numbered(lines: Sequence[str], rows: range) -> list[Item]:
    """Return the last list that counts 1, 2, 3 …, lines between belonging to the choice above."""
    items: list[Item] = []
    for row in rows:
        found = NUMBER.match(lines[row])
        if found is None:
            _continue(items, lines[row], row)
            continue
        number = int(found[4])
        if number == 1:
            items = []
        if number == len(items) + 1:
            mark, label = found[2], _label(found[5])
            items.append(Item(number, label, row, found.start(4), bool(mark)))
    return items[:MAX_ITEMS]


def _continue(items: list[Item], line: str, row: int) -> None:
    """Add a line right below a choice, indented deeper than its number, to its label."""
    text = line.strip(f" {BOX}")
    indent = len(line) - len(line.lstrip(f" {BOX}"))
    if items and text and indent > items[-1].column + 1 and row <= items[-1].row + MAX_WRAPPED:
        item = items[-1]
        items[-1] = item._replace(label=_label(f"{item.label} {text}"))


def _plain(lines: Sequence[str], rows: range) -> list[Item]:
    """Return the choices around the last marked line: its neighbours with the same indent."""
    marked = next((row for row in reversed(rows) if MARKED.match(lines[row])), None)
    if marked is None:
        return []
    indent = _indent(lines[marked], MARKS)

    def is_choice(row: int) -> bool:
        line = lines[row]
        return bool(line.strip(f" {BOX}")) and _indent(line) == indent

    first = last = marked
    while first - 1 in rows and is_choice(first - 1):
        first -= 1
    while last + 1 in rows and is_choice(last + 1):
        last += 1
    return [
        Item(n, _label(lines[row].strip(f" {BOX}{MARKS}")), row, indent, row == marked)
        for n, row in enumerate(range(first, last + 1), 1)
    ][:MAX_ITEMS]


def _indent(line: str, more: str = "") -> int:
    return len(line) - len(line.lstrip(f" {BOX}{more}"))


def _bar(lines: Sequence[str], rows: range) -> list[Item]:
    """Return choices side by side: the words before the hints on a line that says how to choose."""
    for row in reversed(rows):
        if not SELECTS.search(lines[row]):
            continue
        tokens = []
        for found in TOKEN.finditer(lines[row]):
            text = found[0].strip(BOX).strip()
            if text and HINT.match(text):
                break
            if text:
                tokens.append((text, found.end() - len(text)))
        return [Item(n, _label(t), row, at) for n, (t, at) in enumerate(tokens, 1)][:MAX_ITEMS]
    return []


def _yes_no(lines: Sequence[str], row: int) -> Dialog:
    items = [Item(1, "Yes", row, 0), Item(2, "No", row, 0)]
    text = [*_above(lines, row, blanks=1), lines[row].strip()]
    return Dialog(YES_OR_NO, tuple(text), tuple(items), identity(text))


def _marked_by_paint(items: list[Item], paint: Paint) -> list[Item]:
    """Mark the one choice whose colours differ from those of two or more others."""
    if any(item.is_marked for item in items) or len(items) < 3:
        return items
    looks = [paint(item.row, item.column) for item in items]
    counts = Counter(looks)
    odd = [look for look, count in counts.items() if count == 1]
    if len(counts) != 2 or len(odd) != 1:
        return items
    return [i._replace(is_marked=look == odd[0]) for i, look in zip(items, looks, strict=True)]


def _above(lines: Sequence[str], row: int, blanks: int = 2) -> list[str]:
    """Return the dialog's text above its choices: up to a rule, its frame, or blank lines."""
    found: list[str] = []
    is_framed = lines[row].lstrip()[:1] in tuple(BOX)
    blank = 0
    for line in lines[max(0, row - ABOVE) : row][::-1]:
        if RULE.match(line) or (is_framed and line.strip() and line.strip()[0] not in BOX):
            break
        text = line.strip(f" {BOX}")
        blank = 0 if text else blank + 1
        if not text and found and blank >= blanks and not is_framed:
            break
        if text and not RULE.match(text):
            found.append(text)
    return found[::-1]


def _label(text: str) -> str:
    return " ".join(text.strip(f" {BOX}").split())[:MAX_LABEL]


def identity(lines: Sequence[str]) -> str:
    """Return 8 hexadecimal digits that change with the words of a dialog."""
    text = "\n".join(" ".join(RESTLESS.sub(" ", line).split()) for line in lines)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
