"""Disks that fill up, budgets, damaged files, restarts (design, P1 and P5)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import printer
from tests.follower import Follower
from tests.rawwire import DATA
from tests.support import Home, is_alive, wait_until

DISK_BYTES = 2 << 20
BALLAST_BYTES = 1 << 20
LINE = printer.LINE_BYTES


@pytest.fixture
def small_disk(home: Home, runtime: str) -> Iterator[Home]:
    """A node whose data directory is a file system of its own, 2 MiB in memory (needs root)."""
    if os.getuid() != 0:
        pytest.skip("needs root: mount(8)")
    os.mkdir(home.data_dir)
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs"]
    subprocess.run(["mount", *options, home.data_dir], check=True, timeout=10)
    try:
        home.start_node(runtime)
        yield home
        home.stop_node()
    finally:
        subprocess.run(["umount", "-l", home.data_dir], check=True, timeout=10)


def ballast(home: Home) -> Path:
    return Path(home.data_dir, "ballast")


def fill(home: Home) -> Path:
    """Leave no free page on the disk; return the file that took them."""
    file = ballast(home)
    with open(file, "wb", buffering=0) as filler:
        try:
            while filler.write(b"b" * 4096):
                pass
        except OSError:
            pass
    return file


def ask(home: Home, number: int, count: int) -> None:
    """Have a printer session print that many lines more."""
    data = f"{count}\n".encode()
    with home.connect() as connection:
        connection.send_control({"type": "Attach", "id": number, "include_history": False})
        connection.receive_control()
        connection.send_data(data)
        connection.send_control({"type": "Detach"})
        connection.read_rest()


def printed_to(home: Home, number: int, total: int) -> None:
    """Wait until the session's output has grown to `total` bytes, lost ones included."""
    wait_until(lambda: home.session(number)["output_bytes"] == total, 20, f"{total} bytes")


def start_printer(home: Home) -> int:
    number = home.launch(*printer.command("ask", 1))
    printed_to(home, number, len(printer.READY))
    return number


def pieces(home: Home, number: int, offset: int = 0) -> tuple[list[tuple[int, bytes]], int]:
    """Attach; return the ([offset, bytes] between gaps, end) that is there now."""
    end = home.session(number)["output_bytes"]
    found: list[tuple[int, bytes]] = []
    with home.connect() as connection:
        connection.send_control({"type": "Attach", "id": number, "from_offset": offset})
        assert connection.receive_control()["type"] == "Attached"
        at = offset
        found.append((at, b""))
        while at < end:
            kind, payload = connection.receive() or (0, b"{}")
            if kind == DATA:
                at += len(payload)
                found[-1] = (found[-1][0], found[-1][1] + payload)
            else:
                message = json.loads(payload)
                assert message["type"] == "Gap", message
                assert message["offset"] == at + message["gap"]
                at = message["offset"]
                found.append((at, b""))
    return [(start, data) for start, data in found if data], end


def assert_true(found: list[tuple[int, bytes]]) -> None:
    """Every byte must be the one that was printed at its offset."""
    for start, data in found:
        if start == 0:
            assert data[: len(printer.READY)] == printer.READY
            start, data = len(printer.READY), data[len(printer.READY) :]
        right = printer.expected(1, start - len(printer.READY), len(data))
        assert data == right, f"wrong bytes in {start}..{start + len(data)}"


