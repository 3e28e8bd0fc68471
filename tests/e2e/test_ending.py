"""`cw stop`, `start`, `node restart` tell the truth: whatever is at the socket, whoever died."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client.local import ending
from codewire.client.local.look import look
from codewire.client.local.processes import read_process
from codewire.errors import CodewireError
from codewire.paths import DataDir
from tests.support import Home, is_alive, wait_until

# What may stand at the socket instead of a node; it says on stdout when it does.
IMPOSTOR = """
import json, os, signal, socket, struct, subprocess, sys
kind, path = sys.argv[1:]
child = subprocess.Popen(["sleep", "600"]) if kind == "other" else None
def end(*_):
    child and child.kill()
    os._exit(1)
signal.signal(signal.SIGTERM, end)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(64)
print(child.pid if child else 0, flush=True)
held = []
while True:
    connection, _ = listener.accept()
    if kind == "silent":
        held.append(connection)
        continue
    data = connection.recv(4096)
    if not data:
        continue
    if kind == "garbage":
        connection.sendall(b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n")
    elif kind == "other":
        name = json.loads(data[5:])["type"]
        session = {"id": 1, "pid": child.pid, "status": "running"}
        answer = {"type": "SessionList", "sessions": [session]} if name == "ListSessions" else {
            "type": "Error", "message": "unknown request type"}
        body = json.dumps(answer).encode()
        connection.sendall(struct.pack(">BI", 0, len(body)) + body)
    connection.close()
"""

STUBBORN = "trap '' TERM HUP; echo ready; while :; do sleep 0.05; done"


@contextlib.contextmanager
def impostor(home: Home, kind: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a program at the home's socket; give it and the pid of its session's process."""
    os.makedirs(home.data_dir, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-IS", "-c", IMPOSTOR, kind, home.socket],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def stubborn(home: Home) -> int:
    """Launch what ends at SIGKILL only, and return its pid once it does."""
    number = home.launch("/bin/sh", "-c", STUBBORN)
    wait_until(lambda: home.log(number) == b"ready\r\n", 20, "the trap is set")
    return int(home.session(number)["pid"])


def start_with_grace(home: Home, seconds: float) -> None:
    os.mkdir(home.data_dir)
    Path(home.data_dir, "config.toml").write_text(f"[node]\ngrace_seconds = {seconds}\n")
    home.start_node()


# Others at the socket


@pytest.mark.parametrize("kind", ["garbage", "silent"])
def test_a_foreign_program_is_named_and_left_alone(home: Home, kind: str) -> None:
    with impostor(home, kind) as (process, _):
        pid_file = Path(home.data_dir, "codewire.pid")
        pid_file.write_text(str(process.pid))
        found = read_process(process.pid)
        assert found is not None
        words = (
            f"Error: {home.socket} belongs to another program (pid {process.pid}, "
            f"{found.command}), which is no codewire node; it was left alone\n"
        )
        commands = (["stop"], ["stop", "--now"], ["node", "restart"], ["start"], ["node"])
        for command in commands if kind == "garbage" else commands[:1]:
            done = home.cw(*command)
            assert (done.returncode, done.stderr) == (1, words), command
        assert process.poll() is None and os.path.exists(home.socket)
        assert pid_file.read_text() == str(process.pid)
        if kind == "garbage":
            doctor = home.cw("doctor")
            assert doctor.returncode == 1
            assert f"node         fail   another program (pid {process.pid}, " in doctor.stdout


def test_another_codewire_program_is_ended_when_its_sessions_are(home: Home) -> None:
    with impostor(home, "other") as (process, session):
        # Its parent has to reap it before it counts as gone.
        threading.Thread(target=process.wait, args=(60,), daemon=True).start()
        running = f"node already running (pid {process.pid})"
        done = home.cw("node")
        assert done.returncode == 1
        assert done.stderr == f"Error: {running}: it is another codewire program\n"
        assert home.cw("start").stderr == f"[cw] {running}\n"
        assert "another codewire program" in home.cw("node", "restart").stderr
        assert process.poll() is None
        done = home.cw("stop")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"[cw] sent SIGTERM to node (pid {process.pid}, ")
        assert not is_alive(session)
        wait_until(lambda: process.poll() is not None, 30, "it has ended")


# A node without its files


def test_a_node_without_socket_and_pid_file_is_found(home: Home) -> None:
    home.start_node()
    session = home.session(home.launch("sleep", "600"))["pid"]
    keeper = home.keeper_pid
    os.unlink(home.socket)
    os.unlink(os.path.join(home.data_dir, "codewire.pid"))
    done = home.cw("stop")
    assert done.stderr.startswith(f"[cw] sent SIGTERM to node (pid {keeper})\n")
    assert (done.returncode, is_alive(keeper), is_alive(session)) == (0, False, False)


def test_a_node_whose_directory_is_gone_is_found(home: Home) -> None:
    home.start_node()
    keeper = home.keeper_pid
    os.rename(home.data_dir, f"{home.data_dir}.away")
    paths = DataDir(f"{home.data_dir}.away")
    os.unlink(paths.lock)
    # The kernel names the file by where it was last.
    found = look(paths)
    assert found.keeper == keeper and found.is_alive
    ending.Ending(paths, found, lambda line: None).run(5.0, False)
    assert not is_alive(keeper)


# Waiting


def test_a_second_stop_joins_the_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    start_with_grace(home, 60)
    session = stubborn(home)
    keeper = home.keeper_pid
    monkeypatch.setattr(ending, "PROGRESS_SECONDS", 0.3)
    paths = DataDir(home.data_dir)
    lines: list[str] = []
    first = ending.Ending(paths, look(paths), lines.append)
    running = threading.Thread(target=first.run, args=(60, False))
    running.start()
    wait_until(lambda: lines, 20, "the first stop is under way")
    second = home.popen("stop")
    assert second.stderr is not None
    said = second.stderr.readline().decode()
    assert said == f"[cw] node (pid {keeper}) is stopping already: waiting for it, too\n"
    wait_until(lambda: len(lines) > 1, 20, "the first says what it waits for")
    assert (
        lines[1] == "waiting for 1 session to end (grace 60 s); 'cw stop --now' ends them at once"
    )
    # It was cut short by neither: the session lives until it ends by itself.
    assert running.is_alive() and second.poll() is None and is_alive(session)
    os.kill(session, signal.SIGKILL)
    running.join(30)
    assert second.wait(30) == 0 and not is_alive(session) and not is_alive(keeper)
    assert not os.path.exists(paths.stop_note)


def test_stop_now_does_not_wait(home: Home) -> None:
    start_with_grace(home, 600)
    session = stubborn(home)
    first = home.popen("stop")
    assert first.stderr is not None
    assert first.stderr.readline().startswith(b"[cw] sent SIGTERM")
    done = home.cw("stop", "--now")
    assert done.returncode == 0, done.stderr
    assert not is_alive(session)
    assert first.wait(20) == 0


def test_a_stop_needs_no_worker(home: Home) -> None:
    home.start_node()
    session = home.session(home.launch("sleep", "600"))["pid"]
    keeper, worker = home.keeper_pid, home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    paths = DataDir(home.data_dir)
    found = look(paths, 0.3)
    assert found.keeper == keeper
    assert found.trouble.startswith(f"it does not answer (its worker: pid {worker}, ")
    assert found.trouble.endswith(", stopped)")
    ending.Ending(paths, found, lambda line: None).run(5.0, True)
    assert not any(map(is_alive, (keeper, worker, session)))


def test_a_keeper_killed_during_a_stop(home: Home) -> None:
    """Its worker starts another; the stop is over when that one has ended, too."""
    start_with_grace(home, 1)
    session = stubborn(home)
    keeper, worker = home.keeper_pid, home.worker_pid
    first = home.popen("stop")
    assert first.stderr is not None
    assert first.stderr.readline().startswith(b"[cw] sent SIGTERM")
    os.kill(keeper, signal.SIGKILL)
    assert first.wait(40) == 0, first.stderr.read()
    assert not any(map(is_alive, (keeper, worker, session)))
    assert not home.processes()


def test_a_stop_without_a_keeper(home: Home) -> None:
    """The worker is stopped when its keeper dies: it has to be continued to start another."""
    home.start_node()
    session = home.session(home.launch("sleep", "600"))["pid"]
    keeper, worker = home.keeper_pid, home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not is_alive(keeper), 30, "the keeper is gone")
    done = home.cw("stop")
    assert done.returncode == 0, done.stderr
    assert not any(map(is_alive, (worker, session)))


