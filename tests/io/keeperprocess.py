"""A real keeper as a child process; the test is its worker, or sees to it that there is none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from codewire.keeper import protocol
from codewire.keeper.workerside.channel import Channel
from tests.processes import is_alive, wait_until
from tests.support import REPOSITORY

# argv: the descriptor of the test's link or -1, then the argv of workers to be started.
KEEPER = """
import os, socket, sys
from codewire.keeper.process import Keeper
from codewire.paths import data_dir

keeper = Keeper(data_dir(), sys.argv[1] == "detached", sys.argv[3:])
keeper.open()
if int(sys.argv[2]) >= 0:
    keeper.use_link(socket.socket(fileno=int(sys.argv[2])))
    # A lost worker is killed, and that must not be the test.
    keeper._worker.pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
sys.exit(keeper.run())
"""


def listens(path: str) -> bool:
    """Say whether a Unix socket is bound there and listens: a little later than it is there."""
    listening = 0x10000  # SO_ACCEPTCON, as /proc/net/unix shows it
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return any(int(line.split()[3], 16) & listening for line in lines if line.endswith(f" {path}"))


class KeeperProcess:
    """A keeper of the data directory `root`, and the channel to it."""

    def __init__(
        self,
        root: Path,
        command: list[str],
        *,
        linked: int = True,
        detached: int = True,
        stderr: int | None = None,
    ) -> None:
        """`stderr` is what it gets as such, -1 for none at all; else its words are in a file."""
        self.root = root
        self.socket = str(root / "codewire.sock")
        self.stderr = root.parent / "stderr"
        ours, theirs = socket.socketpair()
        fd = theirs.fileno() if linked else -1
        mode = "detached" if detached else "foreground"
        argv = [sys.executable, "-c", KEEPER, mode, str(fd), *command]
        if stderr == -1:
            argv = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *argv]
        with open(self.stderr, "wb") as file:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, "CODEWIRE_DIR": str(root), "PYTHONPATH": str(REPOSITORY)},
                pass_fds=[theirs.fileno()] if linked else [],
                stderr=file if stderr in (None, -1) else stderr,
            )
        theirs.close()
        self.channel = Channel(ours)
        wait_until(lambda: listens(self.socket), 20, "the keeper listens")

    def hello(self, **fields: object) -> list[int]:
        """Introduce ourselves, and say that we serve; return the node's descriptors."""
        self.channel.send({"op": "hello", "version": protocol.VERSION, **fields})
        held = self.expect("hello")[1]
        self.expect("ready")
        self.channel.send({"op": "ready"})
        return held

    def expect(self, op: str) -> tuple[protocol.Message, list[int]]:
        """Return the next message of this kind; others are dropped."""
        while True:
            item = self.channel.receive()
            assert item is not None, "the keeper has gone"
            if item[0]["op"] == op:
                return item
            for fd in item[1]:
                os.close(fd)

    def spawn(self, number: int, *argv: str) -> tuple[int, int]:
        """Have a session's process started; return its pid and master."""
        order = {"op": "spawn", "seq": number, "id": number, "path": argv[0], "argv": list(argv)}
        rest = {"env": {}, "cwd": "/", "rows": 24, "cols": 80, "meta": {}}
        self.channel.send({**order, **rest})
        message, fds = self.expect("spawned")
        return int(message["pid"]), fds[0]

    def log(self) -> str:
        path = self.root / "node.log"
        return path.read_text() if path.exists() else ""

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def close(self, *fds: int) -> None:
        """End the keeper and what it started."""
        for fd in fds:
            os.close(fd)
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGQUIT)
            self.channel.shut_down()
        self.process.wait(20)
        self.channel.close()


def stubborn(keeper: KeeperProcess, number: int) -> tuple[int, int]:
    """Start a session that only SIGKILL ends, and wait until it is so."""
    script = "trap '' TERM HUP; echo ready; while :; do sleep 9; done"
    pid, master = keeper.spawn(number, "/bin/sh", "-c", script)
    wait_until(lambda: _reads(master, b"ready"), 30, "the trap is set")
    return pid, master


def _reads(master: int, words: bytes) -> bool:
    try:
        return words in os.read(master, 100)
    except BlockingIOError:
        return False


__all__ = ["KeeperProcess", "is_alive", "stubborn", "wait_until"]
