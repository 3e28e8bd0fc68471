"""Something is wrong with the machine, and a process dies: no session is lost, nothing lies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from codewire.io.unix import answering_peer
from tests.support import CW, REPOSITORY, Home, is_alive, wait_until

# A machine that is well again has its node within this.
WELL_SECONDS = 5.0


class OwnInterpreter:
    """A Python of this home's own, without packages, which can be moved away for a moment."""

    def __init__(self, home: Home) -> None:
        self.home = home
        base = os.path.realpath(sys.executable)
        self.path = Path(home.path, "venv", "bin", "python")
        self.path.parent.mkdir(parents=True)
        self.path.symlink_to(base)
        Path(home.path, "venv", "pyvenv.cfg").write_text(f"home = {os.path.dirname(base)}\n")

    def start_node(self, **environment: str) -> None:
        with open(self.home.node_stderr, "ab") as stderr:
            self.home.node = subprocess.Popen(
                # What `cw node` becomes, once it has read its arguments (with a package).
                [str(self.path), str(REPOSITORY / "cw.py"), "keeper", "--foreground"],
                env={**self.home.env, **environment},
                cwd=self.home.path,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        wait_until(lambda: listens(self.home), 20, "the node listens")

    def away(self) -> None:
        self.path.rename(f"{self.path}.away")

    def back(self) -> None:
        Path(f"{self.path}.away").rename(self.path)


def popen_shell(home: Home, script: str, *args: str) -> subprocess.Popen[bytes]:
    """Start `cw args` as "$@" of a shell script; it is ended with the home."""
    return home.popen(
        *args,
        argv=["/bin/sh", "-c", script, "sh", *CW, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def listens(home: Home) -> bool:
    """Say whether there is somebody at the socket: it is there a moment before that."""
    try:
        home.connect().close()
    except OSError:
        return False
    return True


def answers(home: Home) -> bool:
    """Say whether a worker serves; whatever else answers must do so soon."""
    try:
        return bool(home.request({"type": "ListSessions"})["type"] == "SessionList")
    except (OSError, AssertionError):
        return False


def test_the_interpreter_is_away_while_processes_die(home: Home) -> None:
    """First the worker, then the keeper: neither can start the other, and both try on."""
    home.expects_leftovers = True  # the node we started is not its last keeper
    interpreter = OwnInterpreter(home)
    interpreter.start_node(CW_RUNTIME="threads")
    wait_until(lambda: answers(home), 20, "the node answers")
    number = home.launch("/bin/sh", "-c", "read line; echo got $line; exit 7")
    pid = home.session(number)["pid"]

    interpreter.away()
    home.kill_worker()
    answer = home.request({"type": "ListSessions"})
    assert (answer["type"], answer.get("code")) == ("Error", "no_worker")
    assert "no such file" in answer["message"]
    for words in (("node", "status"), ("list",), ("wait", str(number), "--timeout", "2")):
        done = home.cw(*words)
        assert done.returncode and "no such file" in done.stderr, (words, done)
    interpreter.back()
    wait_until(lambda: answers(home), WELL_SECONDS, "the node is back")
    assert is_alive(pid)

    interpreter.away()
    keeper = home.keeper_pid
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: "a new keeper cannot be started" in home.node_output(), 30, "it fails")
    assert home.session(number)["status"] == "running"
    interpreter.back()
    short = wait_until(lambda: launched(home), WELL_SECONDS, "sessions can be launched again")
    assert home.wait_finished(int(short))["exit_code"] == 3
    new = home.keeper_pid
    assert new != keeper
    wait_until(lambda: answering_peer(home.socket) == (new, os.getuid()), 30, "it is the peer")
    home.request({"type": "SendInput", "id": number, "data": "eAo="})
    assert home.wait_finished(number)["end_reason"] == "lost"
    assert home.log(number).endswith(b"got x\r\n")
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not is_alive(new), 20, "it stops")
    assert not os.path.lexists(home.socket)


def launched(home: Home) -> int:
    request = {"type": "Launch", "command": ["/bin/sh", "-c", "exit 3"], "working_dir": home.path}
    return int(home.request(request).get("id", 0))


def test_keepers_die_one_after_the_other(node: Home) -> None:
    """What a successor started does not hide its end from the worker."""
    node.expects_leftovers = True
    pids = []
    for turn in range(3):
        number = node.launch("cat")
        pids.append(node.session(number)["pid"])
        keeper = node.keeper_pid
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda old=keeper: node.keeper_pid != old, 30, f"keeper {turn + 2} is there")
        short = node.launch("/bin/sh", "-c", "exit 3")
        assert node.wait_finished(short)["exit_code"] == 3
    assert all(map(is_alive, pids))


