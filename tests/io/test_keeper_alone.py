"""A keeper whose surroundings fail: no worker, no socket, no directory, nobody who listens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codewire.errors import NodeRunning
from codewire.io.unix import SomebodyThere, answering_peer, listen_unix
from codewire.keeper import protocol
from codewire.keeper.place.pidfile import read_pid
from codewire.keeper.place.premises import Premises
from codewire.keeper.report import Report
from codewire.paths import DataDir
from tests.io.keeperprocess import KeeperProcess, is_alive, stubborn, wait_until
from tests.kernel import PEER, UID, needs_names
from tests.processes import cpu_seconds
from tests.rawwire import RawConnection

Start = Callable[..., KeeperProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start keepers in short directories; all of it is gone afterwards."""
    import tempfile

    base = Path(tempfile.mkdtemp(prefix="cwk-", dir="/tmp"))
    started: list[KeeperProcess] = []

    def begin(command: list[str] | None = None, **options: int) -> KeeperProcess:
        keeper = KeeperProcess(base / "data", command or [str(base / "worker")], **options)
        started.append(keeper)
        return keeper

    yield begin
    for keeper in started:
        keeper.close()
    shutil.rmtree(base, ignore_errors=True)


def ask(path: str) -> dict[str, object]:
    """Return the first answer to a request: within 5 s, 20 on a machine with other work."""
    started = time.monotonic()
    with RawConnection(path, 30.0) as connection:
        answer = connection.request({"type": "ListSessions"})
    assert time.monotonic() - started < 20
    return answer


def test_a_worker_that_cannot_be_started_costs_no_session(start: Start) -> None:
    """Its program is away: clients are told why; sessions live; it is started once it is back."""
    keeper = start()
    held = keeper.hello()
    pid, master = keeper.spawn(1, "/bin/cat")
    keeper.channel.shut_down()
    answer = ask(keeper.socket)
    assert (answer["type"], answer["code"]) == ("Error", "no_worker")
    assert "no such file or directory" in str(answer["message"])
    assert "node.log" in str(answer["message"])
    keeper.signal(signal.SIGHUP)
    assert "no such file" in str(ask(keeper.socket)["message"])
    assert is_alive(pid)
    assert keeper.process.poll() is None
    # The worker to come only says so; the pid it has is enough.
    worker = keeper.root.parent / "worker"
    worker.write_text(f"#!/bin/sh\necho $$ > {worker}.pid\nexec sleep 100\n")
    worker.chmod(0o755)
    wait_until(lambda: Path(f"{worker}.pid").exists(), 30, "the worker is started")
    assert "Traceback" not in keeper.stderr.read_text()
    keeper.close(master, *held)
    assert not is_alive(pid)


def test_what_a_failing_worker_says_is_the_reason(start: Start) -> None:
    """It tells the keeper over its link; in the foreground nothing else could be read again."""
    script = (
        "import sys; from codewire.keeper.protocol import tell_failing;"
        "tell_failing(int(sys.argv[1]), ImportError('no gevent today'))"
    )
    keeper = start([sys.executable, "-c", script], linked=False, detached=False)
    answer = ask(keeper.socket)
    assert "ImportError: no gevent today" in str(answer["message"])
    assert keeper.process.poll() is None


def test_web_clients_are_told_too(start: Start) -> None:
    keeper = start()
    held = keeper.hello()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        keeper.channel.send({"op": "keep", "name": "tcp"}, [listener.fileno()])
        keeper.spawn(1, "/bin/true")  # answered, so what came before has been read
    keeper.channel.shut_down()
    with socket.create_connection(address, 5) as client:
        client.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        text = read_all(client)
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: close" in head
    assert b"cannot start" in body
    with socket.create_connection(address, 5) as client:
        client.sendall(b"\x16\x03\x01")
        assert read_all(client) == b"", "TLS is not spoken here"
    keeper.close(*held)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while chunk := sock.recv(4096):
        data += chunk
    return data


def test_clients_that_stall_do_not_stall_the_keeper(start: Start) -> None:
    """More than are let in at once, none of whom says a word or goes."""
    keeper = start()
    held = keeper.hello()
    keeper.channel.shut_down()
    clients = [socket.socket(socket.AF_UNIX) for _ in range(80)]
    for client in clients:
        client.connect(keeper.socket)
    for client in clients:
        client.settimeout(10)
        assert b"no_worker" in client.recv(4096)
        client.close()
    assert keeper.process.poll() is None
    keeper.close(*held)


