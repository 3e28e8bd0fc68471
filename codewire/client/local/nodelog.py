"""The node's log as others read it: its last words, and which of them say what went wrong."""

from __future__ import annotations

import os
import re

from codewire.files import open_regular

# Enough for the last line of a traceback and what the keeper says after it.
TAIL_BYTES = 16384
# `ModuleNotFoundError: No module named 'gevent'`, the end of a traceback.
EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning)(: .*)?$")
LOGGED_ERROR = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (ERROR|CRITICAL) (?P<text>.*)$")
# What says that something ended, but not why.
SEQUELS = ("worker ended", "worker restarted", "INFO ")


def log_size(path: str) -> int:
    """Return how long a log is now, 0 when there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def last_words(path: str, start: int = 0) -> str:
    """Return the last line written to a log after offset `start`; "" when there is none."""
    lines = _lines(path, start)
    return _bare(lines[-1]) if lines else ""


def last_error(path: str, start: int = 0) -> str:
    """Return the last line after offset `start` that says what went wrong; "" when none does."""
    for line in reversed(_lines(path, start)):
        logged = LOGGED_ERROR.match(line)
        if logged:
            return logged["text"]
        if line.startswith("Error: ") or EXCEPTION.match(line):
            return _bare(line)
    return ""


def cause(path: str, start: int = 0) -> str:
    """Return the last error, else the last line that is no mere consequence; "" when none is."""
    found = last_error(path, start)
    if found:
        return found
    lines = [line for line in _lines(path, start) if not any(word in line for word in SEQUELS)]
    return _bare(lines[-1]) if lines else ""


def count(path: str, start: int, words: str) -> int:
    """Return how many of the last lines after offset `start` hold these words."""
    return sum(words in line for line in _lines(path, start))


def _bare(line: str) -> str:
    return line.removeprefix("Error: ")


def _lines(path: str, start: int) -> list[str]:
    """Return what was written after `start`, at most TAIL_BYTES; the log may have been rotated."""
    try:
        fd = open_regular(path, os.O_RDONLY)
        with open(fd, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= end else 0, end - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
