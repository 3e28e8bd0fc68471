"""launch.json: for its owner's eyes only, whole or not at all, and nothing of one run in it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import LaunchError
from codewire.session.environment import build_environment
from codewire.session.program import LaunchRequest
from codewire.session.records.launchfile import SavedLaunch, read_launch, write_launch
from codewire.session.records.relics import take_up

SAVED = SavedLaunch(
    ("bash", "-c", "ü"), "/tmp", {"A": "1", "CW_SESSION_ID": "7"}, "n", ("t",), 24, 80
)


def test_what_is_written_is_read_again_and_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_launch(str(tmp_path), SAVED)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "launch.json").st_mode) == 0o600
    assert read_launch(str(tmp_path), 1) == SAVED._replace(env={"A": "1"})


def test_an_environment_may_be_left_out(tmp_path: Path) -> None:
    write_launch(str(tmp_path), SAVED._replace(env=None))
    assert b"env" in (tmp_path / "launch.json").read_bytes()
    assert read_launch(str(tmp_path), 1).env is None


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"argv": []},
        {"argv": "x", "working_dir": "/"},
        {"argv": ["x"], "working_dir": ""},
        {"argv": ["x"], "working_dir": "/", "env": {"A": 1}},
        {"argv": ["x"], "working_dir": "/", "env": []},
        {"argv": ["x"], "working_dir": "/", "rows": -1},
        {"argv": ["x"], "working_dir": "/", "tags": "x"},
    ],
)
def test_damage_is_named(tmp_path: Path, value: Any) -> None:
    (tmp_path / "launch.json").write_text(json.dumps(value))
    with pytest.raises(LaunchError, match="is damaged"):
        read_launch(str(tmp_path), 1)


def test_without_it_nothing_is_started_again(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="an older cw launched it"):
        read_launch(str(tmp_path), 1)


def test_a_saved_environment_is_taken_whole_but_for_whose_it_is() -> None:
    request = LaunchRequest(("x",), name="n", tags=("t",), saved_env={"A": "1", "PWD": "/old"})
    found = build_environment({"B": "2"}, "/nonexistent", request, 5, "/new").variables
    assert found == {
        "A": "1",
        "PWD": "/new",
        "CW_SESSION_ID": "5",
        "CW_SESSION_NAME": "n",
        "CW_COHORT_TAG": "t",
    }


def test_a_launch_that_was_cut_short_leaves_no_secrets(tmp_path: Path) -> None:
    directory = tmp_path / "7"
    directory.mkdir()
    (directory / "output.log").touch()
    write_launch(str(directory), SAVED)
    assert take_up(str(directory), 7, None) is None
    assert not directory.exists()
