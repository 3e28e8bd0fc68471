"""What is known of single programs: small tables of rules, read from TOML by a room above.

    name = "aider"
    commands = ["aider"]            # what its process is called

    [[rule]]
    state = "working"
    where = "cursor"                # title, cursor, last (3 lines), foot (7), bottom (14), screen
    match = "..."                   # a regular expression that must be found there …
    absent = "..."                  # … and one that must not
    kind = ""                       # with blocked: permission, question, auth

    [resume]                        # how it takes up a conversation again: see resuming.py

A program's rules for blocked come before the generic ones, its others after those for blocked and
before those for working.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from codewire.agents.evidence import BLOCKED, ERROR, IDLE, WORKING, Evidence, Verdict
from codewire.agents.generic import BLOCKED_RULES, BOTTOM, FOOT, LAST, WORKING_RULES
from codewire.agents.resuming import Resuming, read_resuming

# The tables that come with this package, one file each.
BUILT_IN = ("aider", "claude", "codex", "copilot", "gemini", "opencode", "qwen")

STATES = (WORKING, BLOCKED, IDLE, ERROR)
PLACES = ("title", "cursor", "last", "foot", "bottom", "screen")
LINES = {"last": LAST, "foot": FOOT, "bottom": BOTTOM, "screen": 1000}
MAX_RULES = 100
MAX_PATTERN = 1000


class Rule(NamedTuple):
    """One line of a program's table."""

    name: str
    state: str
    where: str
    match: re.Pattern[str] | None
    absent: re.Pattern[str] | None
    kind: str = ""

    def applies(self, look: Evidence) -> Verdict | None:
        """Return the rule's verdict where it holds."""
        text = place(look, self.where)
        found = self.match.search(text) if self.match else None
        if (self.match and not found) or (self.absent and self.absent.search(text)):
            return None
        shown = found[0].strip() if found else ""
        return Verdict(self.state, self.name, self.kind, shown, is_guess=self.match is None)


class Program(NamedTuple):
    """One program: its name, what its process is called, its rules."""

    name: str
    commands: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    resume: Resuming | None = None


NO_PROGRAM = Program("")


class BadRules(ValueError):
    """A table of rules cannot be used; the message says where and why."""


def read_program(table: dict[str, Any]) -> Program:
    """Return a program from its table. Raises BadRules."""
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise BadRules("name must be a string")
    commands = table.get("commands", [name])
    if not isinstance(commands, list) or not all(isinstance(c, str) for c in commands):
        raise BadRules("commands must be a list of strings")
    entries = table.get("rule", [])
    if not isinstance(entries, list) or len(entries) > MAX_RULES:
        raise BadRules(f"rule must be a list of at most {MAX_RULES} tables")
    rules = tuple(_rule(name, number, entry) for number, entry in enumerate(entries, 1))
    try:
        resume = read_resuming(table.get("resume"))
    except ValueError as error:
        raise BadRules(str(error)) from error
    return Program(name, tuple(commands), rules, resume)


def _rule(program: str, number: int, entry: Any) -> Rule:
    where_said = f"rule {number}"
    if not isinstance(entry, dict):
        raise BadRules(f"{where_said} must be a table")
    unknown = set(entry) - {"state", "where", "match", "absent", "kind"}
    if unknown:
        raise BadRules(f"{where_said}: unknown key {min(unknown)!r}")
    state, where = entry.get("state"), entry.get("where", "bottom")
    if state not in STATES:
        raise BadRules(f"{where_said}: state must be one of {', '.join(STATES)}")
    if where not in PLACES:
        raise BadRules(f"{where_said}: where must be one of {', '.join(PLACES)}")
    match, absent = (_pattern(where_said, key, entry.get(key)) for key in ("match", "absent"))
    if match is None and absent is None:
        raise BadRules(f"{where_said} needs match or absent")
    kind = entry.get("kind", "")
    if not isinstance(kind, str):
        raise BadRules(f"{where_said}: kind must be a string")
    return Rule(f"{program} {number}", state, where, match, absent, kind)


def _pattern(where: str, key: str, text: Any) -> re.Pattern[str] | None:
    if text is None:
        return None
    if not isinstance(text, str) or not text or len(text) > MAX_PATTERN:
        raise BadRules(f"{where}: {key} must be a string of 1 to {MAX_PATTERN} characters")
    try:
        return re.compile(text)
    except re.error as error:
        raise BadRules(f"{where}: {key}: {error}") from error


def place(look: Evidence, where: str) -> str:
    """Return the text of one place of the evidence, its lines joined by newlines."""
    if where == "title":
        return look.title
    if where == "cursor":
        return look.cursor_line()
    return "\n".join(line.strip() for line in look.bottom(LINES[where]))


def judge(look: Evidence, program: Program = NO_PROGRAM) -> Verdict:
    """Return what the first rule that has something to say says; idle when none has."""
    for _, rule in _in_order(program):
        verdict = rule(look)
        if verdict is not None:
            return verdict
    return Verdict(IDLE, "nothing")


def explain(look: Evidence, program: Program = NO_PROGRAM) -> list[tuple[str, Verdict | None]]:
    """Return every rule by name, in order, with its verdict or None."""
    return [(name, rule(look)) for name, rule in _in_order(program)]


def _in_order(program: Program) -> Iterator[tuple[str, Callable[[Evidence], Verdict | None]]]:
    for is_blocked, generic in ((True, BLOCKED_RULES), (False, WORKING_RULES)):
        for rule in program.rules:
            if (rule.state == BLOCKED) is is_blocked:
                yield rule.name, rule.applies
        for function in generic:
            yield function.__name__, function


def program_of(names: Sequence[str], programs: Sequence[Program]) -> Program:
    """Return the first program that one of the process names belongs to, else NO_PROGRAM."""
    for name in names:
        for program in programs:
            if name in program.commands or name == program.name:
                return program
    return NO_PROGRAM
