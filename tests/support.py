"""Real `cw` processes in a private HOME: what the end-to-end tests stand on.

A Home owns one short directory under /tmp (Unix socket paths are limited to about 108 bytes),
every process started in it, and their end. Nothing is ever ended by name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.processes import (
    command_line,
    end_processes,
    is_alive,
    pids_with_environment,
    wait_until,
)
from tests.rawwire import RawConnection

if TYPE_CHECKING:
    from codewire.client import Client

__all__ = ["REPOSITORY", "Home", "RawConnection", "is_alive", "running_home", "wait_until"]

REPOSITORY = Path(__file__).resolve().parent.parent
# What starts every cw, some words that come to be it: `scripts/test-bare` hides /proc that way.
CW = [*os.environ.get("TEST_CW_THROUGH", "").split(), sys.executable, str(REPOSITORY / "cw.py")]

# An orderly stop runs the kill ladder (5 s grace unless configured) before the keeper ends.
STOP_TIMEOUT = 20.0

# A guard against what never comes, so generous: a machine may be slow and have other work.
PATIENCE = 60.0
# What a keeper says of a worker that was killed.
KILLED = "ended by signal 9"
# What was told to end may take so long on a busy machine before it counts as left over.
LINGER_SECONDS = 15.0


class Home:
    """A private HOME. `runtime` ("gevent", "threads" or None) is what its nodes run on.

    `words` come before each of its commands, those of another host's say (namespaces.py).
    Set `expects_leftovers` in a test that leaves processes an orderly stop cannot reach (after a
    keeper was killed, say), and `expects_tracebacks` in one that makes the node crash on purpose.
    """

    def __init__(self, runtime: str | None = None, words: Sequence[str] = ()) -> None:
        self.words = words
        self.path = tempfile.mkdtemp(prefix="cw-", dir="/tmp")
        self.data_dir = os.path.join(self.path, ".codewire")
        self.socket = os.path.join(self.data_dir, "codewire.sock")
        self.node_stderr = os.path.join(self.path, "node.stderr")
        self.env = _clean_environment(self.path, runtime)
        # Words of a command that comes to be each cw: `ip netns exec …`.
        self.node: subprocess.Popen[bytes] | None = None
        self.expects_leftovers = False
        self.expects_tracebacks = False
        self._started: list[subprocess.Popen[bytes]] = []
        self._outer_environment: dict[str, str] | None = None

    # Running cw

    def cw(
        self,
        *args: str,
        input: str | None = None,
        timeout: float = PATIENCE,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `cw args` to its end; stdin is empty unless `input` is given."""
        done = subprocess.run(
            [*self.words, *CW, *args],
            input=(input or "").encode(),
            capture_output=True,
            timeout=timeout,
            env={**self.env, **(env or {})},
            cwd=cwd or self.path,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )

    def popen(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start `cw args` with pipes (bytes) unless `options` say otherwise; ended by close().

        `argv` is another command that comes to be that one, a shell's say.
        """
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        options["env"] = {**self.env, **(options.get("env") or {})}
        options.setdefault("cwd", self.path)
        argv = options.pop("argv", [*CW, *args])
        process = subprocess.Popen([*self.words, *argv], **options)
        self._started.append(process)
        return process

    # The node

    def start_node(self, runtime: str | None = None) -> None:
        """Run `cw node` in the foreground (of nobody) and return once it answers requests."""
        if runtime is not None:
            self.env["CW_RUNTIME"] = runtime
        with open(self.node_stderr, "ab") as stderr:
            self.node = self.popen(
                "node",
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        wait_until(self._node_answers, PATIENCE, "the node answers")

    def stop_node(self) -> int:
        """Ask the node to stop (SIGTERM to the keeper) and return its exit status."""
        assert self.node is not None, "start_node() first"
        self.node.send_signal(signal.SIGTERM)
        return self.node.wait(STOP_TIMEOUT)

    def kill_worker(self) -> int:
        """SIGKILL the worker that answers now; return its pid once all of it is gone.

        Until then one of its threads may still accept a client, whom it will never answer.
        """
        pid = self.worker_pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), 30, "the worker is gone")
        return pid

    def node_output(self) -> str:
        """Return what nodes of this home have said on stderr and in node.log."""
        texts = []
        for path in (self.node_stderr, os.path.join(self.data_dir, "node.log")):
            if os.path.exists(path):
                texts.append(Path(path).read_text(errors="replace"))
        return "".join(texts)

    def node_status(self) -> dict[str, Any]:
        """Return the fields of NodeStatus, asked over the wire."""
        deadline = time.monotonic() + 20
        while True:
            answer = self.request({"type": "NodeStatus"})
            # The keeper's word, on a machine that is slow to start the next worker.
            if answer.get("code") != "no_worker" or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        node = answer["node"]
        assert isinstance(node, dict)
        return node

    @property
    def keeper_pid(self) -> int:
        return int(self.node_status()["keeper_pid"])

    @property
    def worker_pid(self) -> int:
        return int(self.node_status()["worker_pid"])

    # Talking to it

    def connect(self, timeout: float = 20.0) -> RawConnection:
        """Open a raw connection; the caller closes it (it is a context manager)."""
        return RawConnection(self.socket, timeout)

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one request on its own connection and return the first answer.

        Where a worker was killed, and a slow machine has no other yet, it is sent again.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with self.connect() as connection:
                answer = connection.request(message)
            is_killed = answer.get("code") == "no_worker" and KILLED in str(answer.get("message"))
            if not is_killed or time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def launch(self, *command: str, **fields: Any) -> int:
        """Launch over the raw wire and return the session's id; fails on an Error answer."""
        request = {"type": "Launch", "command": list(command), "working_dir": self.path, **fields}
        answer = self.request(request)
        assert answer["type"] == "Launched", answer
        return int(answer["id"])

    def session(self, session_id: int) -> dict[str, Any]:
        """Return the SessionInfo of one session."""
        answer = self.request({"type": "GetStatus", "id": session_id})
        assert answer["type"] == "SessionStatus", answer
        info = answer["info"]
        assert isinstance(info, dict)
        return info

    def wait_finished(self, session_id: int, timeout: float = 20.0) -> dict[str, Any]:
        """Return the SessionInfo of a session once it has ended."""
        with self.connect(timeout) as connection:
            answer = connection.request({"type": "Wait", "id": session_id})
        assert answer["type"] == "WaitResult", answer
        info = answer["sessions"][0]
        assert isinstance(info, dict)
        return info

    def node_id(self) -> str:
        """Return what sessions of this home have as CW_NODE_ID."""
        return Path(self.data_dir, "node-id").read_text().partition("\n")[0]

    def inside(self, session_id: int) -> dict[str, str]:
        """Return what a session's environment says of it, for a client that is to be in it."""
        return {"CW_SESSION_ID": str(session_id), "CW_NODE_ID": self.node_id()}

    def log_path(self, session_id: int) -> str:
        return os.path.join(self.data_dir, "sessions", str(session_id), "output.log")

    def log(self, session_id: int) -> bytes:
        """Return the raw bytes of a session's log file."""
        return Path(self.log_path(session_id)).read_bytes()

    def client(self, **options: Any) -> Client:
        """Return an in-process Client of this home; os.environ is this home's until close()."""
        from codewire.client import Client

        if self._outer_environment is None:
            self._outer_environment = dict(os.environ)
            os.environ.clear()
            os.environ.update(self.env)
        return Client(**options)

    # The end

    def processes(self) -> list[int]:
        """Return every live process started with this HOME or data directory, sessions included."""
        found = {
            *pids_with_environment(f"HOME={self.path}"),
            *pids_with_environment(f"CODEWIRE_DIR={self.data_dir}"),
        }
        return sorted(found)

    def close(self) -> None:
        """End everything and remove the directory.

        Raises AssertionError when something had to be SIGKILLed, or a traceback was logged, that
        the test did not announce. Idempotent.
        """
        if not os.path.isdir(self.path):
            return
        self._restore_environment()
        try:
            leftovers = self._end_clients() + self._stop_keepers() + self._kill_leftovers()
            output = self.node_output()
        finally:
            shutil.rmtree(self.path, ignore_errors=True)
        assert self.expects_leftovers or not leftovers, f"outlived the node: {leftovers}"
        assert self.expects_tracebacks or "Traceback" not in output, output[-4000:]

    def _node_answers(self) -> bool:
        assert self.node is not None
        if self.node.poll() is not None:
            raise AssertionError(f"the node ended at start: {self.node_output()[-2000:]}")
        try:
            return bool(self.request({"type": "ListSessions"})["type"] == "SessionList")
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def _restore_environment(self) -> None:
        if self._outer_environment is not None:
            os.environ.clear()
            os.environ.update(self._outer_environment)
            self._outer_environment = None

    def _end_clients(self) -> list[str]:
        clients = [process for process in self._started if process is not self.node]
        for process in clients:
            if process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)  # a test may have stopped it
        return [words for process in clients if (words := _reap(process))]

    def _stop_keepers(self) -> list[str]:
        keepers = [pid for pid in self.processes() if _is_keeper(pid)]
        end_processes(keepers, signal.SIGTERM)
        _wait_gone(keepers, STOP_TIMEOUT)
        words = _reap(self.node) if self.node is not None else ""
        return [words] if words else []

    def _kill_leftovers(self) -> list[str]:
        """SIGKILL what is still there and return it in words: pid and command line."""
        words: list[str] = []
        if not self.expects_leftovers:
            # What the stop hung up or signalled may need a moment to be gone.
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.processes(), LINGER_SECONDS)
        while pids := self.processes():
            words += [f"{pid} {command_line(pid)}" for pid in pids]
            end_processes(pids)
            _wait_gone(pids, 5)
        return words


