"""Typing: how long one letter takes to come back, alone and beside a flood on the same server."""

from __future__ import annotations

import statistics
import time

from bench.load import Flood, Load
from bench.report import Results
from bench.systems import System

# Raw, without the terminal's echo: the letter goes through the program, as in an editor.
ECHO = ["/bin/sh", "-c", "stty raw -echo; exec cat"]


def echo(results: Results, system: System, binary: str, flood: Flood, count: int) -> None:
    """Type `count` letters into an idle server, then beside a session that floods a client."""
    idle = _type(system, binary, count)
    flooding = system.launch(flood.endless_command())
    sink = Load(binary, system, "sink", *system.way(flooding))
    try:
        time.sleep(0.5)  # the flood is at its full rate
        beside = _type(system, binary, count)
    finally:
        sink.close()
        system.end_session(flooding)
    for key, samples in (("echo", idle), ("echo_flood", beside)):
        results.add(f"{key}_p50", system.name, statistics.median(samples))
        results.add(f"{key}_p99", system.name, statistics.quantiles(samples, n=100)[98])


def _type(system: System, binary: str, count: int) -> list[float]:
    session = system.launch(ECHO)
    time.sleep(0.3)  # stty has run
    load = Load(binary, system, "echo", str(count), *system.way(session))
    load.wait_ready()
    samples: list[float] = load.go()
    load.close()
    system.end_session(session)
    return samples