def test_a_pid_file_is_not_worth_a_session(home: Home) -> None:
    """A successor cannot write it, and says so; it is written once that is possible."""
    home.expects_leftovers = True
    home.start_node("threads")
    number = home.launch("cat")
    pid, keeper = home.session(number)["pid"], home.keeper_pid
    pid_file = Path(home.data_dir, "codewire.pid")
    pid_file.unlink()
    pid_file.mkdir()
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: home.keeper_pid != keeper, 30, "there is another keeper")
    wait_until(lambda: "pid file of the node" in home.node_output(), 30, "it says so")
    assert home.wait_finished(home.launch("true"))["exit_code"] == 0
    assert is_alive(pid)
    pid_file.rmdir()
    os.kill(home.keeper_pid, signal.SIGUSR1)
    wait_until(lambda: pid_file.exists(), 30, "it is written")
    assert int(pid_file.read_text()) == home.keeper_pid


def test_a_runtime_that_is_not_there_is_named(home: Home) -> None:
    """CW_RUNTIME=gevent on a Python without gevent: no silence, and the node goes on trying."""
    home.expects_tracebacks = True
    OwnInterpreter(home).start_node(CW_RUNTIME="gevent")
    answer = home.request({"type": "ListSessions"})
    assert answer["type"] == "Error"
    assert "CW_RUNTIME=gevent" in answer["message"]
    assert home.stop_node() == 0


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.smoke
def test_a_node_started_without_standard_descriptors(home: Home, closed: str) -> None:
    """Its files get none of those numbers, a dying worker hurts nobody, and a stop is one."""
    home.node = popen_shell(home, f'exec "$@" {closed}', "node")
    wait_until(lambda: os.path.exists(home.socket) and answers(home), 20, "the node answers")
    number = home.launch("cat")
    pid = home.session(number)["pid"]
    for process in (home.keeper_pid, home.worker_pid):
        assert [os.readlink(f"/proc/{process}/fd/{fd}") for fd in range(3)].count("/dev/null") >= (
            closed.count("&-")
        )
    home.kill_worker()
    wait_until(lambda: answers(home), 20, "another worker serves")
    assert is_alive(pid)
    assert home.stop_node() == 0
    assert not is_alive(pid)


def test_a_node_whose_output_nobody_reads(home: Home) -> None:
    """`cw node 2>&1 | head -1`: every later word meets a broken pipe."""
    reader, writer = os.pipe()
    home.node = home.popen("node", stdout=writer, stderr=writer, start_new_session=True)
    os.close(writer)
    os.close(reader)
    wait_until(lambda: os.path.exists(home.socket) and answers(home), 20, "the node answers")
    pid = home.session(home.launch("cat"))["pid"]
    home.kill_worker()
    wait_until(lambda: answers(home), 20, "another worker serves")
    assert is_alive(pid)
    assert home.stop_node() == 0
    assert not is_alive(pid)


def test_a_launch_without_standard_descriptors_starts_a_node(home: Home) -> None:
    done = popen_shell(home, 'exec "$@" <&- 2>&-', "launch", "--", "cat")
    assert done.wait(30) == 0
    keeper, worker = home.keeper_pid, home.worker_pid
    for process in (keeper, worker):
        links = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in range(3)]
        assert all(link == "/dev/null" or link.endswith("node.log") for link in links), links
    pid = home.session(1)["pid"]
    assert home.cw("stop").returncode == 0
    wait_until(lambda: not any(map(is_alive, (keeper, worker, pid))), 30, "all have ended")


def test_a_node_in_the_foreground_takes_over_nothing(home: Home) -> None:
    os.mkdir(home.data_dir)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(home.socket)
        foreign.listen()
        done = home.cw("node")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {home.socket} belongs to another program (pid ")
        assert done.stderr.count("\n") == 1
        assert answering_peer(home.socket) is not None
    assert os.listdir(home.data_dir) == ["codewire.sock"]


def test_socket_and_pid_file_come_back(node: Home) -> None:
    """A cleaner removed them. The same worker serves at the new socket."""
    worker, keeper = node.worker_pid, node.keeper_pid
    number = node.launch("cat")
    pid_file = Path(node.data_dir, "codewire.pid")
    os.unlink(node.socket)
    pid_file.unlink()
    wait_until(lambda: os.path.exists(node.socket) and answers(node), 30, "it is bound anew")
    assert (node.worker_pid, node.keeper_pid) == (worker, keeper)
    assert node.session(number)["status"] == "running"
    wait_until(lambda: pid_file.exists() and pid_file.read_text() == str(keeper), 30, "its pid")
    # The next worker gets the new socket, too.
    node.kill_worker()
    assert answers(node)
