"""Compiles and runs load.c, and makes the flood it reads."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.systems import System

MARK = b"<<END-OF-BENCH>>"
# What an agent's terminal prints is text in lines shorter than the screen.
LINE = b"%08d the quick brown fox jumps over the lazy dog and looks for the next one..\n"


class Flood:
    """A session that prints `size` bytes when it is released, and the exact bytes to expect."""

    def __init__(self, directory: str, size: int) -> None:
        self.size = size
        self.source = Path(directory, f"source-{size}")
        self.expected = Path(directory, f"expected-{size}")
        lines = b"".join(LINE % number for number in range(size // len(LINE % 0)))
        self.source.write_bytes(lines)
        # The text with ONLCR, the mark.
        self.expected.write_bytes(lines.replace(b"\n", b"\r\n") + b"\r\n" + MARK)
        self.expected_size = self.expected.stat().st_size
        self._release = Path(f"{self.expected}.go")
        if not self._release.exists():
            os.mkfifo(self._release)

    def command(self) -> list[str]:
        """Return the argv: wait for load.c's word, print, wait for input so as not to end early."""
        # The mark in two pieces: a screen that shows the command line must not show the mark.
        mark = "printf '\\n%s%s' '<<END-OF' '-BENCH>>'"
        return ["/bin/sh", "-c", f"read x <{self._release}; cat {self.source}; {mark}; read y"]

    def endless_command(self) -> list[str]:
        return ["/bin/sh", "-c", f"while :; do cat {self.source}; done"]


class Load:
    """One running load process. Construct, then go(), then close()."""

    def __init__(self, binary: str, system: System, *words: str) -> None:
        self._process = subprocess.Popen(
            [binary, *words],
            env=system.env,
            cwd=system.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def wait_ready(self) -> None:
        """Return when every client is attached and quiet."""
        if self._stdout.readline() != b"ready\n":
            raise RuntimeError("the load did not get ready")

    def go(self) -> Any:
        """Start it and return what it measured."""
        self._stdin.write(b"go\n")
        self._stdin.flush()
        line = self._stdout.readline()
        if not line:
            raise RuntimeError("the load ended without a result")
        return json.loads(line)

    def close(self) -> None:
        """End it (and hang up its PTYs)."""
        self._stdin.close()
        self._process.terminate()
        self._process.wait(10)
        self._stdout.close()


def compile_load(directory: str) -> str:
    """Compile load.c into `directory` and return the program's path."""
    binary = str(Path(directory, "load"))
    source = str(Path(__file__).with_name("load.c"))
    subprocess.run(["cc", "-O2", "-o", binary, source, "-lutil"], check=True)
    return binary


def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cwb-", dir="/tmp")
