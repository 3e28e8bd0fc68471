"""How a process ended: with a code, by a signal, or nobody knows. None where it has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Exited(NamedTuple):
    """It ended by itself."""

    code: int


class Signalled(NamedTuple):
    """A signal has ended it, signal(7)."""

    signal: int


class Lost(NamedTuple):
    """It is gone, and who could have known how died before."""


Exit = Exited | Signalled | Lost


def read_exit(how: Mapping[str, Any]) -> Exit:
    """Return what the keeper's message says (keeper/protocol.py)."""
    if "code" in how:
        return Exited(how["code"])
    return Signalled(how["signal"]) if "signal" in how else Lost()


def exit_json(how: Exit) -> dict[str, Any]:
    """Return an exit as the keeper's messages have it.

    >>> exit_json(Exited(3)), exit_json(Lost())
    ({'code': 3}, {'unknown': True})
    """
    return dict(how._asdict()) or {"unknown": True}


def shell_status(how: Exit | None) -> int:
    """Return what a shell makes of it: the code, 128 and the signal, or 1 where there is neither.

    >>> shell_status(Signalled(9)), shell_status(Exited(3)), shell_status(Lost())
    (137, 3, 1)
    """
    if isinstance(how, Signalled):
        return 128 + how.signal
    return how.code & 255 if isinstance(how, Exited) and how.code >= 0 else 1
