"""How what a relay says is printed: tables by content, objects as its API names their members."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = 2
LABELS = {"msg.read": "read", "msg.listen": "listen"}
# Members of the API by other names than ours.
NAMES = {"Network": {"network_id": "id"}, "Enrollment": {"token": "enrollment_token"}}


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Print a table whose columns are as wide as they must be; without rows `nothing`."""
    if not rows:
        output.line(nothing)
        return
    from codewire.term.width import display_width, printable

    lines = [header, *rows]
    widths = [
        max(display_width(printable(line[at])) for line in lines) + GAP - 1
        for at in range(len(header))
    ]
    output.table(lines, widths)


def line(text: str) -> None:
    """Print a line of results. Some of it comes from others: no control character gets through."""
    from codewire.term.width import harmless

    output.line(harmless(text))


def tell(args: dict[str, Any], value: Any, words: str) -> None:
    """Print a result: as JSON where that is asked for, else in words."""
    if output.wants_json(args):
        output.show_json(value)
    else:
        line(words)


def say(args: dict[str, Any], value: Any, words: str) -> None:
    """Say what was done on stderr, or as JSON on stdout where that is asked for."""
    if output.wants_json(args):
        output.show_json(value)
    else:
        output.note(words)


def shown(answer: Any) -> Any:
    """Return an answer of network/answers.py as an object of the API; what is empty is left out."""
    if isinstance(answer, tuple) and hasattr(answer, "_asdict"):
        names = NAMES.get(type(answer).__name__, {})
        return {
            names.get(name, name): shown(value)
            for name, value in answer._asdict().items()
            if value is not None and value != "" and value != ()
        }
    return [shown(one) for one in answer] if isinstance(answer, (tuple, list)) else answer


def age(timestamp: str) -> str:
    """Return how long ago a time was."""
    return output.age(timestamp, time.time_ns())


def target(node: str, session_id: int | None, session_name: str) -> str:
    """Return `node:session` of a grant."""
    return f"{node}:{session_name or session_id}"


def verbs(granted: Iterable[str]) -> str:
    """Return what a grant allows in the words of its flags."""
    return ",".join(LABELS.get(verb, str(verb)) for verb in granted)


def quoted(name: str) -> str:
    """Return a name in quotes, however it is spelt."""
    from codewire.wire.texts import go_quote

    return go_quote(name)


def group_help(name: str, args: dict[str, Any]) -> int:
    """Show the help of a group of commands, or refuse a word that is none of them."""
    from codewire.commands import table
    from codewire.errors import UsageError

    if args["<command>"]:
        raise UsageError(f'unknown command {quoted(args["<command>"][0])} for "cw {name}"')
    output.write(table.command_help(name))
    return 0
