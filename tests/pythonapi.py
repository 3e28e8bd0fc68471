"""The part of docs/python.md that lists what Client returns, made from the types themselves.

`python -m tests.pythonapi` writes it anew; tests/unit/test_python_document.py compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codewire.wire.answers import agents, events, kills, messages, node, screens, sessions, status

DOCUMENT = Path(__file__).parents[1] / "docs" / "python.md"
FAMILIES = (sessions, status, kills, screens, messages, events, agents, node)
HEAD = "| answer | fields |\n|---|---|\n"
END = "\n\nHow a process ended"


def answers() -> list[type[Any]]:
    """Return every named tuple of the answers, family by family."""
    return [
        kind
        for family in FAMILIES
        for kind in vars(family).values()
        if isinstance(kind, type) and kind.__module__ == family.__name__ and issubclass(kind, tuple)
    ]


def answers_table() -> str:
    """Return the table in Markdown; `sent` is in all of them."""
    rows = []
    for kind in answers():
        fields = ", ".join(f"`{name}`" for name in kind._fields if name != "sent")
        known = [name for name, value in vars(kind).items() if isinstance(value, property)]
        more = "".join(f", and `{name}`" for name in known)
        rows.append(f"| `{kind.__name__}` | {fields}{more} |\n")
    return HEAD + "".join(rows)


def written(text: str) -> str:
    """Return the document with its table made anew."""
    start, end = text.index(HEAD), text.index(END)
    return text[:start] + answers_table().rstrip("\n") + text[end:]


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
