"""What a session's environment is made of, and what never reaches it."""

from __future__ import annotations

import pytest

from codewire.environment import is_private
from codewire.session.environment import build_environment
from codewire.session.program import LaunchRequest


def environment(base: dict[str, str], *entries: str) -> dict[str, str]:
    request = LaunchRequest(("true",), name="n", tags=("t", "u"), env=entries)
    return build_environment(base, "/none/environment.json", request, 7, "/work").variables


@pytest.mark.parametrize(
    "name",
    ["CODEWIRE_TOKEN", "CODEWIRE_AUTOSTART", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"],
)
def test_what_is_the_nodes_own_stays_with_it(name: str) -> None:
    assert is_private(name)
    assert name not in environment({name: "secret", "PATH": "/bin"})


def test_a_session_may_be_given_any_of_it() -> None:
    assert environment({}, "CODEWIRE_TOKEN=mine")["CODEWIRE_TOKEN"] == "mine"


def test_the_size_of_the_nodes_terminal_is_not_that_of_the_session() -> None:
    assert not {"LINES", "COLUMNS"} & environment({"LINES": "1", "COLUMNS": "2"}).keys()


def test_a_session_is_told_who_it_is() -> None:
    found = environment({"CW_SESSION_NAME": "outer", "CW_COHORT_TAG": "outer"})
    assert found["CW_SESSION_ID"] == "7"
    assert found["CW_SESSION_NAME"] == "n"
    assert found["CW_COHORT_TAG"] == "t"
    assert found["PWD"] == "/work"
