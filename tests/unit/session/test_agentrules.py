"""Tables of rules: ours, the user's own, and broken ones."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from codewire.agents.programs import BUILT_IN, NO_PROGRAM
from codewire.session import agentrules
from codewire.session.agentrules import Rules


def test_every_table_of_ours_is_known() -> None:
    rules = Rules("/nowhere")
    assert [rules.program_of([name]).name for name in BUILT_IN] == list(BUILT_IN)
    files = Path(agentrules.__file__).parent.parent.joinpath("agents").glob("*.toml")
    assert sorted(path.stem for path in files) == sorted(BUILT_IN)
    assert rules.program_of(["vim"]) is NO_PROGRAM


def test_the_users_own_win_and_are_read_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agentrules, "LOOK_SECONDS", 0.0)
    rules = Rules(str(tmp_path))
    assert rules.program_of(["claude"]).rules
    file = tmp_path / "mine.toml"
    file.write_text('name = "claude"\ncommands = ["claude", "cc"]\n')
    assert rules.program_of(["cc"]).rules == ()
    file.unlink()
    assert rules.program_of(["claude"]).rules and rules.program_of(["cc"]) is NO_PROGRAM


@pytest.mark.parametrize("text", ["name = ", "name = 3", 'name = "x"\n[[rule]]\nstate = "odd"\n'])
def test_a_broken_file_is_named_once_and_ignored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
) -> None:
    monkeypatch.setattr(agentrules, "LOOK_SECONDS", 0.0)
    path = tmp_path / "broken.toml"
    path.write_text(text)
    os.utime(path, (1, 1))
    rules = Rules(str(tmp_path))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert rules.program_of(["claude"]).name == "claude"
    assert [record.getMessage().count(str(path)) for record in caplog.records] == [1]


def test_rules_that_are_away_for_a_moment_are_read_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As toml is while an upgrade replaces it."""

    def away(name: str) -> None:
        raise ModuleNotFoundError("No module named 'toml'")

    rules = Rules(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(agentrules, "_built_in", away)
        assert rules.program_of(["claude"]) is NO_PROGRAM
    assert "No module named 'toml'; trying on" in caplog.text
    assert rules.program_of(["claude"]).name == "claude"
