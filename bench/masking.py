"""How fast WebSocket payloads are masked: the two ways of wire/websocket.py, and its choice.

python -m bench.masking
"""

from __future__ import annotations

import os
import timeit
from collections.abc import Callable

from codewire.wire import websocket

SIZES = (16, 200, 1024, 2048, 4096, 16384, 65536, 1 << 20)


def main() -> None:
    print(f"{'bytes':>8} {'by int':>12} {'by translate':>14} {'chosen':>12}   MB/s")
    for size in SIZES:
        rates = [rate(size, threshold) for threshold in (1 << 62, 257, websocket.TRANSLATE_FROM)]
        print(f"{size:>8} {rates[0]:>12.0f} {rates[1]:>14.0f} {rates[2]:>12.0f}")


def rate(size: int, threshold: int) -> float:
    """Return MB/s for payloads of a size when translation begins at a threshold."""
    chosen = websocket.TRANSLATE_FROM
    websocket.TRANSLATE_FROM = threshold
    try:
        data, mask = os.urandom(size), os.urandom(4)
        count = max(5, min(20_000, 4_000_000 // size))
        call: Callable[[], bytes] = lambda: websocket.apply_mask(data, mask)  # noqa: E731
        return size * count / min(timeit.repeat(call, number=count, repeat=3)) / 1e6
    finally:
        websocket.TRANSLATE_FROM = chosen


if __name__ == "__main__":
    main()
