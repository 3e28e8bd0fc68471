"""The process beside the worker: started again, logged once, and never left behind."""

import logging
import sys
import threading

import pytest

from codewire.io import island
from codewire.io.island import Island
from tests.processes import wait_until


def run(program, on_line=lambda line: None, on_end=lambda: None):
    found = Island("it", [sys.executable, "-c", program], on_line, on_end)
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    return found, thread


def test_the_same_end_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(island, "FIRST_PAUSE", 0.01)
    lines, ends = [], []
    with caplog.at_level(logging.WARNING, "codewire"):
        found, thread = run(
            "print('hi', flush=True); raise SystemExit(3)", lines.append, lambda: ends.append(1)
        )
        wait_until(lambda: len(ends) >= 3, 30, "it was started three times")
        found.stop()
        thread.join(30)
    assert lines[:3] == [b"hi"] * 3
    words = [record.getMessage() for record in caplog.records]
    assert words == ["it ended (exit code 3); it is started again"]


@pytest.mark.parametrize(
    "program", ["import time; time.sleep(600)", "input(); import time; time.sleep(600)"]
)
def test_what_does_not_stop_is_killed(monkeypatch, program):
    monkeypatch.setattr(island, "STOP_SECONDS", 0.2)
    hears = []
    found, thread = run(f"print('up', flush=True); {program}", hears.append)
    wait_until(lambda: hears, 30, "it is up")
    found.stop()
    thread.join(30)
    assert not thread.is_alive()
    process = found._process
    assert process is not None and process.poll() is not None