def test_a_listener_that_is_none_costs_neither_time_nor_a_stop(start: Start) -> None:
    """Accepting fails for ever there; others are answered, and the keeper can be stopped."""
    keeper = start()
    held = keeper.hello()
    null = os.open("/dev/null", os.O_RDONLY)
    keeper.channel.send({"op": "keep", "name": "tcp"}, [null])
    keeper.spawn(1, "/bin/true")  # answered, so what came before has been read
    keeper.channel.shut_down()
    ask(keeper.socket)
    before = cpu_seconds(keeper.process.pid)
    for _ in range(3):
        ask(keeper.socket)
    assert cpu_seconds(keeper.process.pid) - before < 0.5
    keeper.signal(signal.SIGTERM)
    assert keeper.process.wait(10) == 0
    keeper.close(null, *held)


# Stopping


def test_a_stop_without_a_worker_kills_in_the_end(start: Start) -> None:
    """SIGTERM, the grace time the last worker named, SIGKILL: background jobs, too, and those
    in Unix sessions of their own."""
    keeper = start()
    held = keeper.hello(grace_seconds=0.6)
    pid, master = stubborn(keeper, 1)
    _, other = keeper.spawn(2, "/bin/sh", "-c", "set -m; sleep 1000 & echo =$!=; wait")
    _, third = keeper.spawn(3, "/bin/sh", "-c", "setsid sleep 1000 & echo =$!=; wait")
    jobs = [_job(other), _job(third)]
    wait_until(lambda: os.getsid(jobs[1]) == jobs[1], 30, "it is in a session of its own")
    keeper.channel.shut_down()
    ask(keeper.socket)
    started = time.monotonic()
    keeper.signal(signal.SIGTERM)
    keeper.signal(signal.SIGTERM)
    assert keeper.process.wait(10) == 0
    assert 0.5 < time.monotonic() - started
    assert not is_alive(pid)
    assert not any(is_alive(job) for job in jobs)
    assert not os.path.lexists(keeper.socket)
    keeper.close(master, other, third, *held)


def _job(master: int) -> int:
    words = wait_until(lambda: _words(master), 30, "it tells its job's pid")
    return int(words.split(b"=")[1])


def _words(master: int) -> bytes:
    try:
        data = os.read(master, 1000)
    except BlockingIOError:
        return b""
    return data if data.count(b"=") >= 2 else b""


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]])
def test_now_means_now(start: Start, signals: list[int]) -> None:
    """Whatever the grace time is, and whether the worker does anything or not."""
    keeper = start()
    held = keeper.hello(grace_seconds=3600)
    pid, master = stubborn(keeper, 1)
    started = time.monotonic()
    keeper.signal(signals[0])
    keeper.expect("stop")
    for number in signals[1:]:
        keeper.signal(number)
    wait_until(lambda: not is_alive(pid), 30, "the session is killed")
    keeper.channel.shut_down()
    assert keeper.process.wait(60) == 0
    assert time.monotonic() - started < 60
    keeper.close(master, *held)


def test_a_second_sigterm_does_not_cut_the_grace_time(start: Start) -> None:
    keeper = start(detached=False)
    held = keeper.hello(grace_seconds=40)
    pid, master = stubborn(keeper, 1)
    keeper.signal(signal.SIGTERM)
    keeper.expect("stop")
    keeper.signal(signal.SIGTERM)
    wait_until(lambda: "already shutting down" in keeper.stderr.read_text(), 30, "it joins")
    assert is_alive(pid)
    wait_until(lambda: "still shutting down: 1 session" in keeper.stderr.read_text(), 30)
    keeper.channel.send({"op": "stopped"})
    keeper.channel.shut_down()
    assert keeper.process.wait(10) == 0
    assert not is_alive(pid)
    keeper.close(master, *held)


# Socket, pid file, directory


def test_a_removed_socket_is_bound_anew(start: Start) -> None:
    """The worker gets the new listener; the pid file is written anew."""
    keeper = start()
    held = keeper.hello(features=[protocol.FEATURE_LISTENER])
    os.unlink(keeper.socket)
    os.unlink(keeper.root / "codewire.pid")
    keeper.signal(signal.SIGUSR1)
    _, fds = keeper.expect("listener")
    with socket.socket(fileno=fds[0]) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(keeper.socket)
        listener.settimeout(10)
        listener.accept()[0].close()
    assert read_pid(str(keeper.root / "codewire.pid")) == keeper.process.pid
    keeper.close(*held)
    assert not os.path.lexists(keeper.socket)


