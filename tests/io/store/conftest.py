"""The store on each of its databases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.credentials.vault import Vault
from codewire.relay.store.database import Database, open_database
from tests.postgres import Cluster

KEY = bytes(range(32))
# What a server costs is spent on one Python.
ENGINES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session", params=ENGINES)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One database of each kind for all tests of tables: each has a network of its own."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster").create_database()
    database = open_database(url, str(tmp_path_factory.mktemp("store")), Vault(KEY))
    yield database
    database.close()


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
