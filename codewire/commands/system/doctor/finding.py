"""What a check yields: a name, how bad it is, and one line of detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.commands.context import Context

    # Name, status (ok, warn, fail, skip), detail.
    Finding = tuple[str, str, str]
    Check = Callable[[Context], Iterator[Finding]]

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
# What marks them on a terminal, and in which colour.
MARKS = {
    FAIL: ("✗", "red"),
    WARN: ("!", "orange"),
    OK: ("✓", "green"),
    SKIP: ("-", "grey"),
}
# As they are shown: what is to be done comes first.
RANKS = {FAIL: 0, WARN: 1, OK: 2, SKIP: 3}
