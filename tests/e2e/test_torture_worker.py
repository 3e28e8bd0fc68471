"""The worker and the keeper die by SIGKILL, again and again, while sessions print (design, P3)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests import printer
from tests.follower import Follower
from tests.support import STOP_TIMEOUT, Home, is_alive, wait_until

SESSIONS = 50
KILLS = 20


def kill_keeper(home: Home) -> int:
    """SIGKILL the keeper; return its pid once a successor has been handed everything."""
    old = home.keeper_pid
    running = home.node_status()["sessions_running"]
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not is_alive(old), 30, "the keeper is gone")
    pid_file = Path(home.data_dir, "codewire.pid")
    wait_until(lambda: pid_file.read_text() != str(old), 30, "a new keeper wrote its pid")
    new = int(pid_file.read_text())
    wait_until(lambda: starts_processes(home), 30, "the new keeper does its work")
    assert count_masters(new) >= running
    assert home.keeper_pid == new
    return old


def starts_processes(home: Home) -> bool:
    """Say whether the keeper does what a worker orders: it has read all that came before then.

    The order is for a program that cannot be run, so nothing is left of it.
    """
    noise = Path(home.path, "noise")
    noise.write_bytes(b"\x7fELF\0\0\0")
    noise.chmod(0o755)
    answer = home.request({"type": "Launch", "command": [str(noise)], "working_dir": home.path})
    assert answer["type"] == "Error", answer
    return "exec format error" in answer["message"]


def count_masters(pid: int) -> int:
    """Return how many PTY masters a process holds."""
    directory = f"/proc/{pid}/fd"
    links = []
    for name in os.listdir(directory):
        try:
            links.append(os.readlink(f"{directory}/{name}"))
        except FileNotFoundError:
            continue
    return sum("/ptmx" in link for link in links)


class Flood:
    """Fifty sessions that print; every third ends by itself while the kills go on."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.stop_file = os.path.join(home.path, "stop")
        self.ids = {seed: self._launch(seed) for seed in range(1, SESSIONS + 1)}

    def _launch(self, seed: int) -> int:
        # Four print in large bursts, the others 2.5 KB at a time.
        count = 600 if seed % 12 == 0 else 25
        chunks = 10 + seed * 4 if seed % 3 == 0 else 100_000
        argv = printer.command(
            "flood", seed, self.exit_code(seed), count, chunks, self.stop_file, self._total(seed)
        )
        return self.home.launch(*argv, tags=["flood"])

    def exit_code(self, seed: int) -> int:
        return seed * 5 % 251

    def _total(self, seed: int) -> str:
        return os.path.join(self.home.path, f"total-{seed}")

    def end(self) -> None:
        """Have the rest of them end, and wait for all."""
        Path(self.stop_file).touch()
        with self.home.connect(timeout=60) as connection:
            answer = connection.request({"type": "Wait", "tags": ["flood"], "condition": "all"})
        assert len(answer["sessions"]) == SESSIONS, answer

    def has_finished(self, seed: int) -> bool:
        """Say whether the program came to its own end."""
        return os.path.exists(self._total(seed))

    def printed(self, seed: int) -> bytes:
        """Return what the session printed, as it says itself."""
        return printer.lines(seed, 0, int(Path(self._total(seed)).read_text()))


# Twenty restarts of half a second and more: on a slow machine minutes.
@pytest.mark.timeout(400)
@pytest.mark.alone
def test_killed_workers_lose_nothing(node: Home) -> None:
    flood = Flood(node)
    followers = {seed: Follower(node.socket, flood.ids[seed]) for seed in (1, 12, 15, 24, 50)}
    texts: dict[str, str] = {}
    client = node.client()
    readers = [
        threading.Thread(target=lambda: texts.update(watch=_text(client.watch(flood.ids[2])))),
        threading.Thread(
            target=lambda: texts.update(
                logs=_text(client.logs(flood.ids[3], follow=True, strip_ansi=False))
            )
        ),
    ]
    for reader in readers:
        reader.start()
    attached, seen = followers[1], 0
    for _ in range(KILLS):
        # Only a flood that flows again, to a client that is attached again, can be hit again.
        wait_until(lambda seen=seen: attached.connections > seen, 20, "it connects again")
        offset = attached.offset
        wait_until(lambda offset=offset: attached.offset > offset + 5000, 20, "the flood flows")
        seen = attached.connections
        node.kill_worker()
    flood.end()

    cut_short = [
        (node.session(number), node.log(number)[-300:])
        for seed, number in flood.ids.items()
        if not flood.has_finished(seed)
    ]
    assert cut_short == []
    damaged = [
        seed for seed, number in flood.ids.items() if node.log(number) != flood.printed(seed)
    ]
    assert damaged == []
    infos = {seed: node.session(number) for seed, number in flood.ids.items()}
    codes = {seed: info.get("exit_code") for seed, info in infos.items()}
    assert codes == {seed: flood.exit_code(seed) for seed in flood.ids}
    assert {info["end_reason"] for info in infos.values()} == {"exited"}
    for seed, follower in followers.items():
        assert follower.join() == flood.printed(seed), f"attached client of {seed}"
        assert follower.notice == f"session completed ({flood.exit_code(seed)})"
        assert follower.gaps == []
    assert attached.connections > KILLS, "the kills did not reach the attached clients"
    for reader in readers:
        reader.join(30)
    assert texts["watch"].encode() == flood.printed(2)
    assert texts["logs"].encode() == flood.printed(3)
    assert node.node_status()["worker_restarts"] >= KILLS


