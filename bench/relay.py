#!/usr/bin/env python3
"""Measure a relay: requests, a thousand idle nodes and readers, events, a storm of logins.

    .venv/bin/python bench/relay.py [--runtime threads] [--postgres URL] [--number 1000]

Needs the extra packages of codewire[relay]; a slow disk is made with a C compiler and LD_PRELOAD.
Prints a line a figure, and exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.relayload import Crowd, Server, raise_limit, request, upgrade

HERE = Path(__file__).resolve().parent
WATCH = "/api/v1/access/cache/events?network_id=proj"
MISSED: list[str] = []


def say(name: str, value: float, unit: str, most: float | None = None) -> None:
    verdict = "" if most is None else f"  (≤ {most:g})"
    if most is not None and value > most:
        verdict = f"  MISSED (≤ {most:g})"
        MISSED.append(name)
    print(f"{name:<52} {value:>10.4g} {unit}{verdict}", flush=True)


def enrol(server: Server, number: int) -> list[str]:
    server.ask("POST", "/api/v1/networks", {"network_id": "proj"})
    made = server.ask(
        "POST", "/api/v1/node-enrollments", {"network_id": "proj", "uses": max(1, number)}
    )
    tokens = []
    with server.connect() as sock, sock.makefile("rb") as file:
        for index in range(number):
            body = {"enrollment_token": made["enrollment_token"], "node_name": f"n{index}"}
            more = f"X-Forwarded-For: 10.0.{index % 250}.{index // 250}\r\n"
            path = "/api/v1/node-enrollments/redeem"
            sock.sendall(request("POST", path, body, "", more))
            tokens.append(read_answer(file).split(b'"node_token":"')[1][:64].decode())
    return tokens


def read_answer(file) -> bytes:
    length = 0
    while line := file.readline().strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return file.read(length)


def rate(server: Server, data: bytes, seconds: float, connections: int) -> float:
    """Return requests a second, each connection asking one after the other."""
    counts = [0] * connections
    until = time.perf_counter() + seconds

    def run(index: int) -> None:
        with server.connect() as sock:
            while time.perf_counter() < until:
                sock.sendall(data)
                sock.recv(65536)
                counts[index] += 1

    threads = [threading.Thread(target=run, args=(index,)) for index in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def requests(server: Server, where: str) -> None:
    health, nodes = request("GET", "/healthz"), request("GET", "/api/v1/networks")
    write = request("PUT", "/api/v1/kv/ns/k?network_id=proj", {"a": 1})
    say(f"{where}: GET /healthz, 8 connections", rate(server, health, 3, 8), "/s")
    say(f"{where}: GET networks, 8 connections", rate(server, nodes, 3, 8), "/s")
    say(f"{where}: PUT a value, 24 connections", rate(server, write, 3, 24), "/s")


def crowd(server: Server, where: str, number: int) -> None:
    tokens = enrol(server, number)
    base = server.memory()
    all_of_them = Crowd()
    start = time.perf_counter()
    nodes = []
    for token in tokens:
        sock = server.connect()
        sock.sendall(upgrade("/node/connect", token))
        nodes.append(all_of_them.add(sock))
    end = all_of_them.await_all(b"\r\n\r\n", nodes)
    say(f"{where}: {number} nodes log in at once", end - start, "s")
    readers = []
    for _ in range(number):
        sock = server.connect()
        sock.sendall(request("GET", WATCH))
        readers.append(all_of_them.add(sock))
    all_of_them.await_all(b": connected", readers)
    cpu, since = server.cpu(), time.perf_counter()
    time.sleep(20)
    share = 100 * (server.cpu() - cpu) / (time.perf_counter() - since)
    say(f"{where}: {number} nodes and readers idle, processor", share, "%", 2)
    say(f"{where}: {number} nodes and readers idle, memory", server.memory() / 1e6, "MB", 80)
    say(f"{where}: of it without them", base / 1e6, "MB")
    body = {"network_id": "proj", "target_node": "n0", "session_name": "s", "audience": "admin"}
    for _ in range(5):
        grant = server.ask("POST", "/api/v1/access-grants", body)["grant_id"]
        all_of_them.forget()
        start = time.perf_counter()
        server.ask("DELETE", f"/api/v1/access-grants/{grant}?network_id=proj")
        end = all_of_them.await_all(grant.encode(), readers)
        say(f"{where}: a revocation to {number} readers", 1000 * (end - start), "ms", 1000)
    say(f"{where}: an orderly end of all", server.stop(), "s", 5)
    all_of_them.close()


def slow_disk(runtime: str) -> None:
    """Reads beside writes where each fsync takes 20 ms more."""
    library = Path("/tmp") / f"cw-slowdisk-{time.time_ns()}.so"
    source = HERE / "slowdisk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    server = Server(runtime, preload=str(library))
    try:
        server.ask("POST", "/api/v1/networks", {"network_id": "proj"})
        write = request("PUT", "/api/v1/kv/ns/k?network_id=proj", {"a": 1})
        writes = []
        writer = threading.Thread(target=lambda: writes.append(rate(server, write, 5, 24)))
        writer.start()
        read = request("GET", "/api/v1/networks")
        waits = []
        with server.connect() as sock:
            until = time.perf_counter() + 4
            while time.perf_counter() < until:
                start = time.perf_counter()
                sock.sendall(read)
                sock.recv(65536)
                waits.append(1000 * (time.perf_counter() - start))
        writer.join()
        waits.sort()
        say("slow disk: 24 writers", writes[0], "/s")
        say("slow disk: a read beside them, p50", waits[len(waits) // 2], "ms", 10)
        say("slow disk: a read beside them, p99", waits[len(waits) * 99 // 100], "ms", 20)
    finally:
        server.close()
        library.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", default="gevent", choices=("gevent", "threads"))
    parser.add_argument("--postgres", default="", help="URL of an empty database")
    parser.add_argument("--number", type=int, default=1000)
    options = parser.parse_args()
    raise_limit()
    for where, url in (("sqlite", ""), ("postgresql", options.postgres)):
        if where == "sqlite" or url:
            server = Server(options.runtime, url)
            try:
                server.ask("POST", "/api/v1/networks", {"network_id": "proj"})
                requests(server, where)
                crowd(server, where, options.number)
            finally:
                server.close()
    slow_disk(options.runtime)
    return 1 if MISSED else 0


if __name__ == "__main__":
    sys.exit(main())
