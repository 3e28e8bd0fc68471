"""The import direction: our sources obey it, and the checker sees each kind of offence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importrules import room, violations

REPOSITORY = Path(__file__).resolve().parents[2]


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def our_sources() -> dict[str, str]:
    paths = [REPOSITORY / "cw.py", *sorted((REPOSITORY / "codewire").rglob("*.py"))]
    return {module_name(path): path.read_text(encoding="utf-8") for path in paths}


def test_imports_point_downward() -> None:
    assert violations(our_sources()) == []


def test_every_room_is_a_package() -> None:
    rooms = [path for path in (REPOSITORY / "codewire").rglob("*.py")]
    bare = {path.parent for path in rooms if not (path.parent / "__init__.py").exists()}
    assert bare == set(), "without __init__.py a room is not installed"


def test_one_file_of_io_waits_with_gevent() -> None:
    users = [
        name
        for name, text in our_sources().items()
        if "import gevent" in text or "from gevent" in text
    ]
    assert [room(name) for name in sorted(users)] == ["io", "entry"]


OFFENCES = [
    ("upward", "codewire.wire.frames", "from codewire.io import unix", "upward import: wire -> io"),
    (
        "upward",
        "codewire.output.log",
        "import codewire.node.worker",
        "upward import: output -> node",
    ),
    (
        "sideways",
        "codewire.node.worker",
        "from codewire.client.api import Client",
        "sideways import",
    ),
    ("upward", "codewire.client.api", "from codewire.mcp import server", "upward import"),
    ("sideways", "codewire.node.worker", "import codewire.commands", "upward import"),
    (
        "inside",
        "codewire.client.api",
        "from codewire.session import log",
        "must not import session",
    ),
    (
        "inside",
        "codewire.commands.nodes.node",
        "from codewire.keeper import link",
        "must not import keeper",
    ),
    ("entry", "codewire.commands.nodes.node", "import cw", "upward import: commands -> entry"),
    ("pure", "codewire.wire.frames", "import time", "wire must not import time"),
    ("pure", "codewire.term.chord", "from os import path", "term must not import os"),
    (
        "pure",
        "codewire.term.chord",
        "def f():\n    import threading",
        "term must not import threading",
    ),
    (
        "sockets",
        "codewire.commands.sessions.launch",
        "import socket",
        "commands must not import socket",
    ),
    ("gevent", "codewire.node.worker", "import gevent.hub", "gevent belongs to cw.py"),
    (
        "gevent",
        "codewire.node.worker",
        "import importlib\nimportlib.import_module('gevent')",
        "gevent belongs",
    ),
    ("extra", "codewire.node.worker", "import requests", "requests is no core requirement"),
    ("room", "codewire.helpers.text", "import json", "unknown room 'helpers'"),
    (
        "typing",
        "codewire.wire.frames",
        "if TYPE_CHECKING:\n    from codewire.io import unix",
        "upward",
    ),
    ("relative", "codewire.wire.frames", "from ..io import unix", "upward import: wire -> io"),
]


@pytest.mark.parametrize(("kind", "module", "source", "words"), OFFENCES)
def test_offences_are_seen(kind: str, module: str, source: str, words: str) -> None:
    found = violations({module: source})
    assert len(found) == 1, f"{kind}: {found}"
    assert words in found[0]


def test_two_waiters_in_io_are_one_too_many() -> None:
    found = violations({"codewire.io.a": "import gevent", "codewire.io.b": "import gevent"})
    assert found == ["gevent is named in more than one file of io/: codewire.io.a, codewire.io.b"]


def test_folders_of_a_room_keep_their_order() -> None:
    sources = {
        "codewire.session.records.store": "from codewire.session import life",
        "codewire.session.life": "from codewire.session.events import EventBus",
        "codewire.session.events": "",
        "codewire.commands.talk.kv": "from codewire.commands.nodes import node",
        "codewire.commands.nodes.node": "",
    }
    assert violations(sources) == [
        "codewire.session.records.store:1: inside: session.records -> session",
        "codewire.commands.talk.kv:1: inside: commands.talk -> commands.nodes",
    ]


def test_circles_are_seen() -> None:
    found = violations(
        {
            "codewire.wire.a": "from codewire.wire import b",
            "codewire.wire.b": "def f():\n    from codewire.wire.c import x",
            "codewire.wire.c": "import codewire.wire.a",
        }
    )
    assert found == [
        "circle: codewire.wire.a -> codewire.wire.b -> codewire.wire.c -> codewire.wire.a"
    ]


def test_a_type_only_import_closes_a_circle_too() -> None:
    found = violations(
        {
            "codewire.wire.a": "from codewire.wire import b",
            "codewire.wire.b": "if TYPE_CHECKING:\n    from codewire.wire.a import x",
        }
    )
    assert found == ["circle: codewire.wire.a -> codewire.wire.b -> codewire.wire.a"]


def test_downward_imports_are_fine() -> None:
    assert not violations(
        {
            "codewire.wire.frames": "import struct\nfrom codewire.errors import ProtocolError",
            "codewire.node.worker": "import socket\nimport codewire.keeper.link",
            "codewire.mcp.server": "from codewire.client import Client",
            "cw": "import codewire.node.worker\nfrom gevent import monkey",
        }
    )
