"""Fixtures: a private HOME, and a running node on each runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remote import RemoteHome
from tests.support import Home, running_home

RUNTIMES = ("gevent", "threads")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the machine for itself: it runs alone, and as slow."""
    alone = ("test_torture_", "test_promises_readers", "test_terminal")
    for item in items:
        if item.path.name.startswith(alone):
            item.add_marker(pytest.mark.alone)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn."""
    name: str = request.param
    return name


@pytest.fixture
def home() -> Iterator[Home]:
    """A fresh HOME without a node; everything started in it is ended afterwards."""
    home = Home()
    yield home
    home.close()


@pytest.fixture
def node(runtime: str) -> Iterator[Home]:
    """A fresh HOME with a running node, once on each runtime."""
    with running_home(runtime) as home:
        yield home


@pytest.fixture
def remote(runtime: str) -> Iterator[RemoteHome]:
    home = RemoteHome(runtime)
    try:
        home.start_node()
        yield home
    finally:
        home.close()
