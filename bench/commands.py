"""The command line: how long a client command takes from start to end."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.load import Flood
from bench.report import Results
from bench.systems import CW, Ours, Tmux
from bench.wire import call

# The least a Python client of a JSON protocol can load: our commands' reference.
REFERENCE = [sys.executable, "-c", "import json, socket"]


def client_start(results: Results, ours: Ours, tmux: Tmux | None, count: int) -> None:
    """`cw list` with three sessions, beside an empty Python and `tmux ls`; interleaved."""
    for _ in range(3):
        ours.launch(["sleep", "100000"])
    for _ in range(count):
        results.add("start", "python", _milliseconds(REFERENCE, ours))
        results.add("start", ours.name, _milliseconds([*CW, "list"], ours))
        if tmux:
            results.add("start", tmux.name, _milliseconds([*tmux.tmux, "ls"], ours))


def log_tail(results: Results, ours: Ours, flood: Flood, copies: int, count: int) -> None:
    """`cw logs --tail 100` of one copy of the flood against that of `copies` of it."""
    short = _printed(ours, flood, 1)
    long = _printed(ours, flood, copies)
    for _ in range(count):
        alone = _milliseconds([*CW, "logs", "--tail", "100", short], ours)
        results.add("tail_short", ours.name, alone)
        results.add(
            "tail_long", ours.name, _milliseconds([*CW, "logs", "--tail", "100", long], ours)
        )


def _printed(ours: Ours, flood: Flood, copies: int) -> str:
    """Return a finished session whose log holds that many copies of the flood's text."""
    script = f"for i in $(seq {copies}); do cat {flood.source}; done"
    session = ours.launch(["/bin/sh", "-c", script])
    call(ours.socket, {"type": "Wait", "id": int(session), "timeout_seconds": 300})
    return session


def _milliseconds(argv: list[str], system: Ours) -> float:
    start = time.perf_counter()
    subprocess.run(argv, env=system.env, cwd=system.home, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3
