"""Which line of a node's log says what went wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.client.local import nodelog

STAMP = "2026/04/03 12:00:00"
TRACEBACK = "Traceback (most recent call last):\n  File 'x'\nModuleNotFoundError: No module 'g'\n"


@pytest.mark.parametrize(
    ("text", "error", "cause"),
    [
        ("", "", ""),
        (f"{STAMP} INFO node listening\n", "", ""),
        ("thinking\n", "", "thinking"),
        ("Error: parsing config.toml: no\n", "parsing config.toml: no", "parsing config.toml: no"),
        (
            f"{TRACEBACK}{STAMP} WARN worker ended pid=1 restart_in=0.40s\n",
            "ModuleNotFoundError: No module 'g'",
            "ModuleNotFoundError: No module 'g'",
        ),
        (f"{STAMP} ERROR bad thing: x\n{STAMP} INFO y\n", "bad thing: x", "bad thing: x"),
        ("zipimport.ZipImportError: can't find\n", "zipimport.ZipImportError: can't find", None),
        ("KeyboardInterrupt\n", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("words\n\n   \n", "", "words"),
    ],
)
def test_the_line_that_says_why(tmp_path: Path, text: str, error: str, cause: str | None) -> None:
    path = tmp_path / "node.log"
    path.write_text("Error: of last week\n" + text)
    start = len("Error: of last week\n")
    assert nodelog.last_error(str(path), start) == error
    assert nodelog.cause(str(path), start) == (error if cause is None else cause)


def test_a_log_that_was_rotated_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text("Error: new\n")
    assert nodelog.last_words(str(path), 4096) == "new"


def test_a_long_log_is_read_at_its_end_only(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text("Error: early\n" + "x\n" * nodelog.TAIL_BYTES + "Error: late\n")
    assert nodelog.last_error(str(path)) == "late"
    assert nodelog.count(str(path), 0, "early") == 0


def test_what_is_no_log_says_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, tmp_path / "fifo"):
        if path.name == "fifo":
            os.mkfifo(path)
        assert nodelog.last_words(str(path)) == nodelog.last_error(str(path)) == ""
    assert nodelog.log_size(str(tmp_path / "missing")) == 0
