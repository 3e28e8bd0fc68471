"""How fast output is parsed: what lazy readers of a log cost, for it is not on the output path."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.report import Results
from codewire.term.parser import Parser
from codewire.term.queries import QUERY
from codewire.term.screen import Screen

CHUNK_BYTES = 1 << 16
PLAIN = b"hello world " * 8 + b"\r\n"
COLOURED = b"\x1b[32mhello\x1b[0m world " * 4 + b"\r\n"


def parsing(results: Results, size: int) -> None:
    """Feed `size` bytes of plain and of coloured text to each reader."""
    readers: dict[str, Callable[[], Callable[[bytes], object]]] = {
        "parse": lambda: Parser().feed,
        "query": lambda: QUERY.findall,
        "draw": lambda: Screen().feed,
    }
    for name, make in readers.items():
        for kind, line in (("plain", PLAIN), ("coloured", COLOURED)):
            data = line * (size // len(line))
            feed = make()
            started = time.perf_counter()
            for start in range(0, len(data), CHUNK_BYTES):
                feed(data[start : start + CHUNK_BYTES])
            rate = len(data) / 1e6 / (time.perf_counter() - started)
            results.add(f"{name}_{kind}", "cw", rate)
