"""Typing: how long one letter takes to come back, alone and beside a flood on the same server."""

from __future__ import annotations

import statistics
import time

from bench.load import Flood, Load
from bench.report import Results
from bench.systems import System

# Raw, without the terminal's echo: the letter goes through the program, as in an editor.
ECHO = ["/bin/sh", "-c", "stty raw -echo; exec cat"]


# Back to back, and as a person types: a pause long enough for everything to fall asleep.
NODE_PAUSE_US, FINGER_PAUSE_US = 2000, 12000


def echo(results: Results, system: System, binary: str, flood: Flood, count: int) -> None:
    """Type `count` letters into an idle server, then beside a session that floods a client."""
    _compare(results, "echo", system, binary, flood, count, NODE_PAUSE_US)


def finger(results: Results, system: System, binary: str, flood: Flood, count: int) -> None:
    """The same through the attach client in a terminal, 12 ms apart: what a finger feels."""
    with system.as_typed():
        _compare(results, "finger", system, binary, flood, count, FINGER_PAUSE_US)


def _compare(
    results: Results,
    name: str,
    system: System,
    binary: str,
    flood: Flood,
    count: int,
    pause_us: int,
) -> None:
    idle = _type(system, binary, count, pause_us)
    flooding = system.launch(flood.endless_command())
    sink = Load(binary, system, "sink", *system.way(flooding))
    try:
        time.sleep(0.5)  # the flood is at its full rate
        beside = _type(system, binary, count, pause_us)
    finally:
        sink.close()
        system.end_session(flooding)
    for key, samples in ((name, idle), (f"{name}_flood", beside)):
        results.add(f"{key}_p50", system.name, statistics.median(samples))
        results.add(f"{key}_p99", system.name, statistics.quantiles(samples, n=100)[98])


def _type(system: System, binary: str, count: int, pause_us: int) -> list[float]:
    session = system.launch(ECHO)
    time.sleep(0.3)  # stty has run
    load = Load(binary, system, "echo", str(count), str(pause_us), *system.way(session))
    load.wait_ready()
    samples: list[float] = load.go()
    load.close()
    system.end_session(session)
    return samples
