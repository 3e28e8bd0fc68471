"""Tool arguments: declared once, checked here, shown to the agent as a JSON schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewire.errors import CodewireError

MAX_U32 = (1 << 32) - 1
MAX_U64 = (1 << 64) - 1


class ArgumentError(CodewireError):
    """The arguments do not fit the tool's schema."""


@dataclass(frozen=True, slots=True)
class Param:
    """One argument. `kind`: integer, number, string, boolean, strings, session, strings_map."""

    name: str
    kind: str
    text: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    maximum: int = MAX_U32
    # An empty text is no value.
    is_filled: bool = False

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the value."""
        value: dict[str, Any] = {"description": self.text}
        if self.kind == "strings":
            value |= {"type": "array", "items": {"type": "string"}}
        elif self.kind == "strings_map":
            value |= {"type": "object", "additionalProperties": {"type": "string"}}
        elif self.kind == "session":
            value["type"] = ["integer", "string"]
        else:
            value["type"] = self.kind
        if self.kind in ("integer", "number"):
            value |= {"minimum": 0, "maximum": self.maximum}
        if self.is_filled:
            value["minLength"] = 1
        if self.choices:
            value["enum"] = list(self.choices)
        return value

    def read(self, arguments: dict[str, Any]) -> Any:
        """Return the checked value, the default when absent or null. Raises ArgumentError."""
        value = arguments.get(self.name)
        if value is None or (self.is_filled and value == ""):
            if self.required:
                raise ArgumentError(f"missing {self.name}")
            return self.default
        if not self._fits(value):
            raise ArgumentError(f"{self.name} must be {self._wanted()}, got {repr(value)[:80]}")
        return value

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
        if self.kind == "strings_map":
            return isinstance(value, dict) and all(isinstance(i, str) for i in value.values())
        if self.kind == "session":
            if isinstance(value, str):
                return bool(value.strip())
            return isinstance(value, int) and is_number and 0 <= value <= MAX_U32
        return isinstance(value, str) and (not self.choices or value in self.choices)

    def _wanted(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return {
            "integer": f"a whole number from 0 to {self.maximum}",
            "number": f"a number from 0 to {self.maximum}",
            "boolean": "true or false",
            "strings": "an array of strings",
            "strings_map": "an object of strings",
            "session": "a session id or name",
        }.get(self.kind, "a string")


def input_schema(params: tuple[Param, ...]) -> dict[str, Any]:
    """Return the schema of a tool's arguments."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {param.name: param.schema() for param in params},
    }
    required = [param.name for param in params if param.required]
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
