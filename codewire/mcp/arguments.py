"""Tool arguments: declared once, checked here, shown to the agent as a JSON schema.

A schema has one JSON type for each argument and no number that a double cannot hold: some clients
turn it into types of their own and refuse all tools for one they cannot express. What is taken is
wider than what is shown: a session by number where its name is expected, 1.0 for 1, an object for
a list of KEY=VALUE.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from codewire.errors import CodewireError

MAX_U32 = (1 << 32) - 1
MAX_U64 = (1 << 64) - 1
# The largest whole number that every JSON reader has exactly.
MAX_SAFE = (1 << 53) - 1
SHOWN_CHARS = 80
# Arguments that are called otherwise than the options of commands, which errors name.
OPTIONS = {
    "--if-idle": "if_idle_seconds",
    "--idle": "idle_seconds",
    "--timeout": "timeout_seconds",
    "--for": "text",
    "--regex": "regex",
    "--state": "states",
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


class ArgumentError(CodewireError):
    """The arguments do not fit the tool's schema."""


@dataclass(frozen=True, slots=True)
class Param:
    """One argument. `kind`: integer, number, string, boolean, strings, session, pairs.

    A session is two for the agent, of one type each: `session`, its id or name, and `session_id`,
    its number. The tool gets what was given as `session_id`, which is the name here.
    """

    name: str
    kind: str
    text: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    maximum: int = MAX_U32
    # An empty text is no value.
    is_filled: bool = False

    def properties(self) -> dict[str, Any]:
        """Return the JSON schemas of what the agent may pass, by name."""
        if self.kind != "session":
            return {self.name: self._schema()}
        by_number = {"type": "integer", "minimum": 0, "maximum": MAX_U32}
        text = f"The same by number, instead of {self.text_name}"
        return {self.text_name: self._schema(), self.name: {"description": text, **by_number}}

    @property
    def text_name(self) -> str:
        """What a session is called by its id or name."""
        return self.name.removesuffix("_id")

    def _schema(self) -> dict[str, Any]:
        value: dict[str, Any] = {"description": self.text}
        if self.kind in ("strings", "pairs"):
            value |= {"type": "array", "items": {"type": "string"}}
        else:
            value["type"] = "string" if self.kind == "session" else self.kind
        if self.kind in ("integer", "number"):
            value["minimum"] = 0
            if self.maximum <= MAX_SAFE:
                value["maximum"] = self.maximum
        if self.is_filled:
            value["minLength"] = 1
        if self.choices:
            value["enum"] = list(self.choices)
        return value

    def read(self, arguments: dict[str, Any]) -> Any:
        """Return the checked value, the default when absent or null. Raises ArgumentError."""
        name = self.name
        if self.kind == "session" and arguments.get(self.text_name) is not None:
            name = self.text_name
        value = arguments.get(name)
        if value is None or (self.is_filled and value == ""):
            if self.required:
                raise ArgumentError(f"missing {self._missing_name()}")
            return self.default
        if self.kind in ("integer", "session") and isinstance(value, float) and value.is_integer():
            # A client that has one kind of number sends 1.0.
            value = int(value)
        if not self._fits(value):
            raise ArgumentError(f"{name} must be {self._wanted()}, got {_shown(value)}")
        return _pairs(value) if self.kind == "pairs" else value

    def _missing_name(self) -> str:
        return f"{self.text_name} or {self.name}" if self.kind == "session" else self.name

    def _fits(self, value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.kind == "integer":
            return isinstance(value, int) and is_number and 0 <= value <= self.maximum
        if self.kind == "number":
            return is_number and 0 <= value <= self.maximum
        if self.kind == "boolean":
            return isinstance(value, bool)
        if self.kind == "strings":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        if self.kind == "pairs":
            return _are_pairs(value)
        if self.kind == "session":
            if isinstance(value, str):
                return bool(value.strip())
            return isinstance(value, int) and is_number and 0 <= value <= MAX_U32
        return isinstance(value, str) and (not self.choices or value in self.choices)

    def _wanted(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        most = f" to {self.maximum}" if self.maximum <= MAX_SAFE else " on"
        return {
            "integer": f"a whole number from 0{most}",
            "number": f"a number from 0{most}",
            "boolean": "true or false",
            "strings": "an array of strings",
            "pairs": 'an array of strings like "KEY=VALUE"',
            "session": "a session id or name",
        }.get(self.kind, "a string")


def _are_pairs(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(item, str) for item in value.values())
    return isinstance(value, list) and all(
        isinstance(item, str) and item.partition("=")[1] for item in value
    )


def _pairs(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}={item}" for key, item in value.items()]
    return list(value)


def _shown(value: Any) -> str:
    """Return a value as whoever sent it wrote it, not as Python would."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."


def input_schema(params: tuple[Param, ...]) -> dict[str, Any]:
    """Return the schema of a tool's arguments."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: schema for param in params for name, schema in param.properties().items()
        },
    }
    # Of a session one of two names is needed, which a schema that all clients read cannot say.
    required = [param.name for param in params if param.required and param.kind != "session"]
    if required:
        schema["required"] = required
    return schema


def read_arguments(params: tuple[Param, ...], arguments: Any) -> dict[str, Any]:
    """Return every declared argument, checked. Unknown ones are ignored. Raises ArgumentError."""
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ArgumentError("arguments must be an object")
    return {param.name: param.read(arguments) for param in params}


def as_arguments(text: str) -> str:
    """Return an error with the arguments of tools where it names the options of commands."""
    return OPTION.sub(
        lambda found: OPTIONS.get(found[0]) or found[0].removeprefix("--").replace("-", "_"), text
    )
