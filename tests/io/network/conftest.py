"""A user's command line, and a relay that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.network.commandline import CommandLine
from tests.io.network.people import session
from tests.io.relay.site import Site


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    directory = tmp_path / "relay"
    directory.mkdir()
    site = Site(directory)
    yield site
    site.close()


@pytest.fixture
def url(site: Site) -> str:
    host, port = site.address
    return f"http://{host}:{port}"


@pytest.fixture
def ann(site: Site, url: str, user: CommandLine) -> CommandLine:
    """Somebody who is logged in and has a network."""
    user.log_in(url, session(site, "ann"))
    user.cw("network", "create", "proj")
    return user


@pytest.fixture
def bob(
    site: Site,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """Somebody else who is logged in."""
    bob = CommandLine(tmp_path / "bob", monkeypatch, capsys)
    bob.log_in(url, session(site, "bob"))
    return bob
