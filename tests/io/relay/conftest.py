"""A relay's API for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.relay.desk import Desk
from tests.io.relay.site import Site
from tests.io.store.conftest import cluster, new_url

__all__ = ["cluster"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """The API on the database that is tested; store/test_elsewhere.py has the other one."""
    desk = Desk(tmp_path, new_url(request))
    yield desk
    desk.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()
