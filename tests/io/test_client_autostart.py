"""Starting a node: once, detached, and with its own words when it fails.

The node is a small stand-in script; who starts it, when and how is the real thing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client.reach import scope
from tests.processes import end_processes, is_alive, wait_until
from tests.support import REPOSITORY

CLIENT = """
import os, sys
from codewire.client import Client
from codewire.client.reach import autostart, scope
from codewire.errors import CodewireError
scope.own_scope = lambda environ: os.environ.get("TEST_SCOPE", "").split()
autostart.self_command = lambda: [sys.executable, "-IS", sys.argv[1]]
autostart.START_SECONDS = float(os.environ.get("TEST_PATIENCE", autostart.START_SECONDS))
try:
    print(Client().list_sessions())
except CodewireError as error:
    print("Error:", error, file=sys.stderr)
    sys.exit(1)
"""

NODE = """
import json, os, socket, sys, time
root = os.environ["CODEWIRE_DIR"]
with open(root + "/starts", "a") as file:
    file.write(f"{os.getpid()}\\n")
facts = {
    "argv": sys.argv[1:], "cwd": os.getcwd(), "sid": os.getsid(0), "pid": os.getpid(),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "stdin": os.readlink("/proc/self/fd/0"), "autostart": os.environ.get("CODEWIRE_AUTOSTART"),
}
with open(root + "/facts", "w") as file:
    json.dump(facts, file)
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


class Stand:
    """A data directory to be, and a script that stands in for `cw node`."""

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="cw-", dir="/tmp")
        self.root = os.path.join(self.home, "data")
        self.script = os.path.join(self.home, "node.py")
        self.write_node(NODE)

    def write_node(self, text: str) -> None:
        Path(self.script).write_text(text)

    def client(self, patience: str = "50", **options: object) -> subprocess.Popen[str]:
        """Start a client that waits so long for a node; "" is as long as a real one does."""
        env = {**os.environ, "CODEWIRE_DIR": self.root, "PYTHONPATH": str(REPOSITORY)}
        if patience:
            env["TEST_PATIENCE"] = patience
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT, self.script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            **options,  # type: ignore[call-overload]
        )

    def run(self, patience: str = "50") -> tuple[int, str, str]:
        client = self.client(patience)
        out, err = client.communicate(timeout=60)
        return client.returncode, out, err

    def read(self, name: str) -> str:
        path = Path(self.root, name)
        return path.read_text() if path.exists() else ""

    def nodes(self) -> list[int]:
        return [int(pid) for pid in self.read("starts").split()]

    def close(self) -> None:
        nodes = [pid for pid in self.nodes() if is_alive(pid)]
        end_processes(nodes, signal.SIGTERM)
        wait_until(lambda: not any(map(is_alive, nodes)))
        shutil.rmtree(self.home)


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def test_a_missing_node_is_started_and_said_so(stand: Stand) -> None:
    code, out, err = stand.run()
    assert (code, out) == (0, "[]\n")
    assert err == f"[cw] node started (pid {stand.nodes()[0]})\n"
    assert stand.run() == (0, "[]\n", "")
    assert len(stand.nodes()) == 1


def test_the_node_is_detached_from_its_client(stand: Stand) -> None:
    import json

    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    client = stand.client(pass_fds=[writer])
    os.close(writer)
    client.communicate(timeout=60)
    facts = json.loads(stand.read("facts"))
    assert facts["argv"] == ["node"]
    assert facts["cwd"] == "/"
    assert facts["stdin"] == "/dev/null"
    assert facts["autostart"] == "1"
    assert facts["sid"] not in (os.getsid(0), client.pid)
    # 0, 1, 2, and the one that was reading /proc/self/fd.
    assert len(facts["fds"]) == 4 and facts["fds"][:3] == [0, 1, 2]
    # The pipe of the client's parent ends with the client, not with the node.
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert os.stat(os.path.join(stand.root, "node.log")).st_mode & 0o777 == 0o600
    assert os.stat(stand.root).st_mode & 0o777 == 0o700


