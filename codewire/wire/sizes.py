"""Which sizes a terminal may have: bounded by its cells, since a screen costs by the cell."""

from __future__ import annotations

# TIOCSWINSZ takes 16 bits each way, and 65535 x 65535 would be 4 G cells.
MAX_SIDE = 65535
# What a node gives a terminal whose size nobody names.
DEFAULT_ROWS, DEFAULT_COLS = 24, 80
MAX_CELLS = 4_000_000
# What a size too large in both directions is cut to.
SQUARE_SIDE = 2000


def is_allowed(rows: int, cols: int) -> bool:
    """Say whether a terminal of this size may be asked for."""
    return rows * cols <= MAX_CELLS


def clamped(rows: int, cols: int) -> tuple[int, int]:
    """Return (rows, columns) with at most MAX_CELLS cells; the shorter side is kept if it can be.

    Both must be at least 1.
    """
    if is_allowed(rows, cols):
        return rows, cols
    cols = min(cols, max(SQUARE_SIDE, MAX_CELLS // rows))
    return min(rows, MAX_CELLS // cols), cols
