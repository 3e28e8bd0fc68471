"""What several of the I/O tests start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.web.connection import Limits
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


@pytest.fixture
def make_site() -> Iterator[Callable[..., Any]]:
    """Start HTTP servers with given limits; they are stopped afterwards."""
    # Needs h11, which only these tests do.
    from tests.io.webserver import Site

    sites: list[Site] = []

    def one(**limits: Any) -> Site:
        sites.append(Site(Limits(**limits)))
        return sites[-1]

    yield one
    for site in sites:
        site.close()
