"""Ways to cut a stream: what comes out must not depend on where the reads ended."""

from __future__ import annotations

from collections.abc import Iterator


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """Yield `data` one byte at a time, then in two pieces in every way."""
    yield [bytes((byte,)) for byte in data]
    for position in range(len(data) + 1):
        yield [data[:position], data[position:]]


def cut_at(data: bytes, positions: list[int]) -> list[bytes]:
    """Return `data` in pieces; positions outside of it do not count."""
    ends = sorted({p for p in positions if 0 < p < len(data)})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
