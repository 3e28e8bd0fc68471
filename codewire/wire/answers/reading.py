"""Reads a named tuple of answers/ from the JSON object that a node has sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from codewire.errors import ProtocolError

Answer = TypeVar("Answer", bound=tuple[Any, ...])

NOTHING_SENT: Mapping[str, Any] = {}


def read(kind: Callable[..., Answer], sent: Mapping[str, Any], **known: Any) -> Answer:
    """Return an answer of a kind; a field that is absent or null has its default.

    The default says the type: a field whose default is None holds a number, one whose default is ()
    a list of texts. `known` are fields that have been read already. Raises ProtocolError.
    """
    defaults: dict[str, Any] = kind._field_defaults  # type: ignore[attr-defined]
    for name, default in defaults.items():
        value = sent.get(name)
        if value is not None and name not in known:
            known[name] = _checked(kind.__name__, name, default, value)
    return kind(**known, sent=sent)


def read_each(kind: Callable[..., Answer], sent: Any) -> list[Answer]:
    """Return an answer of a kind for each object in a list; what else is there is left out."""
    return [read(kind, one) for one in sent or () if isinstance(one, dict)]


def _checked(kind: str, name: str, default: Any, value: Any) -> Any:
    if default == () and isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str))
    wanted = int if default is None else type(default)
    is_flag = isinstance(value, bool)
    if isinstance(value, wanted) and is_flag == (wanted is bool):
        return value
    if wanted is float and isinstance(value, int) and not is_flag:
        return float(value)
    word = "list" if wanted is tuple else wanted.__name__
    raise ProtocolError(f"bad {kind}: {name} must be {word}")
