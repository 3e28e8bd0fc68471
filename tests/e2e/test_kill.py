"""Kills and stops: exactly the session's processes, and the truth about them; stopped leaders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import end_processes
from tests.support import CW, Home, is_alive, wait_until

# A /dev/pts of its own, as containers and sandboxes have: its terminals count from 0.
OWN_TERMINALS = (
    "mount -t devpts -o newinstance,ptmxmode=0666,mode=0600 devpts /dev/pts && "
    'mount --bind /dev/pts/ptmx /dev/ptmx && exec "$@"'
)
# Its parent ends at once, and it leads a Unix session of its own.
DAEMON = "setsid sh -c 'echo $$ > daemon; exec sleep 1000' </dev/null >/dev/null 2>&1"


def start_with_own_terminals(home: Home) -> None:
    """Start a node as Home.start_node does, in a mount namespace with its own /dev/pts."""
    unshare = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]
    with open(home.node_stderr, "ab") as stderr:
        home.node = subprocess.Popen(
            [*unshare, "sh", "-c", OWN_TERMINALS, "sh", *CW, "node"],
            env=home.env,
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    wait_until(home._node_answers, 60, "the node answers")


def on_terminal(home: Home) -> int:
    """Start a session that stays, and return its id once its log names its terminal."""
    number = home.launch("sh", "-c", "tty; exec cat")
    wait_until(lambda: home.log(number).endswith(b"\r\n"), 20, "it names its terminal")
    return number


@pytest.fixture
def neighbour() -> Iterator[Home]:
    home = Home()
    yield home
    home.close()


def test_what_starts_during_a_kill_is_left_alone(home: Home) -> None:
    """It gets the terminals' numbers of what has just been killed."""
    os.makedirs(home.data_dir, exist_ok=True)
    Path(home.data_dir, "config.toml").write_text("[node]\ngrace_seconds = 1\n")
    start_with_own_terminals(home)
    quick = [home.launch("sleep", "600", tags=["old"]) for _ in range(3)]
    slow = home.launch("sh", "-c", "trap '' TERM; echo up; exec sleep 600", tags=["old"])
    wait_until(lambda: b"up" in home.log(slow), 20, "it ignores SIGTERM")
    killing = home.popen("kill", "--tag", "old")
    for number in quick:
        home.wait_finished(number)
    new = [home.launch("sleep", "600") for _ in quick]
    killing.communicate(timeout=30)
    assert home.session(slow)["status"] == "killed"
    assert [home.session(number)["status"] for number in new] == ["running"] * len(new)


def test_nodes_with_equal_terminal_numbers_leave_each_other_alone(
    home: Home, neighbour: Home
) -> None:
    """Each has the same /dev/pts/0, or another number, and not the same terminal."""
    for one in (home, neighbour):
        start_with_own_terminals(one)
    homes = (home, neighbour)
    numbers = [on_terminal(one) for one in homes]
    # A number is given again only once nobody has it open: one of them may be ahead.
    while len(set(names := [homes[n].log(numbers[n]) for n in (0, 1)])) > 1:
        assert max(numbers) < 10, names
        at = names.index(min(names))
        numbers[at] = on_terminal(homes[at])
    ours, theirs = numbers
    pid = neighbour.session(theirs)["pid"]
    assert home.request({"type": "Kill", "id": ours}) == {"type": "Killed", "id": ours}
    assert home.session(ours)["status"] == "killed"
    assert is_alive(pid) and neighbour.session(theirs)["status"] == "running"
    on_terminal(home)
    assert home.stop_node() == 0
    assert is_alive(pid) and neighbour.session(theirs)["status"] == "running"


def daemon_pid(home: Home) -> int:
    """Return the pid of the daemon a session starts, once it is what it will be."""
    path = Path(home.path, "daemon")
    pid = int(str(wait_until(lambda: path.exists() and path.read_text().strip(), 30)))
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", 30, "it sleeps")
    path.unlink()
    return pid


def test_a_daemon_is_named_and_ended_with_tree_only(node: Home) -> None:
    number = node.launch("sh", "-c", f"({DAEMON} &); sleep 1000")
    pid = daemon_pid(node)
    done = node.cw("kill", str(number))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Killed session {number}; still alive: {pid} (sleep)",
        "[cw] daemons are ended with 'cw kill --tree' only",
    ]
    assert node.session(number)["status"] == "killed"
    assert is_alive(pid)
    again = node.cw("kill", str(number))
    assert (again.returncode, is_alive(pid)) == (0, True)
    tree = node.cw("kill", "--tree", str(number))
    ended = f"Session {number} has already finished; daemons it had left are ended\n"
    assert (tree.returncode, tree.stderr) == (0, ended)
    assert not is_alive(pid)


def test_a_daemon_that_cleared_its_environment_is_known_by_its_parent(node: Home) -> None:
    """Orphans of a session fall to the keeper; its output goes to the session's terminal."""
    command = "(env -i setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); sleep 1000"
    number = node.launch("sh", "-c", command)
    pid = daemon_pid(node)
    try:
        answer = node.request({"type": "Kill", "id": number})
        assert answer["survivors"] == [
            {"session_id": number, "pid": pid, "command": "sleep", "daemon": True}
        ]
    finally:
        end_processes([pid])


