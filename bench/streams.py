"""Output: throughput to one client and to many, what a client that never reads costs."""

from __future__ import annotations

from bench import processes
from bench.load import Flood, Load
from bench.report import Results
from bench.systems import Ours, System
from bench.wire import Connection


def throughput(results: Results, system: System, binary: str, flood: Flood) -> None:
    """One client reads the whole flood; MB/s of what the program printed, and the server's CPU."""
    done, cpu = _read_flood(system, binary, flood, 1)
    size = flood.expected_size
    results.add("throughput", system.name, size / done["seconds"] / 1e6)
    results.add("cpu", system.name, cpu if system.name != "kernel" else done["cpu"])
    results.add("delivered", system.name, 100 * done["bytes"][0] / size)
    _check(system, done)


def fan_out(results: Results, system: System, binary: str, flood: Flood, clients: int) -> None:
    """The same flood to one client and to many: wall times and the share that was delivered."""
    alone, _ = _read_flood(system, binary, flood, 1)
    many, _ = _read_flood(system, binary, flood, clients)
    delivered = sum(many["bytes"]) / clients / flood.expected_size
    results.add("fan_out", system.name, many["seconds"])
    results.add("fan_out_ratio", system.name, many["seconds"] / alone["seconds"])
    results.add("fan_out_delivered", system.name, 100 * delivered)
    _check(system, many)


def stalled_client(results: Results, system: Ours, binary: str, flood: Flood) -> None:
    """RSS growth of the node while one client reads and another, attached too, never does."""
    _read_flood(system, binary, flood, 1)  # warm: buffers and the allocator have their size
    session = system.launch(flood.command())
    with Connection(system.socket) as stalled:
        stalled.send({"type": "Attach", "id": int(session), "include_history": False})
        stalled.answer()
        load = Load(binary, system, "run", str(flood.expected), "1", *system.way(session))
        load.wait_ready()
        before = processes.memory_kilobytes(system.server_pids())
        done = load.go()
        results.add(
            "stalled_rss", system.name, processes.memory_kilobytes(system.server_pids()) - before
        )
        load.close()
        _check(system, done)
        results.add(
            "stalled_delivered", system.name, 100 * _read_all(stalled, flood) / flood.expected_size
        )
    system.end_session(session)


def _read_flood(
    system: System, binary: str, flood: Flood, clients: int
) -> tuple[dict[str, list[int]], float]:
    session = system.launch(flood.command())
    words = ["run", str(flood.expected), str(clients), *system.way(session)]
    load = Load(binary, system, *words)
    load.wait_ready()
    pids = system.server_pids(session)
    before = processes.cpu_seconds(pids)
    done = load.go()
    cpu = processes.cpu_seconds(pids) - before
    load.close()
    system.end_session(session)
    return done, cpu


def _read_all(stalled: Connection, flood: Flood) -> int:
    """Read what waited for the stalled client; return how many of the right bytes came."""
    got = bytearray()
    while len(got) < flood.expected_size:
        frame = stalled.receive()
        if frame is None:
            break
        if frame[0] == 1:
            got += frame[1]
    return len(got) if bytes(got) == flood.expected.read_bytes() else 0


def _check(system: System, done: dict[str, list[int]]) -> None:
    """Ours may deliver neither less nor anything else than what was printed."""
    if isinstance(system, Ours) and any(done["wrong"]):
        raise RuntimeError(f"wrong bytes were delivered: {done}")
