"""Rules that know no program: dialogs, spinners, "esc to interrupt" (spec/agents.md 5).

Order matters, the first that says something wins. "Bottom" is the last 14 lines that are not
blank, "foot" the last 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from codewire.agents.evidence import BLOCKED, WORKING, Evidence, Verdict

BOTTOM, FOOT, LAST = 14, 7, 3

MARKS = "❯›●▸>→"
BOX = "│┃|║"
CHOICE = re.compile(rf"^[\s{BOX}]*([{MARKS}])?\s*(\d{{1,2}})[.)]\s+\S")
CONFIRM = re.compile(
    r"\b(?:press\s+)?enter\s+(?:to\s+)?(?:confirm|select|submit|continue|accept)\b", re.IGNORECASE
)
SELECT = re.compile(
    r"(?:⇆|↑\s?/?\s?↓|←\s?/?\s?→)\s+(?:to\s+)?(?:select|navigate|choose)", re.IGNORECASE
)
MARKED = re.compile(rf"^([\s{BOX}]*)[{MARKS}]\s+\S")
YES_NO = re.compile(r"\(Y\)es/\(N\)o|\[y/n\]|\(y/n\)|\[yes/no\]", re.IGNORECASE)
INTERRUPT = re.compile(
    r"\b(?:esc|ctrl\s?\+\s?c)\b[\s\w,·:+-]{0,40}?\b(?:interrupt|cancel|stop)", re.I
)
BRAILLE = re.compile("[\u2801-\u28ff]")
TURNING = re.compile("^\\s*[\u2801-\u28ff◐◓◑◒◴◷◶◵✢✶✻✽]")

Rule = Callable[[Evidence], Verdict | None]


def title_says_blocked(look: Evidence) -> Verdict | None:
    """Programs that say in their title that a person is needed."""
    if look.title.startswith("✋") or "action required" in look.title.lower():
        return Verdict(BLOCKED, "title", text=look.title)
    return None


def menu(look: Evidence) -> Verdict | None:
    """At least two numbered choices, one of them marked."""
    lines = look.bottom(BOTTOM)
    choices = [found for line in lines if (found := CHOICE.match(line))]
    if len(choices) >= 2 and any(found[1] for found in choices):
        return Verdict(BLOCKED, "menu", text=question_in(lines))
    return None


def confirm(look: Evidence) -> Verdict | None:
    """Words at the very bottom that ask for Enter, or say how to choose."""
    words = " ".join(look.bottom(LAST))
    if CONFIRM.search(words) or SELECT.search(words):
        return Verdict(BLOCKED, "enter to confirm", text=question_in(look.bottom(BOTTOM)))
    return None


def plain_menu(look: Evidence) -> Verdict | None:
    """The last block is a menu without numbers: a marked line, others indented like its text."""
    block = _last_block(look.lines)
    marked = [at for at, line in enumerate(block) if MARKED.match(line)]
    if len(marked) != 1 or len(block) - marked[0] < 2:
        return None
    head = block[marked[0]]
    indent = len(head) - len(head.lstrip(f" {BOX}{MARKS}"))
    rest = block[marked[0] + 1 :]
    if all(len(line) - len(line.lstrip(f" {BOX}")) == indent for line in rest):
        return Verdict(BLOCKED, "plain menu", text=question_in(look.bottom(BOTTOM)))
    return None


def yes_no(look: Evidence) -> Verdict | None:
    """A yes/no question on the line where the cursor waits."""
    line = look.cursor_line()
    if YES_NO.search(line):
        return Verdict(BLOCKED, "yes/no", kind="question", text=line.strip())
    return None


def progress(look: Evidence) -> Verdict | None:
    """OSC 9;4: a turn is open. Below the dialogs: it stays on while one is shown."""
    return Verdict(WORKING, "progress") if look.progress in (1, 3) else None


def title_turns(look: Evidence) -> Verdict | None:
    """A title that begins with a turning glyph, or says so."""
    if TURNING.match(look.title) or "working" in look.title.lower():
        return Verdict(WORKING, "title", text=look.title)
    return None


def interrupt(look: Evidence) -> Verdict | None:
    """How to interrupt it stands at the foot; the words may wrap."""
    foot = " ".join(line.strip() for line in look.bottom(FOOT))
    found = INTERRUPT.search(foot)
    return Verdict(WORKING, "interrupt hint", text=found[0]) if found else None


def spinner(look: Evidence) -> Verdict | None:
    """A braille glyph at the foot, and output a moment ago."""
    if look.quiet_seconds <= 2 and BRAILLE.search("".join(look.bottom(FOOT))):
        return Verdict(WORKING, "spinner", is_guess=True)
    return None


def rhythm(look: Evidence) -> Verdict | None:
    """It has been printing for a while, and still is."""
    if look.busy_slots >= 4 and look.quiet_seconds <= 0.7:
        return Verdict(WORKING, "rhythm", is_guess=True)
    return None


BLOCKED_RULES: tuple[Rule, ...] = (title_says_blocked, menu, confirm, plain_menu, yes_no)
WORKING_RULES: tuple[Rule, ...] = (progress, title_turns, interrupt, spinner, rhythm)


def _last_block(lines: tuple[str, ...]) -> list[str]:
    """Return the last lines without a blank one between them, from the top down."""
    block: list[str] = []
    for line in reversed(lines):
        if line.strip():
            block.append(line)
        elif block:
            break
    return block[::-1]


def question_in(lines: list[str]) -> str:
    """Return the line a dialog asks with: the last that ends in a question mark."""
    for line in reversed(lines):
        text = line.strip(f" {BOX}")
        if text.endswith("?"):
            return text
    return ""