@pytest.mark.smoke
def test_kills_of_many_name_survivors_too(home: Home) -> None:
    home.start_node()
    commands = (("--all",), ("--tag", "worker"), ("--all", "--tree"))
    for options in commands:
        number = home.launch("sh", "-c", f"({DAEMON} &); sleep 1000", tags=["worker"])
        pid = daemon_pid(home)
        done = home.cw("kill", *options, "--json")
        said = json.loads(done.stdout)
        assert said["count"] == 1
        if "--tree" in options:
            assert (done.returncode, said["survivors"], is_alive(pid)) == (0, [], False)
        else:
            assert [item["pid"] for item in said["survivors"]] == [pid]
            assert [item["session_id"] for item in said["survivors"]] == [number]
            assert (done.returncode, is_alive(pid)) == (1, True)
            end_processes([pid])


def test_stop_names_what_it_leaves(home: Home) -> None:
    home.start_node()
    number = home.launch("sh", "-c", f"({DAEMON} &); sleep 1000")
    pid = daemon_pid(home)
    try:
        done = home.cw("stop")
        assert f"session {number}; still alive: {pid} (sleep)" in done.stderr
        assert done.returncode == 0, "node and sessions are gone"
        assert not os.path.exists(os.path.join(home.data_dir, "left.json"))
    finally:
        end_processes([pid])


def test_a_node_started_in_a_session_lives_on(home: Home) -> None:
    home.start_node()
    inner = os.path.join(home.path, "inner")
    start = " ".join(CW) + " start && echo started && exec cat"
    number = home.launch("sh", "-c", start, env=[f"CODEWIRE_DIR={inner}"])
    wait_until(lambda: b"\nstarted" in home.log(number), 30, "the inner node runs")
    keeper = int(Path(inner, "codewire.pid").read_text())
    try:
        answer = home.request({"type": "Kill", "id": number, "tree": True})
        assert answer == {"type": "Killed", "id": number, "tree": True}
        assert is_alive(keeper)
    finally:
        end_processes([keeper], signal.SIGTERM)
        wait_until(lambda: not is_alive(keeper), 20, "the inner node stops")


STOPS_ITSELF = "kill -STOP $$; echo on; read line; kill -STOP $$; exec cat"


def halts_of(home: Home, number: int) -> list[str]:
    """Return the types of the events that tell of stops."""
    path = Path(home.log_path(number)).with_name("events.jsonl")
    kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    return [kind for kind in kinds if kind.endswith(("stopped", "continued"))]


def is_stopped(home: Home, number: int) -> bool:
    info = home.session(number)
    assert info["status"] == "running", "the word that clients know"
    return bool(info.get("state") == "stopped")


def test_a_leader_that_stops_itself_is_shown_and_continued(node: Home) -> None:
    number = node.launch("sh", "-c", STOPS_ITSELF)
    wait_until(lambda: is_stopped(node, number), 30, "it is stopped")
    assert " stopped " in node.cw("list").stdout
    assert "Status:      stopped" in node.cw("status", str(number)).stdout
    wait_until(lambda: halts_of(node, number) == ["session.stopped"], 30, "it is told")
    node.kill_worker()
    assert is_stopped(node, number), "the next worker knows"
    with node.connect() as attached:
        answer = attached.request({"type": "Attach", "id": number})
        assert (answer["type"], answer["continued"]) == ("Attached", True)
        attached.read_output_until(b"on\r\n")
        assert not is_stopped(node, number)
        wait_until(lambda: len(halts_of(node, number)) == 2, 30, "that is told, too")
        attached.send_data(b"\n")
        wait_until(lambda: is_stopped(node, number), 30, "it is stopped again")
    sent = node.cw("send", str(number), "hello")
    assert sent.stderr.splitlines() == [
        f"[cw] session {number} was stopped; continued",
        f"Sent 6 bytes to session {number}",
        "typed, not confirmed",
    ]
    # Once the terminal's echo, once what the program reads.
    wait_until(lambda: node.log(number).count(b"hello\r\n") == 2, 30, "it reads on")
    assert not is_stopped(node, number)
    assert "continued" not in node.request({"type": "SendInput", "id": number, "data": "Cg=="})
    told = ["session.stopped", "session.continued"] * 2
    wait_until(lambda: halts_of(node, number) == told, 30, "all of it is told")
    node.request({"type": "Kill", "id": number})
    assert halts_of(node, number) == told


def test_a_new_keeper_cannot_be_told_but_looks(home: Home) -> None:
    """Sessions are no children of a keeper that took over."""
    home.expects_leftovers = True
    home.start_node()
    number = home.launch("sh", "-c", STOPS_ITSELF)
    wait_until(lambda: is_stopped(home, number), 30, "it is stopped")
    keeper = home.keeper_pid
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: home.keeper_pid != keeper, 20, "another keeper has taken over")
    assert is_stopped(home, number)
    assert home.request({"type": "SendInput", "id": number, "data": "Cg=="})["continued"]
    wait_until(lambda: is_stopped(home, number), 30, "it has gone on to its second stop")
    assert b"on\r\n" in home.log(number)
    assert home.request({"type": "Kill", "id": number}) == {"type": "Killed", "id": number}
