"""Tools as clients see them: schemas that all of them take, and arguments that are checked."""

from __future__ import annotations

import warnings
from typing import Any

import jsonschema
import pytest

from codewire.mcp.arguments import (
    MAX_SAFE,
    ArgumentError,
    Param,
    as_arguments,
    input_schema,
    read_arguments,
)
from codewire.mcp.toolbox import TOOLS

SESSION = Param("session_id", "session", "Which", required=True)
JSON_TYPES = {"string", "integer", "number", "boolean", "array", "object"}


def read(param: Param, **arguments: Any) -> Any:
    return read_arguments((param,), arguments)[param.name]


def refusal(param: Param, **arguments: Any) -> str:
    with pytest.raises(ArgumentError) as refused:
        read(param, **arguments)
    return str(refused.value)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))
def test_a_schema_is_plain(tool: Any) -> None:
    """One JSON type an argument, nothing a double cannot hold, only words that all clients know."""
    schema = input_schema(tool.params)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert set(schema.get("required", ())) <= set(schema["properties"])
    for value in schema["properties"].values():
        assert value["type"] in JSON_TYPES - {"object"}
        assert value["description"]
        assert value.get("maximum", 0) <= MAX_SAFE
        assert set(value) <= {
            *("type", "description", "enum", "items", "minimum", "maximum", "minLength")
        }
        if value["type"] == "array":
            assert value["items"] == {"type": "string"}
    if tool.output is not None:
        jsonschema.Draft202012Validator.check_schema(tool.output)
        assert tool.output["type"] == "object"


def test_google_takes_every_tool() -> None:
    with warnings.catch_warnings():
        # What its own parts say of each other and of this Python is not ours to mend.
        warnings.simplefilter("ignore")
        from google.genai import types
    for tool in TOOLS.values():
        declared = types.FunctionDeclaration(
            name=tool.name, description=tool.text, parameters=input_schema(tool.params)
        )
        assert declared.parameters is not None
        shown = declared.parameters.properties or {}
        assert {name: value.type.value.lower() for name, value in shown.items()} == {
            name: value["type"] for name, value in input_schema(tool.params)["properties"].items()
        }


def test_openai_takes_every_name() -> None:
    """Letters, digits, _ and -, at most 64; descriptions of at most 1024 characters."""
    for tool in TOOLS.values():
        assert tool.name.replace("_", "").isalnum() and len(tool.name) <= 64
        assert len(tool.text) <= 1024, tool.name


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"session": "planner"}, "planner"),
        ({"session": "7"}, "7"),
        ({"session_id": 7}, 7),
        ({"session_id": 7.0}, 7),
        ({"session": 7}, 7),
        ({"session_id": "planner"}, "planner"),
        ({"session": "planner", "session_id": 7}, "planner"),
        ({"session": None, "session_id": 7}, 7),
    ],
)
def test_a_session_by_id_or_name(arguments: dict[str, Any], value: Any) -> None:
    assert read(SESSION, **arguments) == value


def test_a_session_is_two_arguments_of_one_type() -> None:
    schema = input_schema((SESSION,))
    types = {name: value["type"] for name, value in schema["properties"].items()}
    assert types == {"session": "string", "session_id": "integer"}
    for arguments in ({"session": "planner"}, {"session_id": 7}):
        jsonschema.validate(arguments, schema)


def test_a_whole_number_may_come_as_a_double() -> None:
    tail = Param("tail", "integer", "Lines", maximum=100)
    value = read(tail, tail=3.0)
    assert value == 3 and isinstance(value, int)
    for wrong in (3.5, -1, -1.0, 101, 1e300):
        assert refusal(tail, tail=wrong).startswith("tail must be a whole number from 0 to 100, ")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("integer", True, "n must be a whole number from 0 to 4294967295, got true"),
        ("integer", "3", 'n must be a whole number from 0 to 4294967295, got "3"'),
        ("boolean", "yes", 'n must be true or false, got "yes"'),
        ("strings", ["a", None], 'n must be an array of strings, got ["a", null]'),
        ("pairs", ["A"], 'n must be an array of strings like "KEY=VALUE", got ["A"]'),
        ("string", {"a": False}, 'n must be a string, got {"a": false}'),
        ("session", True, "n must be a session id or name, got true"),
    ],
)
def test_refusals_are_in_json_not_in_python(kind: str, value: Any, words: str) -> None:
    assert refusal(Param("n", kind, "N"), n=value) == words


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(refusal(Param("n", "integer", "N"), n="x" * 10_000)) < 200


def test_what_is_missing_is_named() -> None:
    assert refusal(SESSION) == "missing session or session_id"
    assert refusal(Param("body", "string", "B", required=True, is_filled=True), body="") == (
        "missing body"
    )


def test_an_environment_as_list_and_as_object() -> None:
    env = Param("env", "pairs", "Variables")
    assert read(env, env=["A=1", "B=x=y"]) == ["A=1", "B=x=y"]
    assert read(env, env={"A": "1", "B": "x=y"}) == ["A=1", "B=x=y"]
    assert read(env) is None
    assert input_schema((env,))["properties"]["env"]["type"] == "array"


def test_options_are_called_by_what_a_tool_calls_them() -> None:
    said = "local node does not know --if-idle or --expect-screen (it is older than this cw)"
    assert as_arguments(said) == (
        "local node does not know if_idle_seconds or expect_screen (it is older than this cw)"
    )
    assert as_arguments("a -- b, x--y") == "a -- b, x--y"
