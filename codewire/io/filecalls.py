"""How a node calls on its own files: at once, or from a thread where the file system may hang.

On a disk of this machine a call costs less than to have it made elsewhere, and the path of a byte
is made of such calls. Where somebody else serves the files (mounts.py), one that hangs would hold
the loop that serves everybody: there, only who calls waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from codewire.io.mounts import is_served
from codewire.io.wait import run_blocking

T = TypeVar("T")


class FileCalls(Protocol):
    """Calls a function that looks at files, or changes them."""

    def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Return `function(*args)`; raises what it raises."""


def call_here(function: Callable[..., T], *args: Any) -> T:
    """Call it at once."""
    return function(*args)


def calls_for(*paths: str) -> FileCalls:
    """Return how to call on the files below these directories. Blocks for their file systems."""
    return run_blocking if any(map(_is_served, paths)) else call_here


def _is_served(path: str) -> bool:
    try:
        return is_served(os.stat(path).st_dev)
    except OSError:
        return False
