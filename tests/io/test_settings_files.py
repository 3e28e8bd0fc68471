"""Files that a worker reads at its start: whatever stands there, it is not waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codewire.config import load_settings
from codewire.errors import ConfigError
from codewire.node.token import ensure_token, read_token
from codewire.node.worker import _configure, _try_step


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    path.mkdir()


def as_huge(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 30)


def as_loop(path: Path) -> None:
    path.symlink_to(path)


SPOILT = pytest.mark.parametrize("spoil", [as_fifo, as_directory, as_huge, as_loop])


@pytest.mark.timeout(20)
@SPOILT
def test_a_configuration_that_is_no_file(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "config.toml"
    spoil(path)
    with pytest.raises(ConfigError, match="config.toml"):
        load_settings(str(path))
    settings, problem = _configure(str(path))
    assert str(path) in problem
    assert (settings.log_max_bytes, settings.listen) == (0, ""), "nothing is freed on a guess"
    assert settings.keep_finished > 1_000_000


def test_a_good_configuration_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[node]\nkeep_finished = 7\n")
    settings, problem = _configure(str(path))
    assert (settings.keep_finished, problem) == (7, "")


@pytest.mark.timeout(20)
@SPOILT
def test_a_token_that_is_no_file(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "token"
    spoil(path)
    assert read_token(str(path)) == ""
    _try_step("making the token", ensure_token, str(path))


@pytest.mark.parametrize("error", [OSError(30, "read-only"), ValueError("1e999"), MemoryError()])
def test_a_step_that_fails_is_left_out(error: Exception) -> None:
    def step() -> None:
        raise error

    _try_step("something", step)