HANGS_ON = ("sh", "-c", "trap '' HUP TERM; echo up; while :; do sleep 1; done")


def kill_node(home: Home) -> tuple[int, int]:
    """Start a node with a session that no hang-up ends; kill keeper and worker."""
    home.expects_leftovers = True
    home.start_node()
    number = home.launch(*HANGS_ON)
    home.client().wait_for_text(number, "up", timeout_seconds=20)
    leader, keeper, worker = home.session(number)["pid"], home.keeper_pid, home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not is_alive(keeper), 30, "the keeper is gone")
    return leader, worker


def test_a_stop_without_a_node_tells_of_what_it_has_left(home: Home) -> None:
    leader, worker = kill_node(home)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_alive(worker), 30, "the worker is gone")
    done = home.cw("stop")
    assert done.returncode == 1 and is_alive(leader)
    assert f"processes of its sessions live on: pid {leader} (sh)" in done.stderr
    done = home.cw("stop", "--now")
    assert done.returncode == 0, done.stderr
    assert not is_alive(leader) and f"killed what a node had left: pid {leader}" in done.stderr


def test_a_worker_that_starts_no_keeper_is_ended_with_its_sessions(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(ending, "session_pids", lambda paths: None)
    leader, worker = kill_node(home)
    paths = DataDir(home.data_dir)
    found = look(paths, 0.2)
    # As it looks where the worker runs, but can start nothing.
    found = found._replace(workers=tuple(w._replace(state="S") for w in found.workers))
    with pytest.raises(CodewireError, match="live on; .*'cw stop --now' ends them"):
        ending.Ending(paths, found, lambda line: None).run(5.0, False)
    assert is_alive(leader) and is_alive(worker)
    ending.Ending(paths, found, lambda line: None).run(5.0, True)
    assert not is_alive(leader) and not is_alive(worker)


def test_what_outlives_a_node_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "SETTLE_SECONDS", 0.2)
    home.start_node()
    paths = DataDir(home.data_dir)
    end = ending.Ending(paths, look(paths), lambda line: None)
    survivor = subprocess.Popen(["sleep", "600"])
    try:
        monkeypatch.setattr(ending, "session_pids", lambda paths: [survivor.pid])
        with pytest.raises(CodewireError, match=rf"not all .*: pid {survivor.pid} \(sleep\)"):
            end.run(5.0, False)
    finally:
        survivor.kill()
        survivor.wait(10)


