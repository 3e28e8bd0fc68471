"""What a session's environment holds, and what of the node's never reaches it (wire.md 12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewire.session.program import LaunchRequest, build_environment


def build(tmp_path: Path, base: dict[str, str], **fields: object) -> dict[str, str]:
    request = LaunchRequest(("x",), **fields)  # type: ignore[arg-type]
    return build_environment(base, str(tmp_path / "environment.json"), request, 3, "/work")


@pytest.mark.parametrize(
    "name",
    ["CODEWIRE_TOKEN", "CODEWIRE_AUTOSTART", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"],
)
def test_what_is_the_nodes_own_stays_there(tmp_path: Path, name: str) -> None:
    """The token above all: it opens the node to whoever has it."""
    assert name not in build(tmp_path, {name: "secret", "PATH": "/bin"})


def test_no_value_of_a_private_variable_is_left_under_another_name(tmp_path: Path) -> None:
    env = build(tmp_path, {"CODEWIRE_TOKEN": "secret", "KEPT": "x"})
    assert "secret" not in env.values()
    assert env["KEPT"] == "x"


def test_later_layers_win(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"A": "file", "B": "file"}')
    env = build(tmp_path, {"A": "node", "B": "node", "C": "node"}, env=("A=launch", "D=launch"))
    assert [env[key] for key in "ABCD"] == ["launch", "file", "node", "launch"]


def test_names_of_an_outer_session_are_not_inherited(tmp_path: Path) -> None:
    outer = {"CW_SESSION_ID": "1", "CW_SESSION_NAME": "outer", "CW_COHORT_TAG": "outer"}
    env = build(tmp_path, outer)
    assert env["CW_SESSION_ID"] == "3"
    assert not {"CW_SESSION_NAME", "CW_COHORT_TAG"} & set(env)
    env = build(tmp_path, outer, name="inner", tags=("one", "two"))
    assert (env["CW_SESSION_NAME"], env["CW_COHORT_TAG"]) == ("inner", "one")
