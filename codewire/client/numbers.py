"""Numbers of the wire format, checked before anything is sent."""

from __future__ import annotations

from codewire.errors import UsageError
from codewire.wire.sizes import (
    DEFAULT_COLS,
    DEFAULT_ROWS,
    MAX_CELLS,
    MAX_SIDE,
    is_allowed,
)

MAX_U32 = 0xFFFFFFFF
MAX_U64 = 0xFFFFFFFFFFFFFFFF
# Of milliseconds that fit the wire's numbers.
MAX_SECONDS = MAX_U64 // 1000


def whole_number(name: str, value: int | None, maximum: int = MAX_U32) -> int | None:
    """Return `value` if it is None or a whole number from 0 to `maximum`. Raises UsageError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise UsageError(f"{name} must be a whole number from 0 to {maximum}, got {value!r}")
    return value


def seconds(name: str, value: float | None) -> float | None:
    """Return `value` if it is None or a number of seconds from 0 on. Raises UsageError."""
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Said this way round, NaN is refused as well.
    if not is_number or not 0 <= value <= MAX_SECONDS:
        raise UsageError(f"{name} must be a number from 0 to {MAX_SECONDS}, got {value!r}")
    return value


def milliseconds(name: str, value: float | None) -> int | None:
    """Return a number of seconds as whole milliseconds. Raises UsageError."""
    checked = seconds(name, value)
    return None if checked is None else round(checked * 1000)


def checked_size(rows: int | None, cols: int | None) -> tuple[int | None, int | None]:
    """Return the size of a terminal, None where the node is to choose. Raises UsageError."""
    rows, cols = whole_number("rows", rows, MAX_SIDE), whole_number("cols", cols, MAX_SIDE)
    if not is_allowed(rows or DEFAULT_ROWS, cols or DEFAULT_COLS):
        raise UsageError(
            f"a terminal of {cols or DEFAULT_COLS} columns and {rows or DEFAULT_ROWS} rows "
            f"is too large: at most {MAX_CELLS} cells"
        )
    return rows, cols


def checked_id(session_id: int) -> int:
    """Return a session id. Raises UsageError unless it is a whole number."""
    checked = whole_number("session id", session_id)
    if checked is None:
        raise UsageError("session id must be a whole number, got None")
    return checked