# Starting


def without_gevent(home: Home) -> dict[str, str]:
    """Return an environment in which `import gevent` fails once the file is written."""
    stub = Path(home.path, "stub")
    stub.mkdir()
    return {"PYTHONPATH": str(stub), "CW_RUNTIME": "gevent"}


def break_gevent(home: Home) -> None:
    Path(home.path, "stub", "gevent.py").write_text("raise ImportError('no gevent here')\n")


def is_about_gevent(text: str) -> bool:
    return "ImportError: " in text and "gevent" in text and text.count("\n") == 1


@pytest.mark.parametrize("command", [["start"], ["launch", "--", "true"], ["node", "-d"]])
def test_a_node_that_cannot_serve_is_not_said_to_be_started(home: Home, command: list[str]) -> None:
    environment = without_gevent(home)
    break_gevent(home)
    home.expects_tracebacks = True
    done = home.cw(*command, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: node failed to start: ")
    assert is_about_gevent(done.stderr), done.stderr
    assert not home.processes()
    assert not os.path.exists(home.socket)


def test_a_start_without_standard_descriptors(home: Home) -> None:
    """The node has all three, and every descriptor of its own is another."""
    program = """
import os, sys
for fd in range(3):
    os.close(fd)
sys.stdin = sys.stdout = sys.stderr = None
from codewire.client import Client
Client(notify=lambda line: None).launch(["sleep", "600"], working_dir="/")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**home.env, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=60,
    )
    assert done.returncode == 0
    links = [os.readlink(f"/proc/{home.keeper_pid}/fd/{fd}") for fd in range(3)]
    log = os.path.join(home.data_dir, "node.log")
    assert links == ["/dev/null", log, log]
    assert home.cw("stop").returncode == 0


def test_a_restart_looks_at_the_configuration_first(home: Home) -> None:
    home.start_node()
    worker = home.worker_pid
    Path(home.data_dir, "config.toml").write_text("[node\n")
    done = home.cw("node", "restart")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: initializing node: loading config: parsing ")
    assert home.worker_pid == worker
    Path(home.data_dir, "config.toml").unlink()


def test_a_restart_says_why_no_worker_came(home: Home) -> None:
    environment = without_gevent(home)
    assert home.cw("start", env=environment).returncode == 0
    home.expects_tracebacks = True
    break_gevent(home)
    done = home.cw("node", "restart")
    assert done.returncode == 1
    assert is_about_gevent(done.stderr), done.stderr
    os.unlink(os.path.join(home.path, "stub", "gevent.py"))
    assert home.cw("node", "restart").returncode == 0
    assert home.cw("stop").returncode == 0


def test_a_start_lock_that_is_held_is_not_waited_for_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codewire.client.reach import autostart
    from codewire.io.fds import lock_file

    monkeypatch.setattr(autostart, "START_SECONDS", 0.1)
    paths = DataDir(home.data_dir)
    os.mkdir(paths.root)
    lock = lock_file(paths.start_lock)
    assert lock is not None
    with pytest.raises(CodewireError, match="another client has been starting it"):
        autostart.ensure_node(paths, lambda line: None)
    os.close(lock)


def test_unknown_keys_are_said_at_the_start(home: Home) -> None:
    os.mkdir(home.data_dir)
    Path(home.data_dir, "config.toml").write_text("[node]\ngrace = 1\n")
    home.start_node()
    assert home.node_output().count("unknown keys: node.grace\n") == 1
    doctor = home.cw("doctor")
    assert "config       warn   " in doctor.stdout and "node.grace" in doctor.stdout


def test_the_doctor_says_which_file_is_gone(home: Home) -> None:
    home.start_node()
    keeper = home.keeper_pid
    paths = DataDir(home.data_dir)
    # Stopped, a keeper that looks after its files cannot bring them back meanwhile.
    os.kill(keeper, signal.SIGSTOP)
    for name, path in (("pid file", paths.pid), ("socket", paths.socket)):
        os.unlink(path)
        doctor = home.cw("doctor")
        assert doctor.returncode == 1
        words = f"{name:<12} fail   gone, although the node (pid {keeper}) lives: "
        assert words in doctor.stdout, doctor.stdout
    shutil.rmtree(paths.root)
    assert f"data dir     fail   {paths.root}: gone, although" in home.cw("doctor").stdout
    # A stopped keeper is continued, or it could not obey.
    os.mkdir(paths.root, 0o700)
    assert home.cw("stop").returncode == 0
    assert not is_alive(keeper)
