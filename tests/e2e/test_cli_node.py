"""The commands about the node itself, and what others say when it has gone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.commandline import failure, finished, launch, prints, the_rest
from tests.processes import is_connected
from tests.support import Home, is_alive, wait_until


@pytest.mark.smoke
def test_node_lifecycle(home: Home) -> None:
    done = home.cw("start")
    assert re.fullmatch(r"\[cw\] node started \(pid \d+\)\n", done.stderr)
    pid = home.keeper_pid
    done = home.cw("start")
    assert (done.returncode, done.stderr) == (0, f"[cw] node already running (pid {pid})\n")
    assert failure(home, "node") == f"Error: node already running (pid {pid})\n"
    assert failure(home, "node", "-d") == f"Error: node already running (pid {pid})\n"
    assert failure(home, "daemon") == f"Error: node already running (pid {pid})\n"
    done = home.cw("stop")
    assert (done.returncode, done.stderr) == (0, f"[cw] sent SIGTERM to node (pid {pid})\n")
    assert not os.path.exists(home.socket) and not is_alive(pid)
    text = failure(home, "stop")
    path = os.path.join(home.data_dir, "codewire.pid")
    assert text == (
        f"Error: reading pid file: open {path}: no such file or directory (is the node running?)\n"
    )
    assert home.cw("node", "--detach").returncode == 0
    assert home.cw("node", "stop").returncode == 0


def test_stop_with_a_pid_file_that_lies(home: Home) -> None:
    os.makedirs(home.data_dir)
    path = Path(home.data_dir, "codewire.pid")
    path.write_text("x\n")
    assert failure(home, "stop") == (
        f'Error: invalid pid file: "x" is no process id ({home.data_dir}/codewire.pid)\n'
    )
    stale = "[cw] node already stopped (stale pid file removed)\n"
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        for pid in (bystander.pid, 2**22 + 1):
            path.write_text(str(pid))
            done = home.cw("stop")
            assert (done.returncode, done.stderr) == (0, stale)
            assert not path.exists()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(10)


@pytest.mark.smoke
def test_node_status_and_restart(home: Home) -> None:
    home.start_node()
    session_id = launch(home, "--", "sleep", "600")
    finished(home, "--", "true")
    before = json.loads(home.cw("node", "status", "--json").stdout)
    assert list(before) == [
        "version", "protocol", "runtime", "keeper_pid", "worker_pid", "started_at",
        "worker_started_at", "worker_restarts", "sessions_running", "sessions_total",
        "data_dir", "socket", "grace_seconds",
    ]  # fmt: skip
    assert (before["sessions_running"], before["sessions_total"]) == (1, 2)
    lines = home.cw("node", "status").stdout.splitlines()
    assert lines[0] == f"Node {before['keeper_pid']}"
    assert f"  Worker PID:      {before['worker_pid']}" in lines
    assert "  Sessions:        1 running, 2 in all" in lines
    done = home.cw("node", "restart")
    after = json.loads(home.cw("node", "status", "-o", "json").stdout)
    assert done.returncode == 0
    assert done.stderr == f"[cw] node restarted (worker pid {after['worker_pid']})\n"
    assert after["worker_pid"] != before["worker_pid"]
    assert after["keeper_pid"] == before["keeper_pid"]
    assert home.session(session_id)["status"] == "running"


def test_a_stream_whose_node_is_gone_ends_with_one_line(home: Home) -> None:
    home.start_node()
    launch(home, "--tag", "tag", "--", "bash", "-c", "echo up; sleep 600")
    prints(home, 1, "up")
    keeper, worker = home.keeper_pid, home.worker_pid
    # This one says nothing, and has no other business with the node: its connection is the sign.
    waiting = home.popen("wait", "1")
    wait_until(lambda: is_connected(waiting.pid), 30, "the wait is at the node")
    streams = [waiting]
    for argv, sign in (
        (["watch", "1"], "stdout"),
        (["logs", "-f", "1"], "stdout"),
        (["subscribe"], "stderr"),
        (["watch", "tag"], "stdout"),
    ):
        streams.append(home.popen(*argv))
        assert getattr(streams[-1], sign).readline(), argv
    home.expects_leftovers = True
    os.kill(worker, signal.SIGSTOP)  # or it would start another keeper
    os.kill(keeper, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    for process in streams:
        _, errors = the_rest(process)
        assert process.returncode == 1, process.args
        assert errors.count(b"\n") == 1 and b"node is gone" in errors, (process.args, errors)