def test_a_node_is_moved_out_of_the_scope_of_a_login(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env` stands in for systemd-run: it becomes the command, too."""
    monkeypatch.setenv("TEST_SCOPE", "env CODEWIRE_AUTOSTART=moved")
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")
    assert '"autostart": "moved"' in stand.read("facts")


def test_a_node_starts_although_no_scope_can_be_had(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SCOPE", "/bin/false")
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")
    assert '"autostart": "1"' in stand.read("facts")


@pytest.mark.parametrize(
    ("cgroup", "missing", "is_moved"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope", "", True),
        ("2:cpu:/\n1:name=systemd:/user.slice/user-0.slice/session-c1.scope", "", True),
        ("0::/user.slice/user-1000.slice/session-3.scope", "linger", False),
        ("0::/user.slice/user-1000.slice/session-3.scope", "private", False),
        ("0::/user.slice/user-1000.slice/session-3.scope", "systemd-run", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", "", False),
        ("0::/system.slice/coder-agent.service", "", False),
    ],
)
def test_which_nodes_need_a_scope_of_their_own(
    tmp_path: Path, cgroup: str, missing: str, is_moved: bool
) -> None:
    """Without lingering such a scope would end soon after the logout; the login's may stay."""
    user = pwd.getpwuid(os.getuid()).pw_name
    for name in (f"var/lib/systemd/linger/{user}", "run/u/systemd/private", "usr/bin/systemd-run"):
        if not missing or missing not in name:
            Path(tmp_path, name).parent.mkdir(parents=True)
            Path(tmp_path, name).touch()
    Path(tmp_path, "proc/self").mkdir(parents=True)
    Path(tmp_path, "proc/self/cgroup").write_text(f"{cgroup}\n")
    prefix = scope.own_scope({"XDG_RUNTIME_DIR": "/run/u"}, str(tmp_path))
    assert (prefix[:3] == ["/usr/bin/systemd-run", "--user", "--scope"]) is is_moved
    assert bool(prefix) is is_moved and scope.own_scope({}, str(tmp_path)) == []


def test_twenty_clients_at_once_start_one_node(stand: Stand) -> None:
    clients = [stand.client() for _ in range(20)]
    results = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0] * 20
    assert [out for out, _ in results] == ["[]\n"] * 20
    assert len(stand.nodes()) == 1
    assert sorted(err for _, err in results)[-1].startswith("[cw] node started (pid ")
    assert sum(bool(err) for _, err in results) == 1


def test_a_node_that_lost_its_socket_is_told_to_make_another(stand: Stand) -> None:
    os.mkdir(stand.root, 0o700)
    stand.write_node("import sys; sys.exit('Error: node already running (pid 7)')")
    keeper = subprocess.Popen(
        [sys.executable, "-c", BEREFT_KEEPER, stand.root, "keeper", "--foreground"],
        stdout=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None and keeper.stdout.readline()
        assert stand.run() == (0, "[]\n", "")
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
        code, _, err = stand.run(patience="1")
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


def test_a_node_that_ends_at_once_is_quoted(stand: Stand) -> None:
    stand.write_node("import sys; print('INFO x'); sys.exit('Error: parsing config.toml: no\\n')")
    code, _, err = stand.run()
    assert code == 1
    assert err == "Error: node failed to start: parsing config.toml: no\n"


def test_only_the_words_of_this_start_are_quoted(stand: Stand) -> None:
    os.mkdir(stand.root, 0o700)
    Path(stand.root, "node.log").write_text("Error: of last week\n")
    stand.write_node("")
    assert stand.run()[2] == (
        "Error: node failed to start: it could not say why; run 'cw node' to see\n"
    )


def test_a_node_that_never_listens_is_given_up(stand: Stand) -> None:
    stand.write_node(
        "import os, time\n"
        "open(os.environ['CODEWIRE_DIR'] + '/starts', 'a').write(f'{os.getpid()}\\n')\n"
        "print('thinking', flush=True)\n"
        "time.sleep(60)\n"
    )
    expected = "Error: node failed to start (socket not available after 5s): thinking\n"
    assert stand.run(patience="")[2] == expected


def test_a_node_whose_worker_takes_its_time_is_waited_for(stand: Stand) -> None:
    """It says that it has no worker yet, but nothing failed."""
    stand.write_node(NO_WORKER_NODE.replace("COUNT", "3").replace("LAST", "pass"))
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


def test_a_data_directory_that_cannot_be_made_is_one_line(stand: Stand) -> None:
    Path(stand.root).write_text("a file where the directory should be")
    code, _, err = stand.run()
    assert code == 1
    assert err.startswith("Error: ") and err.count("\n") == 1 and stand.root in err
    os.unlink(stand.root)
