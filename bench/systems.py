"""The measured servers behind one face: start, run a command in a session, say how to attach.

Each has a private HOME under /tmp and is ended by pid. `way` is what bench/load.c attaches with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from bench.wire import call

ROOT = Path(__file__).resolve().parent.parent
CW = [sys.executable, str(ROOT / "cw.py")]


class System:
    """A server under test. Sessions end with it."""

    name = ""
    # RSS where one server has all sessions; shared pages are shared out where each has its own.
    memory_key = "Rss"

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="cwb-", dir="/tmp")
        # An installed cw has its bytecode; a clone may write it once.
        dropped = ("CODEWIRE_", "CW_", "TMUX", "CLAUDE", "PYTHONDONTWRITEBYTECODE")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        self.env.update(HOME=self.home, TERM="xterm-256color", LC_ALL="C.UTF-8", SHELL="/bin/sh")
        self._sessions = 0

    @staticmethod
    def installed() -> bool:
        return True

    def start(self) -> None:
        """Start the server, where there is one."""

    def launch(self, command: list[str]) -> str:
        """Run the command in a new detached session and return its name."""
        raise NotImplementedError

    def way(self, session: str) -> list[str]:
        """Return the words that attach bench/load.c to the session."""
        raise NotImplementedError

    @contextmanager
    def as_typed(self) -> Iterator[None]:
        """While entered, `way` is a person's: through the client in a terminal."""
        yield

    def end_session(self, session: str) -> None:
        """End one session, so that it does not burden the next measurement."""

    def server_pids(self, session: str = "") -> list[int]:
        """Return the processes that serve (that session)."""
        raise NotImplementedError

    def command_line(self, command: list[str]) -> list[str]:
        """Return the argv a person types to launch the command detached."""
        raise NotImplementedError

    def close(self) -> None:
        """End everything started in this home, by pid, and remove it."""
        servers = [pid for pid in self.server_pids() if processes.is_alive(pid)]
        processes.end(servers[:1])
        while left := processes.of_home(self.home):
            processes.end(left, 2)
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, env=self.env, cwd=self.home, check=True, capture_output=True, timeout=60
        )
        return done.stdout.decode()

    def _next_name(self) -> str:
        self._sessions += 1
        return f"s{self._sessions}"


class Ours(System):
    name = "cw"

    def __init__(self, runtime: str = "") -> None:
        super().__init__()
        if runtime:
            self.env["CW_RUNTIME"] = runtime
        self.socket = os.path.join(self.home, ".codewire", "codewire.sock")
        self._is_typed = False
        self.keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(os.path.join(self.home, "node.stderr"), "wb") as stderr:
            self.keeper = subprocess.Popen(
                [*CW, "node"],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        if not processes.wait_until(self._answers, 20):
            raise RuntimeError("the node does not answer: " + self._stderr())

    def launch(self, command: list[str]) -> str:
        request = {"type": "Launch", "command": command, "working_dir": self.home}
        return str(call(self.socket, request)["id"])

    @contextmanager
    def as_typed(self) -> Iterator[None]:
        self._is_typed = True
        try:
            yield
        finally:
            self._is_typed = False

    def way(self, session: str) -> list[str]:
        if self._is_typed:
            return ["pty", *CW, "attach", "--no-bar", session]
        request = f'{{"type":"Attach","id":{session},"include_history":false}}'
        return ["frames", self.socket, request]

    def end_session(self, session: str) -> None:
        call(self.socket, {"type": "Kill", "id": int(session)})

    def server_pids(self, session: str = "") -> list[int]:
        if self.keeper is None:
            return []
        # Sessions are the keeper's children too: only its worker serves with it.
        workers = [
            pid
            for pid in processes.descendants(self.keeper.pid)
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[2:3] == [b"worker"]
        ]
        return [self.keeper.pid, *workers]

    def command_line(self, command: list[str]) -> list[str]:
        return [*CW, "launch", "--", *command]

    def close(self) -> None:
        super().close()
        if self.keeper is not None:
            self.keeper.wait(10)

    def _answers(self) -> bool:
        try:
            return bool(call(self.socket, {"type": "ListSessions"}))
        except OSError:
            return False

    def _stderr(self) -> str:
        return Path(self.home, "node.stderr").read_text(errors="replace")[-2000:]


class Tmux(System):
    name = "tmux"

    def __init__(self) -> None:
        super().__init__()
        self.tmux = ["tmux", "-S", os.path.join(self.home, "tmux.sock"), "-f", "/dev/null"]
        self._server = 0

    @staticmethod
    def installed() -> bool:
        return shutil.which("tmux") is not None

    def start(self) -> None:
        # One idle session keeps the server up between measurements.
        self._run(*self.tmux, "new-session", "-d", "-s", "idle", "sleep 100000")
        self._run(*self.tmux, "set-option", "-g", "status", "off")
        self._server = int(self._run(*self.tmux, "display-message", "-p", "#{pid}"))

    def launch(self, command: list[str]) -> str:
        name = self._next_name()
        self._run(*self.tmux, "new-session", "-d", "-s", name, "-x80", "-y24", *command)
        return name

    def way(self, session: str) -> list[str]:
        return ["pty", *self.tmux, "attach", "-t", f"={session}"]

    def end_session(self, session: str) -> None:
        self._run(*self.tmux, "kill-session", "-t", f"={session}")

    def server_pids(self, session: str = "") -> list[int]:
        return [self._server] if self._server else []

    def command_line(self, command: list[str]) -> list[str]:
        return [*self.tmux, "new-session", "-d", *command]


class Dtach(System):
    name = "dtach"
    memory_key = "Pss"

    def __init__(self) -> None:
        super().__init__()
        self._masters: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def installed() -> bool:
        return shutil.which("dtach") is not None

    def launch(self, command: list[str]) -> str:
        name = self._next_name()
        # -N stays in the foreground: the master's pid is the one we started.
        self._masters[name] = subprocess.Popen(
            ["dtach", "-N", self._socket(name), "-r", "none", "-E", "-z", *command],
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not processes.wait_until(lambda: os.path.exists(self._socket(name)), 10):
            raise RuntimeError("dtach made no socket")
        return name

    def way(self, session: str) -> list[str]:
        return ["pty", "dtach", "-a", self._socket(session), "-r", "none", "-E", "-z"]

    def end_session(self, session: str) -> None:
        master = self._masters.pop(session)
        processes.end([master.pid])
        master.wait(10)

    def server_pids(self, session: str = "") -> list[int]:
        names = [session] if session else list(self._masters)
        return [self._masters[name].pid for name in names]

    def command_line(self, command: list[str]) -> list[str]:
        return ["dtach", "-n", self._socket(self._next_name()), "-r", "none", "-E", *command]

    def close(self) -> None:
        processes.end(self.server_pids())
        for master in self._masters.values():
            master.wait(10)
        super().close()

    def _socket(self, name: str) -> str:
        return os.path.join(self.home, f"{name}.dtach")


class Kernel(System):
    """No server: the loop in load.c reads the program's own PTY. What nobody can beat."""

    name = "kernel"

    def __init__(self) -> None:
        super().__init__()
        self._commands: dict[str, list[str]] = {}

    def launch(self, command: list[str]) -> str:
        name = self._next_name()
        self._commands[name] = command
        return name

    def way(self, session: str) -> list[str]:
        return ["pty", *self._commands[session]]

    def server_pids(self, session: str = "") -> list[int]:
        return []
