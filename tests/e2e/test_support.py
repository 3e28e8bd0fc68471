"""The ground the end-to-end tests stand on: nothing outlives a test unseen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import support
from tests.support import Home, is_alive, wait_until


def start(home: Home, script: str) -> int:
    """Run a shell script in the home behind the Home's back and return its pid."""
    # Its parent ends at once, so that whoever reaps orphans reaps it.
    done = subprocess.run(
        ["/bin/sh", "-c", f"({script}) >/dev/null 2>&1 & echo $!"],
        env={"HOME": home.path, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=10,
    )
    return int(done.stdout)


def test_close_ends_and_reports_what_was_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "LINGER_SECONDS", 0.2)
    pid = start(home, "trap '' TERM HUP; while :; do sleep 1; done")
    with pytest.raises(AssertionError, match=f"outlived the node: .*{pid} "):
        home.close()
    assert not is_alive(pid)
    assert not Path(home.path).exists()


def test_announced_leftovers_are_ended_quietly(home: Home) -> None:
    pid = start(home, "exec sleep 100")
    home.expects_leftovers = True
    home.close()
    assert not is_alive(pid)


def test_close_reports_a_logged_traceback(home: Home) -> None:
    Path(home.node_stderr).write_text("Traceback (most recent call last):\n")
    with pytest.raises(AssertionError, match="Traceback"):
        home.close()


def test_close_is_idempotent_and_spares_other_homes(home: Home) -> None:
    other = Home()
    other.expects_leftovers = True
    pid = start(other, "exec sleep 100")
    home.close()
    home.close()
    assert is_alive(pid)
    other.close()
    assert not is_alive(pid)


def test_waiting_is_bounded() -> None:
    with pytest.raises(AssertionError, match="not within 0.05 s: pigs fly"):
        wait_until(lambda: False, 0.05, "pigs fly")


def test_the_environment_is_clean(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CW_SESSION_ID", "7")
    monkeypatch.setenv("CODEWIRE_TOKEN", "x")
    fresh = Home()
    fresh.close()
    assert not [key for key in fresh.env if key.startswith(("CW_", "CODEWIRE_"))]
