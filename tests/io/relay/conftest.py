"""A relay's API for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.relay.desk import Desk
from tests.io.relay.site import Site
from tests.io.store.conftest import ENGINES, cluster

__all__ = ["cluster"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture(params=ENGINES)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """The API on each kind of database."""
    is_postgresql = request.param == "postgresql"
    url = request.getfixturevalue("cluster").create_database() if is_postgresql else ""
    desk = Desk(tmp_path, url)
    yield desk
    desk.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()
