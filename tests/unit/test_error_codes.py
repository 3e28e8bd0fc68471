"""Why something failed, in one word: every error has its code, and the documents list them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codewire import errors
from codewire.commands import wants_json
from codewire.errors import CodewireError
from codewire.mcp.results import CODE_KEY, failed
from codewire.wire.codes import CODES, NAME_TAKEN, code_of

ROOT = Path(__file__).parents[2]
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def documented() -> set[str]:
    """Return the codes of docs/python.md, those of nodes (docs/protocol.md) included."""
    text = (ROOT / "docs" / "python.md").read_text()
    table = text[text.index("| code | when |") :].partition("\n\n")[0]
    return set(re.findall(r"`(\w+)`", table)) | set(CODES)


@pytest.mark.parametrize("kind", CLASSES)
def test_codes_of_classes_are_documented(kind: type[CodewireError]) -> None:
    # What a node refuses has the node's code; one that gives none leaves it empty.
    has_none = kind in (CodewireError, errors.RequestError, errors.LaunchError)
    assert kind.code in documented() or (has_none and not kind.code) or "Timed" in kind.__name__


def test_a_node_says_only_what_the_table_has() -> None:
    assert code_of(errors.LaunchError("no", NAME_TAKEN)) == NAME_TAKEN
    assert code_of(errors.ConfigError("x")) == code_of(CodewireError("x")) == ""
    assert code_of(errors.ProtocolError("x")) == "bad_request"


def test_a_failed_tool_says_its_code() -> None:
    refused = errors.RequestError("session 3 not found", "no_such_session")
    assert failed(str(refused), code=refused.code) == {
        "content": [{"type": "text", "text": "Error: session 3 not found"}],
        "isError": True,
        "_meta": {CODE_KEY: "no_such_session"},
    }
    assert "_meta" not in failed("x")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("list --json", True),
        ("kill x -j", True),
        ("status 3 -o json", True),
        ("status 3 --output=json", True),
        ("status 3 -o text", False),
        ("launch -- tool --json", False),
        ("list", False),
    ],
)
def test_which_command_lines_want_json(words: str, wanted: bool) -> None:
    assert wants_json(words.split()) == wanted
