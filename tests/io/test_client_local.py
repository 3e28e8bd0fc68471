"""Who is at a socket, and who a process is: real sockets and processes, no node."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from codewire.client.local import processes
from codewire.client.local.ending import running_pids
from codewire.client.local.look import NOBODY, NODE, OTHER_NODE, STRANGER, look
from codewire.commands.context import Context
from codewire.commands.system.doctor import node as doctor
from codewire.commands.system.doctor.finding import FAIL, OK, WARN
from codewire.io.peers import peer_pid
from codewire.paths import DataDir
from tests.io.scripted_node import NodeEnd, ScriptedNode
from tests.kernel import PEER, needs_peers
from tests.processes import command_line, wait_until

KEEPER = [sys.executable, "-c", "import time; time.sleep(600)", "keeper", "--foreground"]
WORKER = [sys.executable, "-c", "import time; time.sleep(600)", "worker", "7"]


@pytest.fixture
def paths() -> Iterator[DataDir]:
    directory = tempfile.mkdtemp(prefix="cw-", dir="/tmp")
    yield DataDir(directory)
    shutil.rmtree(directory)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(argv: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, **options))  # type: ignore[call-overload]
        return started[-1]

    yield spawn
    for process in started:
        process.kill()
        process.wait(10)


def answering(message: dict[str, object]) -> Callable[[NodeEnd], None]:
    def handler(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control(message)

    return handler


def hang_up(end: NodeEnd) -> None:
    end.receive_control()


# Who is at the socket


def test_nobody(paths: DataDir) -> None:
    found = look(paths)
    assert (found.kind, found.is_alive, found.serves) == (NOBODY, False, False)
    shutil.rmtree(paths.root)
    assert look(paths).kind == NOBODY
    os.mkdir(paths.root)


def test_a_file_that_is_no_socket(paths: DataDir) -> None:
    with open(paths.socket, "w"):
        pass
    assert look(paths).kind == NOBODY


def test_a_node_says_what_it_is() -> None:
    facts = {"keeper_pid": 2**22 + 1, "worker_pid": 1}
    with ScriptedNode(answering({"type": "NodeStatus", "node": facts})) as node:
        found = look(node.data_dir)
    assert (found.kind, found.serves, found.facts) == (NODE, True, facts)
    assert found.peer == PEER
    # A pid that nobody has here, or that is no keeper's, gets no signal.
    assert found.keeper == 0


def test_a_node_without_a_worker_says_why() -> None:
    answer = {"type": "Error", "code": "no_worker", "message": "the node's worker cannot start: x"}
    with ScriptedNode(answering(answer)) as node:
        found = look(node.data_dir)
    assert (found.kind, found.serves, found.no_worker) == (NODE, False, True)
    assert found.trouble == "the node's worker cannot start: x"


def test_a_node_that_does_not_know_the_question_lists_its_sessions() -> None:
    unknown = answering({"type": "Error", "message": "unknown request type"})
    listed = answering({"type": "SessionList", "sessions": []})
    with ScriptedNode(unknown, listed) as node:
        found = look(node.data_dir)
    assert (found.kind, found.serves, found.peer) == (OTHER_NODE, True, PEER)


@needs_peers
@pytest.mark.parametrize(
    "handlers",
    [
        [hang_up],
        [lambda end: end.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
        [answering({"type": "Pong"})],
        [answering({"type": "Error", "message": "no"}), hang_up],
        [lambda end: end.send_data(b"x")],
    ],
)
def test_strangers(handlers: list[Callable[[NodeEnd], None]]) -> None:
    with ScriptedNode(*handlers) as node:
        found = look(node.data_dir, 2.0)
    assert (found.kind, found.peer, found.is_alive) == (STRANGER, PEER, False)


def test_a_stranger_that_sends_a_byte_now_and_then_gains_no_time() -> None:
    done = threading.Event()

    def drip(end: NodeEnd) -> None:
        while not done.wait(0.05):
            end.send_raw(b"\0")

    with ScriptedNode(drip) as node:
        started = time.monotonic()
        found = look(node.data_dir, 0.4)
        done.set()
    assert found.kind == STRANGER
    assert time.monotonic() - started < 10


def test_a_stranger_that_lets_nobody_in(paths: DataDir) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(paths.socket)
        listener.listen(0)
        waiting = []
        try:
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(paths.socket)
        except BlockingIOError:
            pass
        found = look(paths, 0.2)
        for sock in waiting:
            sock.close()
    assert (found.kind, found.trouble) == (STRANGER, "it lets no client in any more")


@needs_peers
def test_a_backlog_that_is_full_for_a_moment_is_waited_for(paths: DataDir) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(paths.socket)
        listener.listen(0)
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(paths.socket)
        results: list[str] = []
        asking = threading.Thread(target=lambda: results.append(look(paths, 20.0).trouble))
        asking.start()
        asking.join(0.1)
        assert not results
        for sock in (waiting, listener.accept()[0], listener.accept()[0]):
            sock.close()
        # Let in, it is told nothing.
        listener.close()
        asking.join(30)
    assert results == ["it closes the connection without an answer"]


def test_the_listener_of_a_socket_is_known(paths: DataDir) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sock:
        listener.bind(paths.socket)
        listener.listen(1)
        sock.connect(paths.socket)
        assert peer_pid(sock) == PEER
    with socket.socket() as sock:
        assert peer_pid(sock) == 0


def test_a_socket_of_another_user(paths: DataDir) -> None:
    """As root, this has to be somebody else first."""
    program = (
        "import os, sys\n"
        "from codewire.client.local.look import look\n"
        "from codewire.errors import CodewireError\n"
        "from codewire.paths import DataDir\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: print(look(DataDir(sys.argv[1])))\n"
        "except CodewireError as error: print(error)\n"
    )
    owner = os.getuid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(paths.socket)
        listener.listen(1)
        os.chmod(paths.socket, 0)
        os.chmod(paths.root, 0o755)
        done = subprocess.run(
            [sys.executable, "-c", program, paths.root],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout == (
        f"{paths.socket} belongs to another user (uid {owner}): you may not use the node there\n"
    ), done.stderr


# What the doctor makes of it


@pytest.mark.parametrize(
    ("answers", "name", "status", "words"),
    [
        ([{"type": "Error", "code": "no_worker", "message": "cannot: x"}], "worker", FAIL, "x"),
        ([{"type": "Pong"}], "node", FAIL, "no codewire node"),
        ([{"type": "NodeStatus", "node": {"runtime": "threads"}}], "node", OK, "threads"),
        ([{"type": "NodeStatus", "node": {"version": "0"}}], "version", WARN, "node 0"),
        (
            [{"type": "Error", "message": "?"}, {"type": "SessionList", "sessions": []}],
            "node", WARN, "another codewire program",
        ),
    ],
)  # fmt: skip
def test_the_doctor_names_who_is_there(
    answers: list[dict[str, object]],
    name: str,
    status: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CODEWIRE_SERVER", raising=False)
    with ScriptedNode(*map(answering, answers)) as node:
        monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
        findings = {n: (s, d) for n, s, d in doctor.node(Context({}))}
    assert findings[name][0] == status and words in findings[name][1], findings


def test_the_doctor_knows_a_worker_that_dies_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from codewire.wire.timestamps import format_nanos

    monkeypatch.delenv("CODEWIRE_SERVER", raising=False)
    facts = {"worker_restarts": 9, "worker_started_at": format_nanos(time.time_ns())}
    with ScriptedNode(answering({"type": "NodeStatus", "node": facts})) as node:
        monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
        with open(node.data_dir.node_log, "w") as log:
            log.write("MemoryError\n")
        findings = {n: (s, d) for n, s, d in doctor.node(Context({}))}
    assert findings["worker"] == (WARN, "was restarted 9 times, just now again: MemoryError")


def test_the_doctor_knows_a_node_that_does_not_listen_as_it_should(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CODEWIRE_SERVER", raising=False)
    for facts, expected in (({"version": "0"}, True), ({"listen": "127.0.0.1:9"}, False)):
        with ScriptedNode(answering({"type": "NodeStatus", "node": facts})) as node:
            monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
            with open(node.data_dir.config, "w") as file:
                file.write("[node]\nlisten = '127.0.0.1:9'\n")
            names = [name for name, _, _ in doctor.node(Context({}))]
        assert ("listening" in names) is expected


# Who a process is


def test_roles(spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    expected = [(KEEPER, "keeper"), (WORKER, "worker"), ([*KEEPER[:3], "x", "keeper"], "")]
    expected += [([*KEEPER[:3], "keeper", "x"], ""), ([*WORKER[:3], "worker", "x"], "")]
    for argv, role in expected:
        process = spawn(argv, stderr=subprocess.DEVNULL)
        # Amid its exec a process has no command line for a moment.
        wait_until(lambda pid=process.pid: command_line(pid))  # type: ignore[misc]
        assert processes.role_of(process.pid) == role, argv
    assert processes.role_of(2**22 + 1) == ""


def test_holders_of_a_lock(paths: DataDir, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    with open(paths.lock, "w") as lock:
        keeper = spawn(KEEPER, pass_fds=[lock.fileno()])
        worker = spawn(WORKER, pass_fds=[lock.fileno()])
        spawn(["sleep", "600"], pass_fds=[lock.fileno()])
    spawn(KEEPER)

    def pids() -> dict[str, list[int]]:
        found = processes.holders(paths.lock)
        return {role: [process.pid for process in found[role]] for role in found}

    expected = {"keeper": [keeper.pid], "worker": [worker.pid]}
    wait_until(lambda: pids() == expected)
    os.unlink(paths.lock)
    assert pids() == expected
    # Another node's lock may stand there by now.
    with open(paths.lock, "w"):
        assert pids() == expected
    found = look(paths)
    assert (found.kind, found.keeper, found.is_alive) == (NOBODY, keeper.pid, True)


def test_which_signals_are_caught(spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    program = "import signal, time; signal.signal(10, lambda *_: None); "
    program += "print(flush=True); time.sleep(600)"
    process = spawn([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    assert processes.catches(process.pid, signal.SIGUSR1)
    assert not processes.catches(process.pid, signal.SIGQUIT)
    assert not processes.catches(2**22 + 1, signal.SIGUSR1)


def test_a_process_is_known_by_its_start(spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = spawn(["sleep", "600"])
    known = processes.read_process(process.pid)
    assert known is not None and processes.lives_on(known)
    assert not processes.lives_on(known._replace(started=known.started - 1))
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: ", stopped" in processes.describe(process.pid))
    process.kill()
    wait_until(lambda: not processes.lives_on(known))
    # Not reaped yet: its pid is taken, but nobody lives there.
    assert os.path.exists(f"/proc/{process.pid}") and not processes.is_alive(process.pid)


def test_nobody_is_taken_for_dead_for_want_of_descriptors() -> None:
    program = (
        "import os, resource\n"
        "from codewire.client.local import processes\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "for ask in (processes.read_process, processes.is_alive, processes.role_of):\n"
        "    try: print(ask(os.getpid()))\n"
        "    except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "24\n24\n24\n", done.stderr


def test_the_processes_of_a_session(spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Its Unix session and its descendants, but no node in it, nor what that has started."""
    keeper = " ".join(f"'{word}'" for word in KEEPER)
    script = f"sleep 601 & setsid sleep 602 & {keeper} & echo; wait"
    leader = spawn(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    assert leader.stdout is not None and leader.stdout.readline()
    leader.stdout.close()

    def members() -> list[str]:
        return sorted(process.command for process in processes.tree([leader.pid]))

    try:
        wait_until(lambda: members() == ["sh", "sleep", "sleep"])
    finally:
        everyone = [p.pid for p in processes.all_processes() if p.parent == leader.pid]
        for pid in everyone:
            os.kill(pid, signal.SIGKILL)


def test_the_sessions_of_an_answer_are_believed_with_care() -> None:
    sessions = [{"pid": pid, "status": "running"} for pid in (5, 0, 1, -7, True, "9", None)]
    assert running_pids({"sessions": [*sessions, {"pid": 6, "status": "killed"}, 7]}) == [5]
    assert running_pids({"sessions": 5}) == running_pids({}) == []
