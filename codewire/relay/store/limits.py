"""How often which address asked: what a relay's counters are flushed to, and begin with."""

from __future__ import annotations

from codewire.relay.store.tx import Tx


def add(tx: Tx, counts: dict[tuple[str, int], int]) -> None:
    """Count more: (key, start of the window in nanoseconds) to how many."""
    # Sorted: see nodes.touch.
    for (key, window_start), count in sorted(counts.items()):
        tx.run(
            """
            insert into rate_limits (key, window_start, count) values (?, ?, ?)
            on conflict (key, window_start)
                do update set count = rate_limits.count + excluded.count
            """,
            key,
            window_start,
            count,
        )


def load(tx: Tx, since: int) -> dict[tuple[str, int], int]:
    """Return the counts of windows that began at `since` or later."""
    rows = tx.all("select key, window_start, count from rate_limits where window_start >= ?", since)
    return {(key, window_start): count for key, window_start, count in rows}