def _text(chunks: object) -> str:
    return "".join(chunk.text for chunk in chunks)  # type: ignore[attr-defined]


@pytest.mark.smoke
def test_exits_while_no_worker_runs_are_known(node: Home) -> None:
    """The keeper reaps, and notes the codes for the worker to come."""
    waiting = "while [ ! -e stop ]; do sleep 0.02; done; echo last; "
    ended = node.launch("/bin/sh", "-c", waiting + "exit 42")
    signalled = node.launch("/bin/sh", "-c", waiting + "kill -SEGV $$")
    pids = [node.session(number)["pid"] for number in (ended, signalled)]
    worker = node.worker_pid
    # Stopped, a worker is as good as none, for as long as we please.
    os.kill(worker, signal.SIGSTOP)
    Path(node.path, "stop").touch()
    wait_until(lambda: not any(map(is_alive, pids)), 30, "the sessions' processes are gone")
    os.kill(worker, signal.SIGKILL)
    info = node.wait_finished(ended)
    assert (info["status"], info["exit_code"]) == ("completed (42)", 42)
    info = node.wait_finished(signalled)
    assert (info["exit_code"], info["signal"], info["end_reason"]) == (-1, 11, "signal")
    assert node.log(ended) == node.log(signalled) == b"last\r\n"


@pytest.mark.smoke
def test_a_killed_keeper_loses_no_session(node: Home) -> None:
    """Codes of what it had started are unknown from then on, and said to be."""
    node.expects_leftovers = True  # `node` was the first keeper
    finished = node.launch("/bin/sh", "-c", "exit 3")
    node.wait_finished(finished)
    ticking = node.launch(*printer.command("flood", 1, 9, 5, 100_000, "stop", "total"))
    lost = node.launch("/bin/sh", "-c", "read line; exit 7")
    killed = node.launch("cat")
    follower = Follower(node.socket, ticking)

    kill_keeper(node)

    assert node.session(finished)["exit_code"] == 3
    size = os.path.getsize(node.log_path(ticking))
    wait_until(lambda: os.path.getsize(node.log_path(ticking)) > size, 30, "it prints on")
    new = node.launch("/bin/sh", "-c", "exit 5")
    assert node.wait_finished(new)["exit_code"] == 5
    assert node.request({"type": "SendInput", "id": lost, "data": "Cg=="})["type"] == "InputSent"
    info = node.wait_finished(lost)
    assert (info["status"], info["end_reason"]) == ("completed (-1)", "lost")
    assert "exit_code" not in info
    pid = node.session(killed)["pid"]
    assert node.request({"type": "Kill", "id": killed}) == {"type": "Killed", "id": killed}
    assert not is_alive(pid)
    assert node.session(killed)["status"] == "killed"
    Path(node.path, "stop").touch()
    total = int(wait_until(lambda: _read(node, "total"), 30, "the printer ends"))
    assert follower.join() == printer.lines(1, 0, total)

    survivor = node.launch("cat")
    pid = node.session(survivor)["pid"]
    keeper, worker = node.keeper_pid, node.worker_pid
    stopped = node.cw("stop")
    assert stopped.returncode == 0, stopped.stderr
    wait_until(lambda: not any(map(is_alive, (keeper, worker, pid))), 30, "everything has ended")
    assert not os.path.lexists(node.socket)


def _read(home: Home, name: str) -> str:
    path = Path(home.path, name)
    return path.read_text() if path.exists() else ""


