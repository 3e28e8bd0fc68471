"""What is said once, in wire/'s tables, and every place that must agree with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from codewire.client.local import look
from codewire.client.reach import connection
from codewire.commands import table
from codewire.commands.system.completion import _first_argument
from codewire.errors import (
    LaunchError,
    LogUnavailable,
    OutOfThreads,
    ProtocolError,
    RequestError,
    RequestTimedOut,
)
from codewire.node import server
from codewire.node.handlers import (
    agents,
    attach,
    control,
    delegation,
    kv,
    messages,
    output,
    returning,
    screens,
    typing,
    waiting,
)
from codewire.wire import codes, events
from codewire.wire.requests import FIELDS, REQUESTS, ROWS
from tests import protocol

PACKAGE = Path(server.__file__).parent.parent
HANDLERS = PACKAGE / "node" / "handlers"
MODULES = (
    agents,
    attach,
    control,
    delegation,
    kv,
    messages,
    output,
    returning,
    screens,
    typing,
    waiting,
)


def test_every_request_has_one_handler_and_every_handler_a_request() -> None:
    assert set(server.ANSWERS) == {row.type for row in ROWS if not row.streams}
    assert set(server.STREAMS) == {row.type for row in ROWS if row.streams}
    assert len(REQUESTS) == len(ROWS)
    tables = [
        getattr(m, name) for m in MODULES for name in ("ANSWERS", "STREAMS") if name in vars(m)
    ]
    assert sum(len(found) for found in tables) == len(ROWS)


def test_every_module_of_handlers_is_served_by() -> None:
    named = {Path(module.__file__ or "").name for module in MODULES}
    for path in HANDLERS.glob("*.py"):
        assert path.name in named or not re.search(r"^(ANSWERS|STREAMS)\b", path.read_text(), re.M)


def test_what_a_handler_reads_is_in_some_row() -> None:
    listed = {name for row in ROWS for name in row.fields}
    for path in HANDLERS.glob("*.py"):
        for name in re.findall(r'\brequest(?:\.get\(|\[)"(\w+)"', path.read_text()):
            assert name in listed | {"type"}, f"{path.name} reads {name}, which no request has"


def test_what_a_client_sends_is_in_its_row() -> None:
    """Dict displays with a request's type, as far as they can be read without running them."""
    found = 0
    for room in ("client", "mcp", "commands"):
        for path in (PACKAGE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                keys = _constant_keys(node)
                kind = keys.pop("type", None)
                if kind is not None and kind[:1].isupper():
                    found += 1
                    assert kind in REQUESTS, f"{path.name}: {kind} has no row"
                    assert set(keys) <= REQUESTS[kind].fields, f"{path.name}: {kind} {sorted(keys)}"
    assert found >= 15


def _constant_keys(node: ast.AST) -> dict[str, str]:
    if not isinstance(node, ast.Dict):
        return {}
    pairs = zip(node.keys, node.values, strict=True)
    return {
        str(key.value): str(getattr(value, "value", ""))
        for key, value in pairs
        if isinstance(key, ast.Constant)
    }


def test_the_document_is_the_tables() -> None:
    assert protocol.PATH.read_text(encoding="utf-8") == protocol.document(), (
        "docs/protocol.md is not up to date: python -m tests.protocol"
    )


def test_event_types_and_codes_are_written_once() -> None:
    types = "|".join(re.escape(kind) for kind in events.EVENT_TYPES)
    for path in PACKAGE.rglob("*.py"):
        # What opencode calls its own events is its own business.
        is_foreign = path.name == "integrations.py"
        if not is_foreign and (path.name != "events.py" or path.parent.name != "wire"):
            assert not re.findall(rf'"({types})"', path.read_text()), path
    assert len(set(codes.CODES)) == len(codes.CODES)
    named = {v for k, v in vars(codes).items() if k.isupper() and isinstance(v, str)}
    assert named == set(codes.CODES)


def test_who_writes_a_code_of_its_own_writes_the_tables() -> None:
    """Clients and the keeper do without the module, which costs them time to import."""
    assert connection.NO_WORKER == look.NO_WORKER == codes.NO_WORKER
    for path in PACKAGE.rglob("*.py"):
        for code in re.findall(r'(?:"code": |\["code"\] == |\.code == )"(\w+)"', path.read_text()):
            assert code in codes.CODES, path


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("no"), ""),
        (RequestError("no", codes.BUSY), "busy"),
        (LaunchError("taken", codes.NAME_TAKEN), "name_taken"),
        (ProtocolError("?"), "bad_request"),
        (OutOfThreads(), "busy"),
        (LogUnavailable("gone"), "unavailable"),
        (RequestTimedOut("late"), "timed_out"),
    ],
)
def test_an_error_has_a_code(error: RequestError, code: str) -> None:
    assert codes.code_of(error) == code


def test_sessions_are_completed_where_the_usage_line_says_so() -> None:
    found = {}
    for name, command in table.TABLE.items():
        found[name] = _first_argument(table.load(command)[1], name)
    with_tags = {name for name, first in found.items() if first == "<session-or-tag>"}
    assert with_tags >= {"kill", "watch", "wait", "subscribe"}
    assert {name for name, first in found.items() if first == "<session>"} >= set(
        "attach logs send status inbox screen msg request".split()
    )
    assert {found[name] for name in ("launch", "list", "kv get", "reset")}.isdisjoint(
        ("<session>", "<session-or-tag>")
    )


def test_every_field_is_of_some_use() -> None:
    upstream_only = {"sender_cap"}
    assert set(FIELDS) - {name for row in ROWS for name in row.fields} == upstream_only


def test_every_command_is_in_the_table() -> None:
    """What has a usage text can be run, or its line in commands/table.py was forgotten."""
    known = {(command.module, command.function) for command in table.TABLE.values()}
    for path in (PACKAGE / "commands").rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE / "commands").with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            doc = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            if isinstance(node, ast.FunctionDef) and doc and "Usage:\n" in doc:
                assert (module.removesuffix(".__init__"), node.name) in known
