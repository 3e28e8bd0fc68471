"""How an agent program takes up its conversation again: its [resume] table, and the command line.

    [resume]
    args = ["--resume", "{id}"]      # what follows the program's own name
    flags = ["--verbose"]            # of the old command line these are kept: words alone …
    options = ["--model"]            # … and words with a value
    ids = ["--resume"]               # options whose value is the conversation's id
    unless = ["-p"]                  # with one of these there is nothing to take up
    match = "resume ([0-9a-f-]{36})" # where the screen shows the id (its only group)
    shared = true                    # one process of it may work, and report, for many sessions

Pure. An id never becomes anything but one word of an argv; one that could be taken for an option
is none. Everything that is not known to be worth keeping is left out: it may be the first prompt.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

ID = re.compile(r"(?!-)[A-Za-z0-9._-]{1,64}\Z")
# RFC 9562 5.7: begins with the milliseconds since 1970.
UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
MAX_COMMAND = 1024
MAX_WORDS = 100
PLACE = "{id}"

# Who said which conversation it is: the agent's own hook, the command line, or what was printed.
HOOK, ARGV, PRINTED = "hook", "argv", "printed"


LISTS = ("args", "flags", "options", "ids", "unless")


class Resuming(NamedTuple):
    """One program's table."""

    args: tuple[str, ...]
    flags: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    match: re.Pattern[str] | None = None
    shared: bool = False


def read_resuming(table: Any) -> Resuming | None:
    """Return what a [resume] table says, None without one. Raises ValueError."""
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ValueError("resume must be a table")
    unknown = set(table) - set(Resuming._fields)
    if unknown:
        raise ValueError(f"resume: unknown key {min(unknown)!r}")
    lists = {key: _words(table, key) for key in LISTS}
    if sum(PLACE in word for word in lists["args"]) != 1:
        raise ValueError(f"resume: args must name {PLACE} once")
    match = table.get("match")
    try:
        pattern = None if match is None else re.compile(match)
    except (re.error, TypeError) as error:
        raise ValueError(f"resume: match: {error}") from error
    if pattern is not None and pattern.groups != 1:
        raise ValueError("resume: match must have one group, the id")
    shared = table.get("shared", False)
    if not isinstance(shared, bool):
        raise ValueError("resume: shared must be true or false")
    return Resuming(
        lists["args"],
        frozenset(lists["flags"]),
        frozenset(lists["options"]),
        frozenset(lists["ids"]),
        frozenset(lists["unless"]),
        pattern,
        shared,
    )


def _words(table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    is_list = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
    if not is_list or len(value) > MAX_WORDS:
        raise ValueError(f"resume: {key} must be a list of at most {MAX_WORDS} words")
    return tuple(value)


def is_id(text: Any) -> bool:
    """Say whether something may be the id of a conversation."""
    return isinstance(text, str) and ID.match(text) is not None


def made_ms(conversation: str) -> int | None:
    """Return when an id was made, in milliseconds since 1970; None for one that does not say."""
    found = UUID7.match(conversation)
    return int(found[1] + found[2], 16) if found else None


def resumed(
    argv: Sequence[str], place: int, rules: Resuming, session: str
) -> tuple[str, ...] | None:
    """Return the command line that takes up conversation `session`, None where there is none.

    `place` is where in `argv` the program's own name stands; a runner before it stays.
    """
    if not is_id(session):
        return None
    kept: list[str] = []
    rest = list(argv[place + 1 :])
    if any(word in rules.unless for word in rest):
        return None
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if word == "--":
            break
        if word in rules.flags or (equals and name in rules.options):
            kept.append(word)
        elif word in rules.options and rest:
            kept += [word, rest.pop(0)]
        elif word in rules.ids and rest:
            rest.pop(0)
    args = [word.replace(PLACE, session) for word in rules.args]
    # A subcommand comes first, options of ours last.
    words = [*args, *kept] if not args[0].startswith("-") else [*kept, *args]
    return (*argv[: place + 1], *words)


def id_in(argv: Sequence[str], place: int, rules: Resuming) -> str:
    """Return the id that a command line names itself, "" where it does not."""
    words = argv[place + 1 :]
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in rules.ids:
            continue
        found = value if equals else (words[at + 1] if at + 1 < len(words) else "")
        if is_id(found):
            return found
    return ""


def printed_id(text: str, rules: Resuming) -> str:
    """Return the id that a screen shows by the rules, "" for none."""
    found = rules.match.search(text) if rules.match is not None else None
    return found[1] if found is not None and is_id(found[1]) else ""


def printed_command(line: str) -> tuple[str, ...]:
    """Return the words of a command line that a program printed, () for one that cannot be shown.

    It is shown to a person as it is: nothing in it may be invisible.
    """
    if not line or len(line) > MAX_COMMAND or not line.isprintable():
        return ()
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return ()
