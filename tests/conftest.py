"""Fixtures: a private HOME, and a running node on each runtime."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.remote import RemoteHome
from tests.support import Home, running_home

RUNTIMES = ("gevent", "threads")

# A shell's background job ignores it, and so would everything the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's affair, and in a fresh clone the first text drawn
# waits for Hypothesis to build its table of Unicode. The examples are the same in every run: one
# found by chance would refuse a change that has nothing to do with it. To look for new ones, run
# with --hypothesis-profile=search.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("search"), derandomize=True)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs whole nodes, and put first what waits longest.

    The last test of a run should be a short one: the others wait for it with nothing to do.
    """
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


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


@pytest.fixture(scope="module")
def shared() -> Iterator[Home]:
    """A node for tests that only look at sessions of their own."""
    with running_home() as home:
        yield home
