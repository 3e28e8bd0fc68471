"""A wait whose time is up before it came to wait says just that."""

from __future__ import annotations

import pytest

from codewire import commands
from codewire.errors import OutOfTime


@pytest.mark.parametrize(
    ("command", "is_stopped", "words"),
    [
        ("wait", False, "Error: wait timed out\n"),
        ("prompt", False, "Error: prompt timed out\n"),
        ("wait", True, "Error: wait timed out: no answer\n"),
        ("list", False, "Error: no answer\n"),
    ],
)
def test_what_a_late_command_says(
    command: str, is_stopped: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands._report(OutOfTime("no answer", is_stopped), command) == 124
    assert capsys.readouterr().err == words
