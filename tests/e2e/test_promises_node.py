"""One node a user, however it is started, and what it gives the programs it runs."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codewire.io.unix import is_answering
from tests.processes import command_line
from tests.rawwire import RawConnection
from tests.support import CW, Home, is_alive, wait_until

REPORT = """
import json, os, resource, sys, termios
fds = sorted(int(name) for name in os.listdir("/proc/self/fd"))
open("report", "w").write(json.dumps({
    "fds": fds,
    "pid": os.getpid(), "sid": os.getsid(0), "pgid": os.getpgid(0),
    "foreground": os.tcgetpgrp(os.open("/dev/tty", os.O_RDWR)),
    "tty": [os.ttyname(n) for n in range(3)],
    "size": list(os.get_terminal_size(0)),
    "files": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
    "umask": os.umask(0), "cwd": os.getcwd(), "argv": sys.argv,
    "env": dict(os.environ),
    "echo": bool(termios.tcgetattr(0)[3] & termios.ECHO),
}))
"""


# glibc's posix_spawn(3) ignores its own two real-time signals, 32 and 33, in every child.
GLIBC_SIGNALS = 3 << 31


def report(home: Home, **fields: object) -> dict[str, object]:
    """Launch a program that writes down what it was given."""
    script = Path(home.path, "report.py")
    script.write_text(REPORT)
    # Python itself ignores SIGPIPE and SIGXFSZ and catches SIGINT; so the shell looks at those.
    number = home.launch(
        "/bin/sh",
        "-c",
        'cat /proc/self/status > signals; exec "$@"',
        "sh",
        sys.executable,
        "-IS",
        str(script),
        "an argument",
        "",
        **fields,
    )
    info = home.wait_finished(number)
    assert info["exit_code"] == 0, home.log(number)
    found: dict[str, object] = json.loads(Path(home.path, "report").read_text())
    return found


@pytest.mark.smoke
def test_what_a_program_is_given(home: Home, runtime: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (789, before[1]))
    try:
        home.start_node(runtime)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    found = report(home, name="bob", tags=["t1", "t2"], env=["EXTRA=a=b", "HOME=/nowhere"])
    # 3 is the listing itself.
    assert found["fds"] == [0, 1, 2, 3]
    assert found["sid"] == found["pgid"] == found["pid"] == found["foreground"]
    (tty,) = set(found["tty"])  # type: ignore[call-overload]
    assert tty.startswith("/dev/pts/")
    assert found["size"] == [80, 24]
    assert found["echo"] is True
    assert found["files"] == [789, before[1]]
    assert found["cwd"] == home.path
    assert found["argv"][1:] == ["an argument", ""]  # type: ignore[index]
    env = found["env"]
    assert isinstance(env, dict)
    wanted = {
        "PWD": home.path,
        "CW_SESSION_ID": "1",
        "CW_SESSION_NAME": "bob",
        "CW_COHORT_TAG": "t1",
        "EXTRA": "a=b",
        "HOME": "/nowhere",
        "TERM": "xterm-256color",
    }
    assert {key: env.get(key) for key in wanted} == wanted
    assert not [key for key in env if key.startswith("CODEWIRE")]
    lines = Path(home.path, "signals").read_text().splitlines()
    signals = {
        key: int(value, 16)
        for key, _, value in (line.partition(":\t") for line in lines)
        if key in ("SigBlk", "SigIgn", "SigCgt")
    }
    signals["SigIgn"] &= ~GLIBC_SIGNALS
    assert signals == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_a_program_gets_the_size_asked_for(node: Home) -> None:
    assert report(node, rows=33, cols=111)["size"] == [111, 33]


def keepers(home: Home) -> list[int]:
    lines = {pid: command_line(pid) for pid in home.processes()}
    return [pid for pid, line in lines.items() if " keeper" in line or " node" in line]


def workers(home: Home) -> list[int]:
    return [pid for pid in home.processes() if " worker " in command_line(pid)]


@pytest.mark.smoke
def test_twenty_clients_at_once_start_one_node(home: Home) -> None:
    clients = [home.popen("launch", "--quiet", "--", "true") for _ in range(20)]
    outputs = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0] * 20, outputs
    assert sorted(int(out) for out, _ in outputs) == list(range(1, 21))
    assert sum(b"node started" in error for _, error in outputs) == 1, outputs
    assert len(keepers(home)) == 1
    assert len(workers(home)) == 1
    assert home.keeper_pid == keepers(home)[0]


def test_a_second_node_is_refused(node: Home) -> None:
    number = node.launch("cat")
    keeper, worker = node.keeper_pid, node.worker_pid
    for _ in range(2):
        second = node.cw("node")
        assert second.returncode == 1
        assert f"node already running (pid {keeper})" in second.stderr
    assert (node.keeper_pid, node.worker_pid) == (keeper, worker)
    assert node.session(number)["status"] == "running"
    assert Path(node.data_dir, "codewire.pid").read_text() == str(keeper)


def test_ten_nodes_at_once_leave_one(home: Home) -> None:
    nodes = [home.popen("node", start_new_session=True) for _ in range(10)]
    wait_until(lambda: sum(node.poll() is None for node in nodes) == 1, 60, "one is left")
    (winner,) = [node for node in nodes if node.poll() is None]
    # The socket is there a moment before it takes clients.
    wait_until(lambda: is_answering(home.socket), 20, "it listens")
    assert home.keeper_pid == winner.pid
    assert {node.returncode for node in nodes} == {None, 1}
    winner.send_signal(signal.SIGTERM)
    assert winner.wait(20) == 0
    assert not os.path.lexists(home.socket)


def test_a_mistyped_node_command_touches_nothing(node: Home) -> None:
    keeper, worker = node.keeper_pid, node.worker_pid
    for words in (["x"], ["stopp"], ["--detached"], ["restart", "now"]):
        done = node.cw("node", *words)
        assert done.returncode == 1, (words, done.stdout)
        assert done.stderr
    assert (node.keeper_pid, node.worker_pid) == (keeper, worker)


def test_a_node_that_was_killed_leaves_nothing_in_the_way(home: Home) -> None:
    """Stale socket and pid file: the next client starts a node."""
    home.start_node()
    keeper, worker = home.keeper_pid, home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert home.node is not None
    home.node.wait(10)
    wait_until(lambda: not is_alive(worker), 30, "the worker is gone")
    assert os.path.exists(home.socket)
    done = home.cw("launch", "--quiet", "--", "true")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert "node started" in done.stderr


@pytest.mark.parametrize("runtime_dir", [True, False])
def test_a_home_whose_path_is_too_long_for_a_socket(home: Home, runtime_dir: bool) -> None:
    deep = Path(home.path, "d" * 60, "e" * 60)
    deep.mkdir(parents=True)
    env = {"HOME": str(deep), "CW_TEST_OUTER": home.path}
    if runtime_dir:
        private = Path(home.path, "run")
        private.mkdir(mode=0o700)
        env["XDG_RUNTIME_DIR"] = str(private)
    try:
        done = home.cw("launch", "--quiet", "--", "/bin/sh", "-c", "echo deep; exit 3", env=env)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
        link = deep / ".codewire" / "codewire.sock"
        target = os.readlink(link)
        assert len(target) < 108
        assert target.startswith(str(private) if runtime_dir else "/tmp/codewire-")
        assert os.stat(os.path.dirname(target)).st_mode & 0o777 == 0o700
        assert home.cw("wait", "1", env=env).returncode in (0, 3)
        assert "deep" in home.cw("logs", "1", env=env).stdout
        second = home.cw("node", env=env)
        assert (second.returncode, "already running" in second.stderr) == (1, True)
        with RawConnection(target) as connection:
            assert connection.request({"type": "ListSessions"})["type"] == "SessionList"
    finally:
        stopped = home.cw("stop", env=env)
    assert stopped.returncode == 0, stopped.stderr
    assert not os.path.lexists(link)
    wait_until(lambda: not os.path.lexists(target), 30, "the socket is gone")


def test_a_stop_answers_when_everything_has_ended(node: Home) -> None:
    numbers = [node.launch("cat") for _ in range(5)]
    pids = [node.session(number)["pid"] for number in numbers]
    keeper, worker = node.keeper_pid, node.worker_pid
    done = node.cw("stop")
    assert done.returncode == 0, done.stderr
    assert not any(is_alive(pid) for pid in [*pids, worker])
    assert node.node is not None
    assert node.node.wait(10) == 0
    assert not is_alive(keeper)


def test_a_node_outlives_the_terminal_it_was_started_from(home: Home) -> None:
    """An auto-started node has a session of its own: closing the terminal does not reach it."""
    master, slave = os.openpty()
    try:
        client = subprocess.Popen(
            [*CW, "launch", "--quiet", "--", "cat"],
            env=home.env,
            cwd=home.path,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        assert client.wait(20) == 0
    finally:
        os.close(slave)
        os.close(master)
    keeper = home.keeper_pid
    assert os.getsid(keeper) not in (os.getsid(0), client.pid)
    assert home.session(1)["status"] == "running"
    for pid in (keeper, home.worker_pid):
        for fd in range(3):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert target == "/dev/null" or target.startswith(home.path), (pid, fd, target)