def test_a_full_disk_costs_output_but_no_session(small_disk: Home) -> None:
    home = small_disk
    ballast(home).write_bytes(b"b" * BALLAST_BYTES)
    number = start_printer(home)
    bystander = home.launch("cat")
    follower = Follower(home.socket, number)

    ask(home, number, 15_000)  # 1.5 MB into what is left of 1 MiB
    full = len(printer.READY) + 15_000 * LINE
    printed_to(home, number, full)
    found, end = pieces(home, number)
    assert_true(found)
    assert end == full
    assert 500_000 < sum(len(data) for _, data in found) < full - 300_000
    assert home.session(bystander)["status"] == "running"
    assert home.request({"type": "SendInput", "id": bystander, "data": "aGkK"})["bytes"] == 3
    refused = home.request({"type": "Launch", "command": ["true"], "working_dir": "/"})
    assert refused["type"] in ("Launched", "Error")

    # The worker dies on the full disk: offsets stay what they are.
    home.kill_worker()
    printed_to(home, number, full)
    ask(home, number, 500)
    printed_to(home, number, full + 500 * LINE)
    again, _ = pieces(home, number)
    assert again == found

    ballast(home).unlink()
    ask(home, number, 1000)
    total = full + 1500 * LINE
    printed_to(home, number, total)
    found, _ = pieces(home, number)
    assert_true(found)
    assert found[-1][0] + len(found[-1][1]) == total
    assert len(found[-1][1]) >= 1000 * LINE, "logging has resumed"

    # Text readers are told as well, and the offset they name is right.
    answers = everything(home, {"type": "Logs", "id": number})
    assert sum(answer.get("gap", 0) for answer in answers) == total - sum(len(d) for _, d in found)
    assert answers[-1]["offset"] == total
    home.request({"type": "SendInput", "id": number, "data": "ZW5kCg=="})
    follower.join()
    received = len(follower.output) + sum(size for _, size in follower.gaps)
    assert received == follower.offset == total
    updates = everything(home, {"type": "WatchSession", "id": number})
    assert sum(update.get("gap", 0) for update in updates) == total - sum(len(d) for _, d in found)
    assert updates[-1]["status"] == "completed (0)"
    assert home.session(number)["output_lines"] >= 1000

    # And so it stays once it is over, also for the next worker.
    home.kill_worker()
    assert pieces(home, number) == (found, total)


def everything(home: Home, request: dict[str, object]) -> list[dict[str, object]]:
    with home.connect() as connection:
        connection.send_control(request)
        return [json.loads(payload) for _, payload in connection.read_rest()]


def test_a_worker_killed_when_space_comes_back(small_disk: Home) -> None:
    """Full, killed, space back before the next worker has seen anything."""
    home = small_disk
    ballast(home).write_bytes(b"b" * BALLAST_BYTES)
    number = start_printer(home)
    ask(home, number, 15_000)
    printed_to(home, number, len(printer.READY) + 15_000 * LINE)
    home.kill_worker()
    ballast(home).unlink()
    ask(home, number, 2000)
    total = len(printer.READY) + 17_000 * LINE
    printed_to(home, number, total)
    found, _ = pieces(home, number)
    assert_true(found)
    assert len(found[-1][1]) == 2000 * LINE
    assert "writing a log failed" in home.node_output()


def configure(home: Home, text: str) -> None:
    os.makedirs(home.data_dir, exist_ok=True)
    Path(home.data_dir, "config.toml").write_text(f"[node]\n{text}\n")


def test_a_log_stays_within_its_budget(home: Home, runtime: str) -> None:
    """The oldest bytes go, offsets never move, who starts below is told, restarts find the rest."""
    budget = 200_000
    configure(home, f"log_max_bytes = {budget}")
    home.start_node(runtime)
    number = start_printer(home)
    follower = Follower(home.socket, number)
    total = len(printer.READY)
    for _ in range(10):
        ask(home, number, 4000)
        total += 4000 * LINE
        printed_to(home, number, total)
        assert os.stat(home.log_path(number)).st_blocks * 512 <= budget * 1.25 + 65536 + 4096
    found, _ = pieces(home, number)
    assert_true(found)
    first = found[0][0]
    assert len(found) == 1
    assert budget <= total - first <= budget * 1.25 + 4096
    log = home.request({"type": "Logs", "id": number})
    assert (log["gap"], log["offset"]) == (first, total)
    middle, _ = pieces(home, number, total - 12_345)
    assert_true(middle)
    assert middle[0][0] == total - 12_345
    tail = home.request({"type": "Logs", "id": number, "tail": 2})
    assert str(tail["data"]).encode() == printer.lines(1, 39_998, 2)

    home.kill_worker()
    assert pieces(home, number) == (found, total)
    ask(home, number, 4000)
    total += 4000 * LINE
    printed_to(home, number, total)
    found, _ = pieces(home, number)
    assert_true(found)
    home.request({"type": "SendInput", "id": number, "data": "ZW5kCg=="})
    follower.join()
    assert len(follower.output) + sum(size for _, size in follower.gaps) == total
    assert home.stop_node() == 0
    home.start_node(runtime)
    assert pieces(home, number) == (found, total)
    assert home.session(number)["output_bytes"] == total


