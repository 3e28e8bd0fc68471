"""Starting a node where something is wrong: its worker, its socket, its log, the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.io.stand import Stand
from tests.processes import is_alive
from tests.support import REPOSITORY

# What a keeper says while it has no worker; `{count}` is how often.
NO_WORKER_NODE = """
import os, socket
root = os.environ["CODEWIRE_DIR"]
with open(root + "/starts", "a") as file:
    file.write(f"{os.getpid()}\\n")
print("2026/04/03 12:00:00 INFO hello", flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(root + "/codewire.sock")
listener.listen(64)
count = 0
while True:
    connection, _ = listener.accept()
    if not connection.recv(4096):
        continue
    count += 1
    answer = b'{"type":"SessionList","sessions":[]}'
    if count <= COUNT:
        answer = b'{"type":"Error","code":"no_worker","message":"the worker cannot start: x"}'
        LAST
    connection.sendall(bytes(5)[:1] + len(answer).to_bytes(4, "big") + answer)
    connection.close()
"""

# A keeper whose socket is gone: told by SIGUSR1, it makes another.
BEREFT_KEEPER = """
import fcntl, os, signal, socket, sys
root = sys.argv[1]
lock = open(root + "/codewire.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signal.signal(signal.SIGUSR1, lambda *_: None)
print(flush=True)
signal.sigwait([signal.SIGUSR1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(root + "/codewire.sock")
listener.listen(64)
answer = b'{"type":"SessionList","sessions":[]}'
while True:
    connection, _ = listener.accept()
    if connection.recv(4096):
        connection.sendall(bytes(5)[:1] + len(answer).to_bytes(4, "big") + answer)
    connection.close()
"""


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


@pytest.mark.parametrize("seconds", [0, 4])
def test_a_node_that_lost_its_socket_is_told_to_make_another(stand: Stand, seconds: int) -> None:
    """However long the one that was started takes to find that there is a node."""
    os.mkdir(stand.root, 0o700)
    says = "sys.exit('Error: node already running (pid 7)')"
    stand.write_node(f"import sys, time; time.sleep({seconds}); {says}")
    keeper = subprocess.Popen(
        [sys.executable, "-c", BEREFT_KEEPER, stand.root, "keeper", "--foreground"],
        stdout=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None and keeper.stdout.readline()
        assert stand.run(socket="3.5" if seconds else "50") == (0, "[]\n", "")
    finally:
        keeper.kill()
        keeper.wait(10)
        assert keeper.stdout is not None
        keeper.stdout.close()


def test_a_node_that_lost_its_socket_and_cannot_make_another(stand: Stand) -> None:
    os.mkdir(stand.root, 0o700)
    stand.write_node("import sys; sys.exit('Error: node already running (pid 7)')")
    program = "import sys, time; print(flush=True); time.sleep(600)"
    with open(os.path.join(stand.root, "codewire.lock"), "w") as lock:
        keeper = subprocess.Popen(
            [sys.executable, "-c", program, "keeper", "--foreground"],
            stdout=subprocess.PIPE,
            pass_fds=[lock.fileno()],
        )
    try:
        assert keeper.stdout is not None and keeper.stdout.readline()
        code, _, err = stand.run(socket="1")
        assert (code, err) == (
            1,
            f"Error: a node (pid {keeper.pid}) has this data directory, but its socket is gone; "
            "'cw stop' ends it and its sessions\n",
        )
    finally:
        keeper.kill()
        keeper.wait(10)
        assert keeper.stdout is not None
        keeper.stdout.close()


def test_a_node_whose_worker_takes_its_time_is_waited_for(stand: Stand) -> None:
    """It says that it has no worker yet; what it logged meanwhile is no reason to end it."""
    slow = NO_WORKER_NODE.replace("cannot start: x", "cannot start: it is not ready yet")
    words = "print('2026/04/03 12:00:00 ERROR sessions.json is damaged', flush=True)"
    stand.write_node(slow.replace("COUNT", "3").replace("LAST", words))
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")


def test_a_node_whose_worker_cannot_start_is_quoted_and_ended(stand: Stand) -> None:
    words = "print('ZeroDivisionError: no way', flush=True)"
    stand.write_node(NO_WORKER_NODE.replace("COUNT", "1000").replace("LAST", words))
    code, out, err = stand.run()
    assert (code, out) == (1, "")
    assert err == "Error: node failed to start: ZeroDivisionError: no way\n"
    assert not is_alive(stand.nodes()[0])


def test_a_node_that_says_no_more_is_given_up(stand: Stand) -> None:
    stand.write_node(NO_WORKER_NODE.replace("COUNT", "1000").replace("LAST", "pass"))
    code, _, err = stand.run(patience="0.3")
    assert (code, err) == (1, "Error: node failed to start: the worker cannot start: x\n")
    assert not is_alive(stand.nodes()[0])


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_a_log_that_cannot_be_written_keeps_no_node_from_starting(stand: Stand, kind: str) -> None:
    os.mkdir(stand.root, 0o700)
    path = os.path.join(stand.root, "node.log")
    os.mkdir(path) if kind == "directory" else os.mkfifo(path)
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")


SHORT_OF_DESCRIPTORS = """
import os, sys
from codewire.client.local import spawning
from codewire.client.reach import autostart, scope
from codewire.errors import NodeUnreachable
from codewire.paths import data_dir
import resource
scope.own_scope = lambda environ: []
autostart.self_command = lambda: [sys.executable, "-IS", sys.argv[1]]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
while True:
    try:
        held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        break
failures = 0
while True:
    try:
        autostart.ensure_node(data_dir(), lambda line: print("started", failures > 2))
        break
    except NodeUnreachable as error:
        assert "Too many open files" in str(error) and chr(10) not in str(error), error
        failures += 1
        os.close(held.pop())
"""

SHORT_OF_PROCESSES = """
import os, resource, sys
from codewire.client.local import spawning
from codewire.client.reach import autostart, scope
from codewire.errors import NodeUnreachable
from codewire.paths import data_dir
scope.own_scope = lambda environ: []
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
before = len(os.listdir("/proc/self/fd"))
try:
    autostart.ensure_node(data_dir(), print)
except NodeUnreachable as error:
    print(error, len(os.listdir("/proc/self/fd")) - before)
"""


def test_a_client_short_of_descriptors_says_so(stand: Stand) -> None:
    done = run_python(stand, SHORT_OF_DESCRIPTORS)
    assert (done.stdout, done.stderr) == ("started True\n", "")


def test_a_system_short_of_processes_is_named(stand: Stand) -> None:
    os.chmod(stand.home, 0o777)
    done = run_python(stand, SHORT_OF_PROCESSES)
    words = "node cannot be started: Resource temporarily unavailable 0\n"
    assert (done.stdout, done.stderr) == (words, "")


def run_python(stand: Stand, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, stand.script],
        env={**os.environ, "CODEWIRE_DIR": stand.root, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
