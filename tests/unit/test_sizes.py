"""Which sizes of terminals may be asked for."""

from __future__ import annotations

import pytest

from codewire.client.numbers import checked_size
from codewire.errors import UsageError
from codewire.wire.sizes import MAX_CELLS, clamped, is_allowed


@pytest.mark.parametrize("size", [(24, 80), (1, 1), (2000, 2000), (61, 65535), (65535, 61)])
def test_allowed_sizes_stay(size: tuple[int, int]) -> None:
    assert is_allowed(*size)
    assert clamped(*size) == size
    assert checked_size(*size) == size


@pytest.mark.parametrize("size", [(65535, 65535), (2001, 2000), (20_000, 20_000), (100, 65535)])
def test_larger_ones_are_cut(size: tuple[int, int]) -> None:
    assert not is_allowed(*size)
    rows, cols = clamped(*size)
    assert MAX_CELLS * 0.9 < rows * cols <= MAX_CELLS
    assert min(size) in (rows, cols) or (rows, cols) == (2000, 2000)
    with pytest.raises(UsageError, match="4000000 cells"):
        checked_size(*size)


def test_what_is_not_named_has_a_default() -> None:
    assert checked_size(None, None) == (None, None)
    assert checked_size(None, 65535) == (None, 65535)
    with pytest.raises(UsageError):
        checked_size(None, 65536)
    with pytest.raises(UsageError, match="80 columns"):
        checked_size(65535, None)