def lasting(home: Home, number: int) -> dict[str, Any]:
    """Return what is known of a finished session for good: not for how long it has been silent."""
    info = home.session(number)
    info.pop("idle_seconds", None)
    return info


def finished_sessions(home: Home, count: int) -> dict[int, bytes]:
    """Run some sessions to their end; return their logs by id."""
    logs = {}
    for n in range(count):
        number = home.launch("/bin/sh", "-c", f"echo session {n}; exit {n}")
        home.wait_finished(number)
        logs[number] = home.log(number)
    return logs


def test_killed_with_the_whole_node_right_after_the_launch(home: Home, runtime: str) -> None:
    """Nothing was synced yet, and nobody is left who knows: it is listed all the same."""
    home.start_node(runtime)
    keeper, worker = home.keeper_pid, home.worker_pid
    number = home.launch("cat", name="here")
    os.kill(worker, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert home.node is not None
    home.node.wait(10)
    wait_until(lambda: not is_alive(worker), 30, "the worker is gone")
    home.start_node(runtime)
    info = home.session(number)
    assert (info["status"], info["end_reason"]) == ("completed (-1)", "lost")
    assert (info["name"], info["prompt"]) == ("here", "cat")
    assert home.launch("true") == number + 1


def test_a_live_session_whose_directory_is_gone_goes_on(home: Home) -> None:
    """The next worker gives it a new log; what was printed before is a gap."""
    home.start_node()
    gone, blocked = home.launch("cat"), home.launch("cat")
    for number in (gone, blocked):
        home.request({"type": "SendInput", "id": number, "data": "b25lCg=="})
        wait_until(lambda number=number: home.log(number).count(b"one") == 2, 30, "an echo")
    shutil.rmtree(Path(home.data_dir, "sessions", str(gone)))
    log = Path(home.data_dir, "sessions", str(blocked), "output.log")
    log.unlink()
    log.mkdir()
    home.kill_worker()
    for number in (gone, blocked):
        assert home.session(number)["status"] == "running"
        home.request({"type": "SendInput", "id": number, "data": "dHdvCg=="})
        wait_until(lambda number=number: home.log(number).count(b"two") == 2, 30, "an echo")


def test_finished_sessions_stay_listed_with_their_logs(home: Home, runtime: str) -> None:
    home.start_node(runtime)
    logs = finished_sessions(home, 3)
    running = home.launch("cat", name="live", tags=["a", "b"])
    before = {number: lasting(home, number) for number in logs}
    assert home.stop_node() == 0
    home.start_node(runtime)
    sessions = {entry["id"]: entry for entry in home.request({"type": "ListSessions"})["sessions"]}
    assert sorted(sessions) == [1, 2, 3, running]
    for number in logs:
        assert lasting(home, number) == before[number]
        answer = home.request({"type": "Logs", "id": number})
        assert answer["data"].encode() == logs[number]
    stopped = sessions[running]
    # The node had a bare SIGTERM, as at a reboot: its sessions can be restored.
    assert (stopped["status"], stopped["end_reason"]) == ("completed (-1)", "lost")
    assert (stopped["name"], stopped["tags"]) == ("live", ["a", "b"])
    assert home.launch("true", name="live") == running + 1


def test_sessions_lost_with_the_whole_node(home: Home, runtime: str) -> None:
    """Keeper and worker killed at once: nobody is left to know how it ended, and nobody says so."""
    home.start_node(runtime)
    known = home.launch("/bin/sh", "-c", "exit 4")
    home.wait_finished(known)
    lost = home.launch("/bin/sh", "-c", "echo before; exec cat")
    wait_until(lambda: home.log(lost) == b"before\r\n", 30, "it has printed")
    path = Path(home.data_dir, "sessions.json")
    wait_until(lambda: path.exists() and len(json.loads(path.read_text())) == 2, 30, "it is saved")
    keeper, worker, pid = home.keeper_pid, home.worker_pid, home.session(lost)["pid"]
    # Stopped first: else the worker would start a keeper, or the keeper a worker.
    for target, number in [(worker, signal.SIGSTOP), (keeper, signal.SIGKILL)]:
        os.kill(target, number)
    os.kill(worker, signal.SIGKILL)
    assert home.node is not None
    home.node.wait(10)
    wait_until(lambda: not is_alive(pid), 30, "the terminal hung up")
    home.start_node(runtime)
    info = home.session(lost)
    assert (info["status"], info["end_reason"]) == ("completed (-1)", "lost")
    assert "exit_code" not in info
    assert info["completed_at"]
    assert home.session(known)["exit_code"] == 4
    answer = home.request({"type": "Logs", "id": lost, "follow": True})
    assert answer["data"] == "before\r\n"
    assert home.launch("true") == lost + 1


def test_only_the_last_finished_sessions_are_kept(home: Home, runtime: str) -> None:
    configure(home, "keep_finished = 3")
    home.start_node(runtime)
    oldest = home.launch("cat")
    finished = finished_sessions(home, 8)
    kept = [oldest, *list(finished)[-3:]]

    def listed() -> list[int]:
        return [entry["id"] for entry in home.request({"type": "ListSessions"})["sessions"]]

    wait_until(lambda: listed() == kept, 30, f"{kept} are kept")
    directory = Path(home.data_dir, "sessions")
    wait_until(lambda: sorted(int(p.name) for p in directory.iterdir()) == kept, 30, "files too")
    assert home.request({"type": "GetStatus", "id": 2})["message"] == "session 2 not found"
    assert home.session(oldest)["status"] == "running"
    assert home.stop_node() == 0
    home.start_node(runtime)
    assert home.launch("true") == 10, "ids are not used again"
    home.wait_finished(10)
    wait_until(lambda: len(listed()) == 3, 30, "three finished ones")


def test_a_launch_on_a_full_disk_is_all_or_nothing(small_disk: Home) -> None:
    """Whatever the answer, the list, the directories and the processes agree with it."""
    home = small_disk
    file = fill(home)
    assert shutil.disk_usage(home.data_dir).free < 4096
    answer = home.request({"type": "Launch", "command": ["cat"], "working_dir": "/", "name": "n"})
    listed = home.request({"type": "ListSessions"})["sessions"]
    if answer["type"] == "Launched":
        assert [session["status"] for session in listed] == ["running"]
    else:
        assert "no space left" in answer["message"]
        assert listed == []
    file.unlink()
    number = home.launch("/bin/sh", "-c", "echo hello")
    home.wait_finished(number)
    assert home.log(number) == b"hello\r\n"
    path = Path(home.data_dir, "sessions.json")
    wait_until(lambda: path.exists() and "completed (0)" in path.read_text(), 30, "it is saved")


def test_a_node_that_cannot_start_on_a_full_disk_is_not_announced(small_disk: Home) -> None:
    home = small_disk
    home.stop_node()
    file = fill(home)
    result = home.cw("list")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: node failed to start: "), result.stderr
    assert not Path(home.data_dir, "codewire.sock").exists()
    file.unlink()
    home.start_node()
