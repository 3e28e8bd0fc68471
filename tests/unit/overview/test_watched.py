"""Lines of several watched sessions on a terminal: behind their labels, whatever their length."""

from __future__ import annotations

import re
from queue import Queue
from typing import Any

import pytest

from codewire.commands import output
from codewire.commands.sessions.watch import _Printer
from codewire.term.width import display_width

SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [80, 200])
def test_lines_hang_behind_their_labels(
    width: int, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr(output, "terminal_width", lambda: width)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    reports: Queue[Any] = Queue()
    for report in ((0, "word " * 60 + "\n"), (1, "short\r\n"), (0, None), (1, None)):
        reports.put(report)
    assert _Printer(["日本", "coder"]).run(reports) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    shown = [SGR.sub("", line) for line in lines]
    assert shown[0].startswith("[日本]  word word") and shown[-1] == "[coder] short"
    assert all(line.startswith("        word") for line in shown[1:-1])
    assert all(display_width(line) <= width for line in shown)
    assert sum(line.count("word") for line in shown) == 60
    assert lines[0].startswith("\x1b[38;5;31m[日本]\x1b[0m")
