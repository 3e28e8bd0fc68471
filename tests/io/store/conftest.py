"""What the store's tests share: a database, and a network of each test's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.credentials.vault import Vault
from codewire.relay.store.database import Database, open_database
from tests.postgres import Cluster

KEY = bytes(range(32))
# Which database the tables are tested on; test_elsewhere.py has them on the other one.
ENGINE = os.environ.get("CW_STORE_ENGINE", "sqlite")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One database for all tests of tables: each has a network of its own."""
    url = new_url(request)
    database = open_database(url, str(tmp_path_factory.mktemp("store")), Vault(KEY))
    yield database
    database.close()


def new_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty PostgreSQL database, "" where SQLite is tested."""
    if ENGINE == "sqlite":
        return ""
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.create_database()


@pytest.fixture
def network() -> str:
    """The id of a network that no other test has."""
    return f"net-{next(_numbers)}"


@pytest.fixture
def file_database(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database of this test alone."""
    database = open_database("", str(tmp_path), Vault(KEY))
    yield database
    database.close()