@needs_names
def test_a_removed_directory_is_told_and_made_anew(start: Start) -> None:
    """And no second node starts beside the one that lost it."""
    keeper = start()
    held = keeper.hello(features=[protocol.FEATURE_LISTENER])
    shutil.rmtree(keeper.root)
    paths = DataDir(str(keeper.root))
    with pytest.raises(NodeRunning):
        Premises(paths, Report(paths.node_log, False)).take()
    assert not keeper.root.exists()
    keeper.signal(signal.SIGUSR1)
    _, fds = keeper.expect("listener")
    assert answering_peer(keeper.socket) == (keeper.process.pid, os.getuid())
    assert "was removed under the running node" in keeper.log()
    keeper.close(*fds, *held)


def test_a_foreign_socket_is_left_alone(start: Start) -> None:
    keeper = start()
    held = keeper.hello()
    os.unlink(keeper.socket)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(keeper.socket)
        foreign.listen()
        for _ in range(2):
            keeper.signal(signal.SIGUSR1)
            wait_until(lambda: "something already answers" in keeper.log(), 30, "it is logged")
        keeper.spawn(1, "/bin/true")
        assert keeper.log().count("something already answers") == 1
        assert answering_peer(keeper.socket) == (PEER, UID)
        keeper.close(*held)
        assert os.path.lexists(keeper.socket)


def test_a_new_node_takes_no_socket_that_answers(tmp_path: Path) -> None:
    paths = DataDir(str(tmp_path / "d"))
    os.mkdir(paths.root)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(paths.socket)
        foreign.listen()
        with pytest.raises(SomebodyThere, match=rf"already answers at .*pid {PEER or 'unknown'}"):
            Premises(paths, Report(paths.node_log, False)).take()
        with pytest.raises(SomebodyThere):
            listen_unix(paths)
        assert answering_peer(paths.socket) is not None
        assert not os.path.exists(paths.pid)


# Saying


@pytest.mark.parametrize("mode", ["closed", "broken", "full"])
def test_no_word_is_worth_a_keeper(start: Start, mode: str) -> None:
    """stderr is closed, a pipe without a reader, or one that nobody reads."""
    read_end, write_end = os.pipe()
    if mode == "full":
        os.set_blocking(write_end, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write_end, b"x" * 4096)
        os.set_blocking(write_end, True)
    elif mode == "broken":
        os.close(read_end)
    keeper = start(detached=False, stderr=-1 if mode == "closed" else write_end)
    held = keeper.hello(grace_seconds=40)
    keeper.signal(signal.SIGTERM)
    keeper.expect("stop")
    keeper.signal(signal.SIGTERM)
    pid, master = keeper.spawn(1, "/bin/cat")
    keeper.channel.send({"op": "stopped"})
    keeper.channel.shut_down()
    assert keeper.process.wait(10) == 0
    assert not is_alive(pid)
    keeper.close(master, write_end, *([] if mode == "broken" else [read_end]), *held)


def test_a_directory_that_does_not_answer_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a dead NFS server: it is said once, and not waited for, also not at the end."""
    paths = DataDir(str(tmp_path / "data"))
    premises = Premises(paths, Report(paths.node_log, True))
    premises.take()
    assert not premises.need_a_look()
    with monkeypatch.context() as patch:
        # Where the machine has no thread to look with, the directory is not to blame.
        patch.setattr(premises._scout, "find", lambda: None)
        assert not premises.need_a_look()
        assert not os.path.exists(paths.node_log)
    answers = threading.Event()
    monkeypatch.setattr(premises._scout, "_look", lambda: answers.wait(20))
    for _ in range(2):
        assert not premises.need_a_look()
    assert Path(paths.node_log).read_text().count("does not answer") == 1
    premises.leave()
    assert os.path.lexists(paths.socket), "nothing was asked of it"
    answers.set()
    wait_until(lambda: not premises._scout.is_out(), 30, "it answers again")
    assert premises.need_a_look(), "what happened meanwhile is looked at"
    premises.leave()
    assert not os.path.lexists(paths.socket) and not os.path.lexists(paths.pid)
    for fd in {premises.listener, premises.lock, premises.claim} - {-1}:
        os.close(fd)


def test_a_successor_that_could_not_look_leaves_nothing(tmp_path: Path) -> None:
    """Its predecessor's pid file, and the socket that it did not recognise yet."""
    paths = DataDir(str(tmp_path / "data"))
    premises = Premises(paths, Report(paths.node_log, True))
    premises.take()
    premises._socket_inode = None
    with subprocess.Popen(["true"]) as gone:
        pass
    Path(paths.pid).write_text(str(gone.pid))
    premises.leave()
    assert not os.path.lexists(paths.socket) and not os.path.lexists(paths.pid)
    for fd in {premises.listener, premises.lock, premises.claim} - {-1}:
        os.close(fd)
