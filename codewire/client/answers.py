"""What an agent says to a prompt, read off its screen: pure, fed the screens as they are polled."""

from __future__ import annotations

from typing import Any, NamedTuple

from codewire.agents.evidence import BLOCKED, WORKING
from codewire.term.submission import BOX_EDGES, PASTE_MARK

MAX_LINES = 200
# A state counts once it has held for so long; a screen that never changes is a stalled program.
SETTLED_SECONDS = 1.0
STALLED_SECONDS = 10.0
IDLE, STALLED, EXITED = "idle", "stalled", "exited"
GLYPHS = "❯›>●•▸→$#%" + BOX_EDGES
RULES = "─━═╭╮╰╯┌┐└┘▀▄▔▁" + BOX_EDGES


class Answer(NamedTuple):
    """A settled agent: its state, and the lines that are new since Enter."""

    state: str
    lines: list[str]


class Reading:
    """Waits, screen by screen, until a program has settled after a prompt."""

    def __init__(self, text: str, before: dict[str, Any]) -> None:
        """`before` is the screen before the prompt was typed, a GetScreen answer with history."""
        self._text = "".join(text.split())
        self._before = all_lines(before)
        self._hash = ""
        self._changed_at = 0.0
        self._state, self._since = "", 0.0
        self._has_worked = False

    def take(self, screen: dict[str, Any], now: float) -> Answer | None:
        """Take the screen `now` seconds after Enter; return the answer once it has settled."""
        self._note_change(screen, now)
        if not str(screen.get("status", "running")).startswith("running"):
            return Answer(EXITED, self._new(screen, is_whole=True))
        state = screen.get("state") or IDLE
        if state != self._state:
            self._state, self._since = state, now
        self._has_worked |= state == WORKING
        if state == WORKING:
            return None
        lines = self._new(screen, is_whole=state == BLOCKED)
        is_answer = bool(lines) or self._has_worked
        if is_answer and now - self._since >= SETTLED_SECONDS and self._is_quiet(now):
            return Answer(state, lines)
        if now - self._changed_at >= STALLED_SECONDS:
            return Answer(STALLED, lines)
        return None

    def _note_change(self, screen: dict[str, Any], now: float) -> None:
        seen = str(screen.get("screen_hash"))
        if seen != self._hash:
            self._hash, self._changed_at = seen, now

    def _is_quiet(self, now: float) -> bool:
        return self._state == BLOCKED or now - self._changed_at >= SETTLED_SECONDS

    def _new(self, screen: dict[str, Any], *, is_whole: bool) -> list[str]:
        """Return the lines that were not there before, without the prompt's own echo."""
        lines = all_lines(screen)
        if not is_whole:
            row = (screen.get("cursor") or {}).get("row", 0)
            lines = lines[: len(screen.get("history") or ()) + row]
        found = [line for line in new_lines(self._before, lines) if line.strip(RULES)]
        return self._without_echo(found)[-MAX_LINES:]

    def _without_echo(self, lines: list[str]) -> list[str]:
        """Cut the lines off that show the prompt itself, in one piece or wrapped."""
        rest = self._text
        for number, line in enumerate(lines):
            words = "".join(line.strip(GLYPHS).split())
            if not rest or not words:
                return lines[number:]
            if rest in words or PASTE_MARK.search(line):
                return lines[number + 1 :]
            if not rest.startswith(words):
                return lines[number:]
            rest = rest[len(words) :]
        return []


def all_lines(screen: dict[str, Any]) -> list[str]:
    """Return what scrolled off and what is shown, blanks at the ends of lines cut."""
    lines = [*(screen.get("history") or ()), *(screen.get("lines") or ())]
    return [line.rstrip() for line in lines]


def new_lines(before: list[str], after: list[str]) -> list[str]:
    """Return the lines of `after` that do not stand in `before` in the same order."""
    from difflib import SequenceMatcher

    found: list[str] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, _, _, start, end in matcher.get_opcodes():
        if tag in ("insert", "replace"):
            found += after[start:end]
    return found
