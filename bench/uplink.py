#!/usr/bin/env python3
"""Compare a node over its Unix socket with the same node through a relay, all on this machine.

    .venv/bin/python bench/uplink.py [--letters 500] [--flood MB]

Prints medians and ratios; exits 1 when a target is missed: a letter's echo ≤ 2.5 times the local
one, a list ≤ 2 times, a flood ≥ 0.5 times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import processes
from bench.relayload import TOKEN, Server
from bench.remote import _flood, _type
from bench.systems import CW, Ours
from bench.wire import call
from codewire.client.reach.remote import WebRoute
from codewire.client.reach.route import LocalRoute, Route
from codewire.paths import DataDir

PATH = "/api/v1/nodes/bench/ws?network_id=proj&service=node"
ROUNDS = 3


def list_seconds(system: Ours, *words: str) -> float:
    """Return the median seconds of `cw list`."""
    samples = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([*CW, "list", *words], env=system.env, check=True, stdout=subprocess.DEVNULL)
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def say(name: str, local: float, through: float, limit: float, *, is_least: bool = False) -> bool:
    ratio = through / local
    is_met = ratio >= limit if is_least else ratio <= limit
    sign, verdict = "≥" if is_least else "≤", "" if is_met else "  MISSED"
    print(f"{name:<18} local {local:10.4g}   relay {through:10.4g}   {ratio:5.2f} ({sign} {limit})"
          f"{verdict}", flush=True)  # fmt: skip
    return is_met


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--letters", type=int, default=500)
    parser.add_argument("--flood", type=int, default=50)
    given = parser.parse_args()
    relay, system = Server("gevent"), Ours("gevent")
    try:
        relay.ask("POST", "/api/v1/networks", {"network_id": "proj"})
        url = f"127.0.0.1:{relay.port}"
        system.env.update(
            CODEWIRE_RELAY_URL=f"http://{url}",
            CODEWIRE_RELAY_NETWORK="proj",
            CODEWIRE_RELAY_AUTH_TOKEN=TOKEN,
            CODEWIRE_NODE_NAME="bench",
        )
        system.start()
        connected = "connected"
        ask = {"type": "NodeStatus"}
        assert processes.wait_until(
            lambda: call(system.socket, ask)["node"].get("relay", {}).get("state") == connected, 20
        )
        local: Route = LocalRoute(DataDir(os.path.dirname(system.socket)))
        through: Route = WebRoute(f"ws://{url}{PATH}", TOKEN)
        ways = (local, through)
        # Interleaved, so that whatever else the machine does meets both.
        echoes = [[_type(system, way, given.letters) for way in ways] for _ in range(ROUNDS)]
        floods = [[_flood(system, way, given.flood << 20) for way in ways] for _ in range(ROUNDS)]
        # This machine's own name would lead to its socket.
        system.env["CODEWIRE_NODE_NAME"] = "here"
        lists = [[list_seconds(system), list_seconds(system, "bench")] for _ in range(ROUNDS)]
        figures = [[statistics.median(column) for column in zip(*rows, strict=True)]
                   for rows in (echoes, lists, floods)]  # fmt: skip
        met = [
            say("echo µs", *figures[0], 2.5),
            say("list s", *figures[1], 2.0),
            say("flood MB/s", *figures[2], 0.5, is_least=True),
        ]
    finally:
        system.close()
        relay.close()
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
