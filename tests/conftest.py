"""Fixtures: a private HOME, and a running node on each runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.support import Home

RUNTIMES = ("gevent", "threads")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn; the gevent half is skipped where gevent is not installed."""
    name: str = request.param
    if name == "gevent" and importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
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
    home = Home(runtime)
    try:
        home.start_node()
        yield home
    finally:
        home.close()
