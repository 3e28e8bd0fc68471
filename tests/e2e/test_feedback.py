"""A session shown on its own terminal, or two that show each other: refused, nothing repeats."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support import REPOSITORY, Home, wait_until

CW = f"{sys.executable} {REPOSITORY}/cw.py"


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    try:
        home.start_node()
        yield home
    finally:
        home.close()


@pytest.mark.parametrize("command", ["attach", "watch", "logs -f"])
def test_a_session_does_not_show_itself(home: Home, command: str) -> None:
    number = home.launch("sh", "-c", f"{CW} {command} $CW_SESSION_ID; echo END $?; exec sleep 100")
    wait_until(lambda: b"END" in home.log(number), 30, "it is refused")
    shown = home.log(number)
    assert b"END 1" in shown and b"would repeat its output for ever" in shown


@pytest.mark.parametrize("command", ["attach --no-bar", "watch", "logs -f"])
def test_two_sessions_do_not_show_each_other(home: Home, command: str) -> None:
    first = home.launch("sh", "-c", f"read go; {CW} {command} 2; echo END $?; exec sleep 100")
    second = home.launch("sh", "-c", f"echo BEGIN; {CW} {command} 1; echo END $?; exec sleep 100")
    if command.startswith("attach"):
        wait_until(lambda: home.session(first)["attached"], 30, "the first is attached to")
    home.cw("send", "1", "go")
    wait_until(lambda: b"END" in home.log(first) + home.log(second), 30, "one is refused")
    assert b"shows session" in home.log(first) + home.log(second)
    assert len(home.log(first)) < 20_000