@contextlib.contextmanager
def running_home(runtime: str | None = None) -> Iterator[Home]:
    """Give a fresh HOME with a running node; everything in it is ended afterwards."""
    home = Home(runtime)
    try:
        home.start_node()
        yield home
    finally:
        home.close()


def _clean_environment(home: str, runtime: str | None) -> dict[str, str]:
    """Return this process's environment without what would reach cw, in the given home."""
    # Without cached bytecode every one of the many commands started would compile the package.
    cached = ("PYTHONDONTWRITEBYTECODE",)
    # curses and readline take a size from there, not from their terminal.
    size = ("LINES", "COLUMNS")
    dropped = ("CODEWIRE_", "CW_", "CLAUDE", "HOSTNAME", "XDG_", "TMUX", *size, *cached)
    env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    env.update(HOME=home, TERM="xterm-256color", LC_ALL="C.UTF-8")
    if runtime is not None:
        env["CW_RUNTIME"] = runtime
    return env


def _is_keeper(pid: int) -> bool:
    """Say whether the process is a keeper, going by its argv: `… cw.py keeper|node …`."""
    words = command_line(pid).split()
    entry = next(
        (n for n, word in enumerate(words) if word.endswith(("cw.py", "cw.pyz", "/cw"))), -1
    )
    return entry >= 0 and words[entry + 1 : entry + 2] in (["keeper"], ["node"])


def _wait_gone(pids: list[int], timeout: float) -> None:
    """Wait at most `timeout` seconds for all of the processes to end."""
    try:
        wait_until(lambda: not any(map(is_alive, pids)), timeout)
    except AssertionError:
        return


def _reap(process: subprocess.Popen[bytes]) -> str:
    """Collect a process that was told to end and close its pipes.

    One that has not ended after LINGER_SECONDS is SIGKILLed and returned in words, else "".
    """
    words = ""
    try:
        process.wait(LINGER_SECONDS)
    except subprocess.TimeoutExpired:
        words = f"{process.pid} {command_line(process.pid)}"
        process.kill()
        process.wait(15)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return words
