"""The manual page cw(1), made from the usage texts: what they say is said once.

docs/cw.1 is this, written by `python -m tests.manpage`, and installed as share/man/man1/cw.1.
"""

from __future__ import annotations

from codewire.commands import table
from codewire.commands.topics import TOPICS

FILES = """\
~/.codewire             All that a node keeps; another place with CODEWIRE_DIR
~/.codewire/config.toml Settings of the node
~/.codewire/servers.toml Saved nodes on other machines
~/.codewire/environment.json Variables for every session
~/.codewire/node.log    What the node has to say
"""


def page(version: str) -> str:
    """Return the page in roff's man macros (man(7), groff_man(7))."""
    parts = [
        f'.TH CW 1 "" "codewire {version}" "User commands"',
        _section("Name", ["cw \\- persistent process server for AI coding agents"]),
        _section("Synopsis", [".B cw", ".I command", "[options] [words]"]),
        _section("Description", [_text(line) for line in _about()]),
        *(_section(title, _verbatim(text)) for title, text in _flags()),
    ]
    for group in table.GROUPS:
        named = [(n, c) for n, c in table.TABLE.items() if c.group == group]
        if named:
            parts.append(_section(group, [line for item in named for line in _command(*item)]))
    for name, (about, text) in TOPICS.items():
        parts.append(_section(name, [_text(f"{about}."), *_verbatim(text)]))
    parts.append(_section("Files", _verbatim(FILES)))
    return "\n".join(parts) + "\n"


def _about() -> list[str]:
    return table.INTRO.partition("\n\n")[0].splitlines()


def _flags() -> list[tuple[str, str]]:
    title, _, text = (table.GLOBAL_FLAGS + table.VERSION_FLAG).partition(":\n")
    return [(title, text)]


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f'.SH "{title.upper()}"', *lines])


def _command(name: str, command: table.Command) -> list[str]:
    """Return a command as a subsection: its help text as it is printed."""
    _, doc, _ = table.load(command)
    return [f'.SS "cw {name}"', *_verbatim(doc.rstrip())]


def _verbatim(text: str) -> list[str]:
    return [".nf", *map(_text, text.rstrip().split("\n")), ".fi"]


def _text(line: str) -> str:
    """Return a line as roff takes it literally."""
    escaped = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
