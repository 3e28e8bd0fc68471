"""Many sessions: what a launch and an idle session cost, and how fast a killed worker is back."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from bench import processes
from bench.report import Results
from bench.systems import Dtach, Ours, System, Tmux
from bench.wire import call

SLEEP = ["sleep", "100000"]


def launch_rate(results: Results, system: System, count: int) -> None:
    """Milliseconds a launch: over the server's own protocol, and as a command."""
    if isinstance(system, Ours):
        results.add("launch_wire", system.name, _milliseconds_each(system.launch, count))
        call(system.socket, {"type": "KillAll"})
    if isinstance(system, Tmux):
        with Control(system) as control:
            each = _milliseconds_each(control.launch, count)
        results.add("launch_wire", system.name, each)
        _restart(system)
    for _ in range(max(5, count // 20)):
        argv = system.command_line(SLEEP)
        start = time.perf_counter()
        subprocess.run(argv, env=system.env, cwd=system.home, check=True, capture_output=True)
        results.add("launch_command", system.name, (time.perf_counter() - start) * 1e3)
    if isinstance(system, Ours):
        call(system.socket, {"type": "KillAll"})


def memory(results: Results, system: System, count: int) -> None:
    """Kilobytes a session of the server's processes, with `count` sleeping sessions."""
    key = system.memory_key
    before = processes.memory_kilobytes(system.server_pids(), key)
    if isinstance(system, Tmux):
        with Control(system) as control:
            for _ in range(count):
                control.launch(SLEEP)
    elif isinstance(system, Dtach):
        count = min(count, 100)  # a process each: a hundred tell as much as a thousand
        for _ in range(count):
            system.launch(SLEEP)
    else:
        for _ in range(count):
            system.launch(SLEEP)
    time.sleep(1)  # what the launches still have to write is written
    after = processes.memory_kilobytes(system.server_pids(), key)
    results.add("memory", system.name, (after - before) / count)
    results.add("memory_empty", system.name, before)


def restart(results: Results, system: Ours, tries: int) -> None:
    """Milliseconds from kill -9 of the worker to the next answered request, all sessions there."""
    running = len(call(system.socket, {"type": "ListSessions"})["sessions"])
    for _ in range(tries):
        worker = system.server_pids()[1]
        start = time.perf_counter()
        os.kill(worker, signal.SIGKILL)
        sessions = _first_answer(system)
        results.add("restart", system.name, (time.perf_counter() - start) * 1e3)
        if len(sessions) != running:
            raise RuntimeError(f"{running} sessions before, {len(sessions)} after")
        time.sleep(1.5)  # longer than the keeper's idea of a crash loop


class Control:
    """A tmux control-mode client: commands in, %end lines out; tmux's own protocol."""

    def __init__(self, system: Tmux) -> None:
        self._process = subprocess.Popen(
            [*system.tmux, "-C", "attach", "-t", "=idle"],
            env=system.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._wait_end()  # the attach's own answer

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stdin.close()
        self._process.terminate()
        self._process.wait(10)
        self._stdout.close()

    def launch(self, command: list[str]) -> None:
        self._stdin.write(f"new-session -d {' '.join(command)}\n".encode())
        self._stdin.flush()
        self._wait_end()

    def _wait_end(self) -> None:
        for line in self._stdout:
            if line.startswith(b"%error"):
                raise RuntimeError("tmux refused a launch")
            if line.startswith(b"%end"):
                return
        raise RuntimeError("tmux's control client ended")


def _first_answer(system: Ours) -> list[object]:
    deadline = time.monotonic() + 30
    while True:
        try:
            sessions: list[object] = call(system.socket, {"type": "ListSessions"})["sessions"]
            return sessions
        except OSError:  # the dying worker had taken this connection
            if time.monotonic() > deadline:
                raise


def _milliseconds_each(launch, count: int) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    for _ in range(count):
        launch(SLEEP)
    return (time.perf_counter() - start) / count * 1e3


def _restart(system: Tmux) -> None:
    """Begin again with an empty server."""
    processes.end(system.server_pids())
    system.start()
