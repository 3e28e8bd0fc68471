"""Sessions that end in every way there is: at once, not at all, with children left, unstarted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.processes import command_line, end_processes
from tests.support import Home, is_alive, wait_until

INSTANT_SESSIONS = 500


def start_with_grace(home: Home, runtime: str, seconds: float) -> None:
    """Start a node whose ladder waits so long before SIGKILL."""
    os.mkdir(home.data_dir)
    Path(home.data_dir, "config.toml").write_text(f"[node]\ngrace_seconds = {seconds}\n")
    home.start_node(runtime)


@pytest.fixture
def quick(home: Home, runtime: str) -> Home:
    """A node whose ladder waits half a second before SIGKILL."""
    start_with_grace(home, runtime, 0.5)
    return home


def pid_in(home: Home, name: str) -> int:
    """Return the pid that a session writes to a file of its directory."""
    path = Path(home.path, name)
    text = wait_until(lambda: path.exists() and path.read_text().strip(), 30, f"{name} is written")
    return int(str(text))


@pytest.mark.timeout(400)
def test_sessions_that_end_as_they_start(node: Home) -> None:
    """All output, the right code, the notice last: to whoever attaches or watches at once."""
    for number in range(1, INSTANT_SESSIONS + 1):
        code = number % 256
        assert node.launch("/bin/sh", "-c", f"echo out {number}; exit {code}") == number
        with node.connect() as attached, node.connect() as watching:
            attached.send_control({"type": "Attach", "id": number, "from_offset": 0})
            watching.send_control({"type": "WatchSession", "id": number})
            output, messages = attached.read_stream()
            assert output == f"out {number}\r\n".encode(), number
            assert [message["type"] for message in messages] == ["Attached", "Error"], messages
            assert messages[-1]["message"] == f"session completed ({code})"
            _, updates = watching.read_stream()
        assert "".join(update.get("output", "") for update in updates) == f"out {number}\r\n"
        assert [update["done"] for update in updates].index(True) == len(updates) - 1
        assert updates[-1]["status"] == f"completed ({code})"
        info = node.session(number)
        assert (info["exit_code"], info["end_reason"]) == (code, "exited")


def test_a_grandchild_may_keep_the_terminal(node: Home) -> None:
    """The session ends with its leader; what comes later is logged, also by the next worker."""
    late = "while [ ! -e go ]; do sleep 0.02; done; echo late; "
    last = "while [ ! -e on ]; do sleep 0.02; done; echo last"
    started = "while [ ! -e pid ]; do sleep 0.02; done; echo early; exit 3"
    number = node.launch("/bin/sh", "-c", f"setsid sh -c 'echo $$ > pid; {late}{last}' & {started}")
    info = node.wait_finished(number)
    assert info["exit_code"] == 3
    grandchild = pid_in(node, "pid")
    assert is_alive(grandchild)
    assert node.log(number) == b"early\r\n"
    Path(node.path, "go").touch()
    wait_until(lambda: node.log(number) == b"early\r\nlate\r\n", 30, "the late line is logged")
    node.kill_worker()
    Path(node.path, "on").touch()
    wait_until(lambda: node.log(number).endswith(b"late\r\nlast\r\n"), 30, "the last one is too")
    wait_until(lambda: not is_alive(grandchild), 30, "the grandchild ends")
    assert node.session(number)["status"] == "completed (3)"
    answer = node.request({"type": "Logs", "id": number})
    assert answer["data"] == "early\r\nlate\r\nlast\r\n"
    wait_until(lambda: masters(node) == 0, 30, "its terminal is closed")


def masters(home: Home) -> int:
    """Return how many PTY masters worker and keeper hold."""
    count = 0
    for pid in (home.worker_pid, home.keeper_pid):
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                count += "ptmx" in os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
    return count


def test_sigterm_ignored(quick: Home) -> None:
    number = quick.launch(
        "/bin/sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 9; done"
    )
    wait_until(lambda: quick.log(number) == b"ready\r\n", 30, "the trap is set")
    pid = quick.session(number)["pid"]
    started = time.monotonic()
    assert quick.request({"type": "Kill", "id": number}) == {"type": "Killed", "id": number}
    assert 0.5 <= time.monotonic() - started < 4
    assert not is_alive(pid)
    info = quick.session(number)
    assert (info["status"], info["end_reason"], info["signal"]) == ("killed", "killed", 9)


def test_sigterm_handled(node: Home) -> None:
    """A program that cleans up gets the time for it, and its code is kept."""
    script = "trap 'echo bye; exit 12' TERM; echo ready; while :; do sleep 0.05; done"
    number = node.launch("/bin/sh", "-c", script)
    wait_until(lambda: node.log(number) == b"ready\r\n", 30, "the trap is set")
    with node.connect() as attached:
        assert attached.request({"type": "Attach", "id": number})["type"] == "Attached"
        assert "survivors" not in node.request({"type": "Kill", "id": number})
        output, messages = attached.read_stream()
    assert output.endswith(b"bye\r\n")
    assert messages[-1] == {"type": "Error", "message": "session killed"}
    info = node.session(number)
    assert (info["status"], info["exit_code"], info["end_reason"]) == ("killed", 12, "killed")


def test_an_interactive_shell_is_killed_fast(home: Home, runtime: str) -> None:
    """It ignores SIGTERM by design; the grace time (longer here than we wait) is not for it."""
    start_with_grace(home, runtime, 60)
    number = home.launch("/bin/bash", "--norc", "-i")
    with home.connect() as attached:
        attached.send_control({"type": "Attach", "id": number})
        attached.send_data(b"sleep 1000 &\necho started-$((1 + 1))\n")
        attached.read_output_until(b"started-2\r\n")
    assert home.request({"type": "Kill", "id": number}) == {"type": "Killed", "id": number}
    assert not session_processes(home)


def session_processes(home: Home) -> list[int]:
    """Return the live processes of the home that are neither keeper nor worker."""
    return [pid for pid in home.processes() if pid not in (home.keeper_pid, home.worker_pid)]


def test_a_kill_ends_the_whole_tree(quick: Home) -> None:
    """Background jobs, other process groups, other Unix sessions, whoever ignores SIGTERM."""
    tree = """
        setsid sh -c 'setsid sleep 1001 & sleep 1002' &
        setsid sh -c 'trap "" TERM HUP; while :; do sleep 1003; done' &
        sh -c 'sleep 1004' &
        nohup sleep 1005 >/dev/null 2>&1 &
        echo ready; wait
    """
    number = quick.launch("/bin/bash", "-c", tree)
    other = quick.launch("/bin/sh", "-c", "setsid sleep 1006 & wait")
    wait_until(lambda: sleepers(quick) == list(range(1001, 1007)), 30, "the trees have grown")
    assert quick.request({"type": "Kill", "id": number}) == {"type": "Killed", "id": number}
    assert sleepers(quick) == [1006], "only the other session is left"
    assert len(session_processes(quick)) == 2
    assert quick.session(other)["status"] == "running"


def sleepers(home: Home) -> list[int]:
    """Return for how many seconds those that are `sleep` by now want to, in order."""
    words = [command_line(pid).split() for pid in session_processes(home)]
    return sorted(int(argv[1]) for argv in words if argv[:1] == ["sleep"])


def test_killing_a_finished_session_signals_nobody(node: Home) -> None:
    started = "while [ ! -e pid ]; do sleep 0.02; done"
    number = node.launch(
        "/bin/sh", "-c", f"setsid sh -c 'echo $$ > pid; exec sleep 1000' & {started}"
    )
    node.wait_finished(number)
    grandchild = pid_in(node, "pid")
    answer = node.request({"type": "Kill", "id": number})
    assert answer == {"type": "Killed", "id": number, "finished": True}
    assert is_alive(grandchild)
    assert node.session(number)["status"] == "completed (0)"
    assert node.request({"type": "KillAll"}) == {"type": "KilledAll", "count": 0}
    assert is_alive(grandchild)
    end_processes([grandchild])


def test_kill_all_climbs_one_ladder_for_all(home: Home, runtime: str) -> None:
    """Thirty sessions, ten of them stubborn: two seconds of grace, not ten times that."""
    start_with_grace(home, runtime, 2)
    stubborn = "trap '' TERM HUP; echo ready; while :; do sleep 9; done"
    numbers = [
        home.launch("/bin/sh", "-c", stubborn if number % 3 == 0 else "echo ready; exec cat")
        for number in range(30)
    ]
    for number in numbers:
        wait_until(lambda number=number: home.log(number) == b"ready\r\n", 30, "all are ready")
    started = time.monotonic()
    assert home.request({"type": "KillAll"}) == {"type": "KilledAll", "count": 30}
    assert time.monotonic() - started < 15
    assert {home.session(number)["status"] for number in numbers} == {"killed"}
    assert not session_processes(home)


def test_launches_that_fail_leave_no_trace(node: Home) -> None:
    """Each is told why; no session, no directory, no id, no name and no process is left."""
    directory = Path(node.path, "here")
    directory.mkdir()
    (directory / "not-executable").write_text("#!/bin/sh\n")
    bad = directory / "bad-interpreter"
    bad.write_text("#!/no/such/interpreter\n")
    bad.chmod(0o755)
    noise = directory / "noise"
    noise.write_bytes(b"\x7fELF\0\0\0")
    noise.chmod(0o755)
    first = node.launch("cat", name="taken")
    before = sorted(os.listdir(os.path.join(node.data_dir, "sessions")))
    cases = [
        (["no-such-program"], {}, 'command "no-such-program" not found in PATH'),
        (["/no/such/file"], {}, 'command "/no/such/file" does not exist'),
        ([str(directory / "not-executable")], {}, "permission denied"),
        ([str(bad)], {}, "no such file or directory"),
        ([str(noise)], {}, "exec format error"),
        ([str(directory)], {}, "permission denied"),
        (["cat"], {"working_dir": "/no/such/place"}, "does not exist"),
        (["cat"], {"working_dir": "/etc/passwd"}, "is not a directory"),
        (["cat"], {"name": "taken"}, f'name "taken" already in use by session {first}'),
        (["cat"], {"name": "-bad"}, 'invalid name "-bad"'),
        ([], {}, "command must not be empty"),
        (["ca\0t"], {}, "NUL"),
        (["cat", "x" * (1 << 20)], {}, "argument list too long"),
    ]
    for command, fields, words in cases:
        request = {"type": "Launch", "working_dir": node.path, "command": command, **fields}
        if "name" not in fields:
            request["name"] = "free"
        answer = node.request(request)
        assert answer["type"] == "Error", (command, answer)
        assert words in answer["message"], (command, answer)
    sessions = node.request({"type": "ListSessions"})["sessions"]
    assert [session["id"] for session in sessions] == [first]
    assert sorted(os.listdir(os.path.join(node.data_dir, "sessions"))) == before
    assert len(session_processes(node)) == 1
    assert node.launch("cat", name="free") == first + 1
    # The keeper closes what it sent a little after the worker has it.
    wait_until(lambda: masters(node) == 4, 30, "two sessions, each held by worker and keeper")
