"""The same node over its Unix socket and over a WebSocket on loopback, one after the other.

Both ends of both transports are this package's, so that only the transport differs.
"""

from __future__ import annotations

import os
import statistics
import time

from bench.report import Results
from bench.systems import Ours
from bench.wire import call
from codewire.client.reach.remote import WebRoute
from codewire.client.reach.route import LocalRoute, Route
from codewire.io.streams import FrameStream
from codewire.paths import DataDir
from codewire.wire.frames import DATA


def compare(results: Results, system: Ours, size: int, letters: int) -> None:
    """Flood `size` bytes and type `letters` letters through each transport."""
    data_dir = DataDir(os.path.dirname(system.socket))
    listen = call(system.socket, {"type": "NodeStatus"})["node"]["listen"]
    with open(data_dir.token, encoding="ascii") as file:
        token = file.read()
    routes: dict[str, Route] = {
        "unix": LocalRoute(data_dir),
        "ws": WebRoute(f"ws://{listen}/ws", token),
    }
    for name, route in routes.items():
        results.add(f"flood_{name}", system.name, _flood(system, route, size))
    for name, route in routes.items():
        results.add(f"typing_{name}", system.name, _type(system, route, letters))


def _attach(route: Route, session: str) -> FrameStream:
    stream = route.open()
    stream.set_timeout(60)
    stream.send_control({"type": "Attach", "id": int(session), "from_offset": 0})
    stream.receive()
    return stream


def _flood(system: Ours, route: Route, size: int) -> float:
    """Return MB/s of a session that waits for a newline and then prints `size` zero bytes."""
    script = f"stty raw -echo; read line; head -c {size} /dev/zero; sleep 1"
    stream = _attach(route, system.launch(["/bin/sh", "-c", script]))
    time.sleep(0.3)  # stty has run
    start = time.perf_counter()
    stream.send_data(b"\n")
    left = size
    while left > 0:
        frame = stream.receive()
        assert frame is not None, "the node closed in the middle"
        left -= len(frame[1]) if frame[0] == DATA else 0
    seconds = time.perf_counter() - start
    stream.close()
    return size / seconds / 1e6


def _type(system: Ours, route: Route, letters: int) -> float:
    """Return the median of microseconds until a letter is back, 2 ms between letters."""
    session = system.launch(["/bin/sh", "-c", "stty raw -echo; exec cat"])
    stream = _attach(route, session)
    time.sleep(0.3)  # stty has run
    samples = []
    for _ in range(letters):
        time.sleep(0.002)
        start = time.perf_counter()
        stream.send_data(b"x")
        stream.receive()
        samples.append((time.perf_counter() - start) * 1e6)
    stream.close()
    system.end_session(session)
    return statistics.median(samples)
