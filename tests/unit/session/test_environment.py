"""What a session's environment holds, layer by layer, and what never reaches it (wire.md 12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewire import environment
from codewire.errors import LaunchError
from codewire.session.environment import Environment, build_environment
from codewire.session.program import LaunchRequest

# Of other sessions, other multiplexers, other logins, and the node's own.
PRIVATE = [
    "CODEWIRE_RELAY_NODE_TOKEN", "CODEWIRE_RELAY_TOKEN", "CODEWIRE_RELAY_INVITE_TOKEN",
    "CODEWIRE_TOKEN", "CODEWIRE_AUTOSTART", "CLAUDECODE", "CLAUDECODE_X", "CLAUDE_CODE_ENTRYPOINT",
    "TMUX", "TMUX_PANE", "STY", "SSH_TTY", "ZELLIJ", "LINES", "COLUMNS", "_",
    "CW_NODE_ID", "CW_SESSION_MARK", "CW_REQUEST_BODY", "CW_ANYTHING_OF_LATER",
]  # fmt: skip


def build(tmp_path: Path, base: dict[str, str], **fields: object) -> dict[str, str]:
    return built(tmp_path, base, **fields).variables


def built(
    tmp_path: Path, base: dict[str, str], takes_callers: bool = True, **fields: object
) -> Environment:
    request = LaunchRequest(("x",), **fields)  # type: ignore[arg-type]
    path = str(tmp_path / "environment.json")
    return build_environment(base, path, request, 3, "/work", takes_callers=takes_callers)


@pytest.mark.parametrize("name", PRIVATE)
def test_what_is_another_processs_own_stays_there(tmp_path: Path, name: str) -> None:
    """The token above all: it opens the node to whoever has it."""
    assert name not in build(tmp_path, {name: "secret", "PATH": "/bin"})
    brought = build(tmp_path, {}, env=(f"{name}=secret",), has_environment=True)
    assert name not in brought, "nor of what a client sends unasked"
    named = build(tmp_path, {}, env=(f"{name}=mine",), has_environment=True, env_caller=0)
    assert named[name] == "mine", "a launch may name it"


@pytest.mark.parametrize(("program", "stays"), [("tmux", False), ("iTerm.app", True)])
def test_a_multiplexer_is_not_the_sessions_terminal(
    tmp_path: Path, program: str, stays: bool
) -> None:
    env = build(tmp_path, {"TERM_PROGRAM": program, "TERM_PROGRAM_VERSION": "3"})
    assert ("TERM_PROGRAM" in env, "TERM_PROGRAM_VERSION" in env) == (stays, stays)


@pytest.mark.parametrize("name", ["CW_DEBUG", "CW_DETACH_KEY", "CW_RUNTIME", "CW_CONFIG_DIR"])
def test_what_a_person_sets_for_cw_goes_along(tmp_path: Path, name: str) -> None:
    assert build(tmp_path, {}, env=(f"{name}=1",), has_environment=True)[name] == "1"


def test_no_value_of_a_private_variable_is_left_under_another_name(tmp_path: Path) -> None:
    env = build(tmp_path, {"CODEWIRE_TOKEN": "secret", "KEPT": "x"})
    assert "secret" not in env.values()
    assert env["KEPT"] == "x"


def test_later_layers_win(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"A": "file", "B": "file"}')
    env = build(tmp_path, {"A": "node", "B": "node", "C": "node"}, env=("A=launch", "D=launch"))
    assert [env[key] for key in "ABCD"] == ["launch", "file", "node", "launch"]


def test_a_callers_environment_takes_the_place_of_the_nodes(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"A": "file", "B": "file", "CW_SESSION_ID": "9"}')
    env = build(
        tmp_path,
        {"N": "node", "C": "node"},
        env=("A=caller", "B=caller", "C=caller", "A=launch", "CW_SESSION_ID=8"),
        has_environment=True,
        env_caller=3,
    )
    assert [env.get(key) for key in "ABCN"] == ["launch", "file", "caller", None]
    assert env["CW_SESSION_ID"] == "3"
    assert env["TERM"] == environment.COMMON_TERM, "a session has a terminal, whatever the caller"
    assert "COLORTERM" not in env


def test_a_node_may_keep_to_its_own(tmp_path: Path) -> None:
    sent = {"env": ("A=caller", "B=launch"), "has_environment": True, "env_caller": 1}
    found = built(tmp_path, {"N": "node", "PATH": "/n"}, takes_callers=False, **sent)
    assert [found.variables.get(key) for key in "ABN"] == [None, "launch", "node"]
    assert (found.path_owner, found.is_callers) == ("the node's", False)


@pytest.mark.parametrize("brings", [True, False])
def test_a_clean_environment_is_seven_variables(tmp_path: Path, brings: bool) -> None:
    """The caller's seven, or on another machine the node's."""
    own = {name: f"/{name}" for name in (*environment.CLEAN_NAMES, "SECRET", "COLORTERM")}
    sent = tuple(f"{key}={value}" for key, value in own.items()) if brings else ()
    env = build(
        tmp_path,
        {} if brings else own,
        env=(*sent, "X=named"),
        has_environment=brings,
        env_caller=len(sent),
        is_clean=True,
    )
    told = {"PWD", "CW_SESSION_ID", "X"}
    assert env.keys() == {*environment.CLEAN_NAMES, *told}


@pytest.mark.parametrize(
    ("fields", "file", "owner"),
    [
        ({}, "", "the node's"),
        ({"has_environment": True, "env": ("PATH=/c",)}, "", "the caller's"),
        ({"has_environment": True, "env": ("A=b",)}, "", ""),
        ({"has_environment": True, "env": ("PATH=/c",)}, '{"PATH": "/f"}', "environment.json's"),
        ({"env": ("PATH=/c",)}, '{"PATH": "/f"}', "the launch's"),
    ],
)
def test_it_is_known_whose_path_is_searched(
    tmp_path: Path, fields: dict[str, object], file: str, owner: str
) -> None:
    (tmp_path / "environment.json").write_text(file)
    assert built(tmp_path, {"PATH": "/n"}, **fields).path_owner == owner


@pytest.mark.parametrize("where", ["base", "env"])
def test_more_than_a_command_can_start_with_is_refused_without_its_values(
    tmp_path: Path, where: str
) -> None:
    huge = "secret" * (environment.MAX_BYTES // 6)
    with pytest.raises(LaunchError) as caught:
        if where == "base":
            build(tmp_path, {"BIG": huge})
        else:
            build(tmp_path, {}, env=(f"BIG={huge}",), has_environment=True)
    text = str(caught.value)
    assert "BIG" in text and "--clean-env" in text and "secret" not in text and len(text) < 300


def test_a_value_that_no_system_call_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="NUL"):
        build(tmp_path, {}, env=("A=b\0c",))


def test_names_of_an_outer_session_are_not_inherited(tmp_path: Path) -> None:
    outer = {"CW_SESSION_ID": "1", "CW_SESSION_NAME": "outer", "CW_AGENT": "claude"}
    env = build(tmp_path, outer)
    assert env["CW_SESSION_ID"] == "3"
    assert not {"CW_SESSION_NAME", "CW_AGENT"} & set(env)
    env = build(tmp_path, outer, name="inner", tags=("one", "two"))
    assert (env["CW_SESSION_NAME"], env["CW_COHORT_TAG"]) == ("inner", "one")
    assert build(tmp_path, {"CW_AGENT": "claude"})["CW_AGENT"] == "claude", "a person's own word"


@pytest.mark.parametrize(
    ("value", "is_large"),
    [("x" * (environment.MAX_BYTES - 3), False), ("x" * (environment.MAX_BYTES - 2), True)]
    + [("ä" * (environment.MAX_BYTES // 2), True), ("ä" * (environment.MAX_BYTES // 4), False)],
)
def test_what_is_too_large_is_counted_in_bytes(value: str, is_large: bool) -> None:
    assert environment.is_too_large({"A": value}) is is_large
