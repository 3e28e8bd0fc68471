"""A session's directory: made for a launch, removed when the launch fails (spec/files.md 1)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from codewire.errors import LaunchError
from codewire.files import open_regular

# events.jsonl comes with its first event, which every launch publishes.
OUTPUT, EVENTS, MESSAGES, INPUT_KEYS, RECORD, LAUNCH = (
    "output.log",
    "events.jsonl",
    "messages.jsonl",
    "input-keys.jsonl",
    "session.json",
    "launch.json",
)
# What there may be besides: the older half of a file with a budget, one that was being written.
OTHERS = (f"{EVENTS}.1", f"{MESSAGES}.1", f"{INPUT_KEYS}.new")


def make_files(directory: str, open_log: Callable[[], object]) -> None:
    """Make a session's directory, its log as the caller does, and the inbox.

    Raises LaunchError with the cause when the disk refuses any of it.
    """
    try:
        try:
            os.mkdir(directory, 0o700)
        except FileNotFoundError:
            os.makedirs(directory, 0o700)
        open_log()
        path = os.path.join(directory, MESSAGES)
        os.close(open_regular(path, os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise LaunchError(f"creating {directory}: {cause}") from error


def remove_files(directory: str) -> None:
    """Undo `make_files`, as far as it came."""
    for name in (OUTPUT, EVENTS, MESSAGES, INPUT_KEYS, RECORD, LAUNCH, *OTHERS):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(directory, name))
    with contextlib.suppress(OSError):
        os.rmdir(directory)
