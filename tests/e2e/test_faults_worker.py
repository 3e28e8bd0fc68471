"""What is wrong around a worker costs what it must and nothing else (design, P11)."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rawwire import CONTROL, RawConnection
from tests.support import Home, is_alive, running_home, wait_until

# Prints far more than a terminal holds, when it is told to.
PROGRAM = "read x; head -c 300000 /dev/zero | tr '\\0' x; : > done-$CW_SESSION_ID; exec sleep 600"


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home() as home:
        yield home


def logs(home: Home, session_id: int) -> dict[str, object]:
    return home.request({"type": "Logs", "id": session_id})


def test_a_log_that_cannot_be_opened_costs_one_session_its_output(home: Home) -> None:
    """A directory, a FIFO, a dangling link in its place, all of it removed: and a worker dies."""
    ended = home.launch("echo", "hello")
    home.wait_finished(ended)
    lost = [home.launch("/bin/sh", "-c", PROGRAM) for _ in range(3)]
    removed, sound = (home.launch("/bin/sh", "-c", PROGRAM) for _ in range(2))
    for session_id in (ended, *lost):
        os.unlink(home.log_path(session_id))
    os.mkdir(home.log_path(lost[0]))
    os.mkfifo(home.log_path(lost[1]))
    os.symlink("/none/of/this", home.log_path(lost[2]))
    os.mkfifo(home.log_path(ended))
    shutil.rmtree(os.path.dirname(home.log_path(removed)))
    home.kill_worker()
    for session_id in (*lost, removed, sound):
        home.request({"type": "SendInput", "id": session_id, "data": list(b"go\n")})
    for session_id in (*lost, removed, sound):
        wait_until(Path(home.path, f"done-{session_id}").exists, 30, "it did not block")
        assert home.session(session_id)["status"] == "running"
    answer = logs(home, ended)
    assert answer["type"] == "Error", answer
    assert str(answer["message"]).startswith("failed to read session log: "), answer
    # What stood in a log's place was moved aside: what is printed from now on is kept.
    for session_id in (*lost, removed, sound):
        assert "x" * 1000 in str(logs(home, session_id)["data"])
    assert home.log_path(lost[0]) in home.node_output()
    home.request({"type": "Kill", "id": lost[1]})
    assert home.session(lost[1])["end_reason"] == "killed"


def test_a_configuration_that_broke_keeps_nobody_out(home: Home) -> None:
    session_id = home.launch("sleep", "600")
    Path(home.data_dir, "config.toml").write_text("[node\nlisten = ")
    home.kill_worker()
    assert home.session(session_id)["status"] == "running"
    assert "config.toml" in home.node_output()


@pytest.mark.parametrize("runtime", ["gevent", "threads"])
def test_a_deeply_nested_request_harms_nobody(runtime: str) -> None:
    """On threads with small stacks, Python 3.13's JSON scanner would end the process."""
    with running_home(runtime) as home:
        worker = home.worker_pid
        for text in (b"[" * (4 << 20), b'{"type":' * (1 << 19)):
            with home.connect(30) as connection:
                connection.send_frame(CONTROL, text)
                answer = connection.receive_control()
            assert answer["type"] == "Error"
            assert "nested too deeply" in answer["message"]
        assert home.worker_pid == worker


def test_one_client_too_many_is_told_so() -> None:
    """A limit on address space is where a worker on threads can start no more of them."""
    with running_home("threads") as home:
        ending = home.launch("sleep", "600")
        pid = int(home.session(ending)["pid"])
        worker = home.worker_pid
        waiting = home.connect(60)
        waiting.send_control({"type": "Wait", "id": ending})
        clients = [waiting]
        size = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
        limit = size + (12 << 20)
        _, hard = resource.prlimit(worker, resource.RLIMIT_AS)
        resource.prlimit(worker, resource.RLIMIT_AS, (limit, hard))
        message = fill(home, home.launch("sleep", "600"), clients)
        assert "too many clients" in message
        os.kill(pid, signal.SIGKILL)
        answer = waiting.receive_control()
        assert answer["type"] == "WaitResult", "an end needs no thread"
        resource.prlimit(worker, resource.RLIMIT_AS, (hard, hard))
        for client in clients:
            client.close()
        assert home.worker_pid == worker, "it has served on"


def fill(home: Home, session_id: int, clients: list[RawConnection]) -> str:
    """Hold idle clients until one is turned away; return what that one was told."""
    while len(clients) < 500:
        client = home.connect(30)
        clients.append(client)
        client.send_control({"type": "Attach", "id": session_id})
        try:
            answer = client.receive_control()
        except AssertionError:
            # Its thread had no memory for its first line: the connection is closed, at least.
            continue
        if answer["type"] == "Error":
            return str(answer["message"])
    raise AssertionError("there was room for all")


def test_a_launch_that_waits_for_a_dead_keeper_is_answered() -> None:
    with running_home() as home:
        home.expects_leftovers = True
        keeper = home.keeper_pid
        os.kill(keeper, signal.SIGSTOP)
        with home.connect(30) as connection:
            connection.send_control(
                {"type": "Launch", "command": ["true"], "working_dir": home.path}
            )
            # Made before the keeper is asked, which takes no time from then on.
            wait_until(lambda: os.path.exists(home.log_path(1)), 30, "the launch has begun")
            os.kill(keeper, signal.SIGKILL)
            assert connection.receive_control()["type"] in ("Error", "Launched")
        assert not is_alive(keeper)
