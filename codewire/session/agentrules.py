"""The tables of rules for single programs: those that come with us, and the user's own.

A file in `<data dir>/agents/` wins over ours of the same name. One that cannot be used is named
in the log, once for each change of it, and left out.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import threading
import time
from collections.abc import Sequence

from codewire.agents.programs import (
    BUILT_IN,
    BadRules,
    Program,
    program_of,
    read_program,
)
from codewire.config import read_toml
from codewire.errors import ConfigError
from codewire.io.wait import run_blocking

log = logging.getLogger(__name__)

# How often the user's directory is looked at, while there is something to judge.
LOOK_SECONDS = 5.0
MAX_FILES = 100

Stamp = tuple[tuple[str, int, int], ...]


class Rules:
    """Every program known, read when first needed. Methods may be called from any thread."""

    def __init__(self, directory: str) -> None:
        """`directory` is the user's; it need not exist."""
        self._directory = directory
        self._lock = threading.Lock()
        self._built_in: tuple[Program, ...] | None = None
        self._own: tuple[Program, ...] = ()
        self._stamp: Stamp = ()
        self._looked_at = -LOOK_SECONDS

    def program_of(self, names: Sequence[str]) -> Program:
        """Return the program that one of these process names belongs to, else NO_PROGRAM."""
        with self._lock:
            programs = self._programs(time.monotonic())
        return program_of(names, programs)

    def _programs(self, now: float) -> tuple[Program, ...]:
        if self._built_in is None:
            try:
                self._built_in = tuple(map(_built_in, BUILT_IN))
            except (ImportError, OSError) as error:
                # The installation is away, as during an upgrade: the next look finds it.
                log.warning("the rules of agents cannot be read: %s; trying on", error)
                return ()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            stamp = run_blocking(_stamp, self._directory)
            if stamp != self._stamp:
                self._stamp = stamp
                self._own = tuple(
                    found
                    for name, _, _ in stamp
                    if (found := _read(os.path.join(self._directory, name))) is not None
                )
        own = {program.name for program in self._own}
        return (*self._own, *(p for p in self._built_in if p.name not in own))


def _built_in(name: str) -> Program:
    """Return one of ours; also inside an archive (cw.pyz)."""
    import toml

    data = pkgutil.get_data("codewire.agents", f"{name}.toml") or b""
    return read_program(toml.loads(data.decode("utf-8")))


def _read(path: str) -> Program | None:
    try:
        return read_program(run_blocking(read_toml, path))
    except (BadRules, ConfigError) as error:
        text = str(error)
        log.warning("%s is ignored: %s", path, text.removeprefix(f"parsing {path}: "))
        return None


def _stamp(directory: str) -> Stamp:
    """Return which files there are and when they changed; nothing where they cannot be read."""
    found = []
    try:
        for name in sorted(os.listdir(directory))[:MAX_FILES]:
            if name.endswith(".toml"):
                status = os.stat(os.path.join(directory, name))
                found.append((name, status.st_mtime_ns, status.st_size))
    except OSError:
        return tuple(found)
    return tuple(found)
