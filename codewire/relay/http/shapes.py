"""The JSON objects of the API, as schemas of its document (JSON Schema 2020-12)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
WHOLE: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
WORDS: Schema = {"type": "array", "items": TEXT}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}


def listed(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def shape(optional: Schema | None = None, **needed: Schema) -> Schema:
    """Return the schema of an object: fields that are always there, and those that may be."""
    return {
        "type": "object",
        "properties": {**needed, **(optional or {})},
        "required": list(needed),
    }
