"""What several of the I/O tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.drained import Make, Terminal


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    terminals: list[Terminal] = []

    def one() -> Terminal:
        number = len(terminals) + 1
        terminals.append(Terminal(number, str(tmp_path / f"{number}.log")))
        return terminals[-1]

    yield one
    for terminal in terminals:
        terminal.close()