def test_keeper_and_worker_killed_in_turn(node: Home) -> None:
    node.expects_leftovers = True
    printing = node.launch(*printer.command("flood", 1, 9, 20, 100_000, "stop", "total"))
    follower = Follower(node.socket, printing)
    waiting: dict[int, int] = {}
    for turn in range(3):
        code = 20 + turn
        waiting[node.launch("/bin/sh", "-c", f"read line; exit {code}")] = code
        kill_keeper(node)
        node.kill_worker()
        code = 30 + turn
        short = node.launch("/bin/sh", "-c", f"echo {code}; exit {code}")
        assert node.wait_finished(short)["exit_code"] == code
        assert node.log(short) == f"{code}\r\n".encode()
    # Started by the keeper that lives now: known.
    known = node.launch("/bin/sh", "-c", "read line; exit 40")
    node.kill_worker()
    for number in (*waiting, known):
        node.request({"type": "SendInput", "id": number, "data": "Cg=="})
    assert node.wait_finished(known)["exit_code"] == 40
    for number in waiting:
        info = node.wait_finished(number)
        assert (info["end_reason"], info.get("exit_code")) == ("lost", None)
    Path(node.path, "stop").touch()
    total = int(wait_until(lambda: _read(node, "total"), 30, "the printer ends"))
    assert follower.join() == node.log(printing) == printer.lines(1, 0, total)
    assert len(node.request({"type": "ListSessions"})["sessions"]) == 8


def test_ends_that_are_not_on_disk_survive_both(node: Home) -> None:
    """No record can be written; keeper and worker die in turn; the code is known all the same."""
    node.expects_leftovers = True
    path = Path(node.data_dir, "sessions.json")
    obstacle = Path(f"{path}.new")
    wait_until(lambda: not obstacle.exists(), 30, "nothing is being written")
    obstacle.mkdir()
    journal = Path(node.data_dir, "sessions.journal.jsonl")
    journal.unlink(missing_ok=True)
    journal.symlink_to("missing/journal")
    number = node.launch("/bin/sh", "-c", "echo text; exit 9")
    assert node.wait_finished(number)["exit_code"] == 9
    for _ in range(2):
        kill_keeper(node)
        node.kill_worker()
        assert node.session(number)["exit_code"] == 9
        assert not Path(node.data_dir, "sessions", str(number), "session.json").exists()
    obstacle.rmdir()
    wait_until(lambda: path.exists() and "completed (9)" in path.read_text(), 30, "it is saved")
    assert node.log(number) == b"text\r\n"


def test_a_successor_keeper_starts_sessions_as_the_first_did(home: Home, runtime: str) -> None:
    """The limit of open files is the user's, not the one the node raised for itself."""
    home.env["CW_RUNTIME"] = runtime
    home.expects_leftovers = True
    _start_with_file_limit(home, 333)
    for _ in range(2):
        number = home.launch("/bin/sh", "-c", "ulimit -Sn")
        home.wait_finished(number)
        assert home.log(number) == b"333\r\n"
        kill_keeper(home)


def _start_with_file_limit(home: Home, soft: int) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert before[1] > soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        home.start_node()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("times", [3])
def test_restart_on_request_disturbs_nobody(node: Home, times: int) -> None:
    """`cw node restart`: the orderly way takes the same path."""
    printing = node.launch(*printer.command("flood", 2, 0, 50, 100_000, "stop", "total"))
    follower = Follower(node.socket, printing)
    for _ in range(times):
        before = node.worker_pid
        done = node.cw("node", "restart")
        assert done.returncode == 0, done.stderr
        wait_until(lambda before=before: node.worker_pid != before, 30, "another worker serves")
    Path(node.path, "stop").touch()
    total = int(wait_until(lambda: _read(node, "total"), 30, "the printer ends"))
    assert follower.join() == printer.lines(2, 0, total)
    assert follower.notice == "session completed (0)"


def test_a_stop_survives_the_death_of_the_worker(node: Home) -> None:
    """The next worker ends the sessions, and writes it down."""
    number = node.launch("cat")
    pid, worker = node.session(number)["pid"], node.worker_pid
    # Stopped, it gets the order to end everything and does nothing about it.
    os.kill(worker, signal.SIGSTOP)
    assert node.node is not None
    node.node.send_signal(signal.SIGTERM)
    wait_until(lambda: "shutting down" in node.node_output(), 30, "the keeper has the signal")
    os.kill(worker, signal.SIGKILL)
    assert node.node.wait(STOP_TIMEOUT) == 0
    assert not is_alive(pid)
    node.start_node()
    info = node.session(number)
    # A bare SIGTERM is a reboot's: what ended with the node can be restored.
    assert (info["status"], info["end_reason"]) == ("completed (-1)", "lost")
