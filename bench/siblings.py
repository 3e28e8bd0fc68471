#!/usr/bin/env python3
"""Compare a node through its own relay with the same node through another relay of the database.

    .venv/bin/python bench/siblings.py [--letters 100] [--rounds 15] [--flood MB]

Needs PostgreSQL's programs. Prints medians and ratios, the processor time each relay takes for a
letter (which other work changes less), each relay's memory, and what the two write to
the database while a node is connected; exits 1 when an echo takes more than 1.3 times as long.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import processes
from bench.relayload import TOKEN, Server
from bench.remote import _attach, _flood, _type
from bench.systems import Ours
from bench.wire import call
from codewire.client.reach.remote import WebRoute
from tests.postgres import Cluster

PATH = "/api/v1/nodes/bench/ws?network_id=proj&service=node"
FLOODS = 3
COST_LETTERS = 1000
LIMIT = 1.3
IDLE_SECONDS = 60


def writes(url: str) -> int:
    """Return how many rows have been written in a database."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(
            "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables"
        ).fetchone()
    return int(row[0]) if row else 0


def processor(pid: int) -> float:
    """Return the microseconds of processor time a process has had (schedstat counts in ns)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000


def cost(system: Ours, way: WebRoute, pids: list[int], letters: int) -> list[float]:
    """Return the microseconds that each process takes for a letter and its echo."""
    session = system.launch(["/bin/sh", "-c", "stty raw -echo; exec cat"])
    stream = _attach(way, session)
    time.sleep(0.3)  # stty has run
    before = [processor(pid) for pid in pids]
    for _ in range(letters):
        stream.send_data(b"x")
        stream.receive()
    taken = [processor(pid) for pid in pids]
    stream.close()
    system.end_session(session)
    return [(after - start) / letters for after, start in zip(taken, before, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--letters", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS)
    parser.add_argument("--flood", type=int, default=50)
    given = parser.parse_args()
    database, system = Cluster(), Ours("gevent")
    url = database.create_database()
    key = os.path.join(system.home, "secret.key")
    first = Server("gevent", url, sibling_key=key)
    second = Server("gevent", url, sibling_key=key)
    try:
        first.ask("POST", "/api/v1/networks", {"network_id": "proj"})
        system.env.update(
            CODEWIRE_RELAY_URL=f"http://127.0.0.1:{first.port}",
            CODEWIRE_RELAY_NETWORK="proj",
            CODEWIRE_RELAY_AUTH_TOKEN=TOKEN,
            CODEWIRE_NODE_NAME="bench",
        )
        system.start()
        ask = {"type": "NodeStatus"}
        assert processes.wait_until(
            lambda: call(system.socket, ask)["node"].get("relay", {}).get("state") == "connected",
            20,
        )
        ways = [WebRoute(f"ws://127.0.0.1:{relay.port}{PATH}", TOKEN) for relay in (first, second)]
        echoes = []
        for number in range(given.rounds):
            # In turn, since whoever comes first may find everything colder.
            order = (0, 1) if number % 2 else (1, 0)
            found = {index: _type(system, ways[index], given.letters) for index in order}
            echoes.append([found[0], found[1]])
        pids = [relay.process.pid for relay in (first, second)]
        costs = [[cost(system, way, pids, COST_LETTERS) for way in ways] for _ in range(FLOODS)]
        floods = [[_flood(system, way, given.flood << 20) for way in ways] for _ in range(FLOODS)]
        echo, flood = (
            [statistics.median(column) for column in zip(*rows, strict=True)]
            for rows in (echoes, floods)
        )
        ratio = statistics.median(far / near for near, far in echoes)
        verdict = "" if ratio <= LIMIT else "  MISSED"
        print(f"echo µs     first {echo[0]:8.0f}   second {echo[1]:8.0f}   {ratio:.2f} (≤ {LIMIT})"
              f"{verdict}")  # fmt: skip
        best = [min(column) for column in zip(*echoes, strict=True)]
        print(f"   best     first {best[0]:8.0f}   second {best[1]:8.0f}   {best[1] / best[0]:.2f}")
        for name, index in (("first", 0), ("second", 1)):
            least = [min(round[index][relay] for round in costs) for relay in (0, 1)]
            print(f"processor µs a letter through the {name}: {least[0]:.0f} + {least[1]:.0f}")
        print(f"flood MB/s  first {flood[0]:8.1f}   second {flood[1]:8.1f}")
        memory = [relay.memory() / 1e6 for relay in (first, second)]
        print(f"memory MB   first {memory[0]:8.1f}   second {memory[1]:8.1f}")
        before = writes(url)
        time.sleep(given.idle)
        rows = (writes(url) - before) / given.idle
        print(f"rows written a second, one node idle: {rows:.2f}")
    finally:
        system.close()
        first.close()
        second.close()
        database.close()
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
