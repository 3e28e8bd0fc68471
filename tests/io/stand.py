"""A data directory to be, and a script that stands in for `cw node`: for tests of starting one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.processes import end_processes, is_alive, wait_until
from tests.support import REPOSITORY

CLIENT = """
import os, sys
from codewire.client import Client
from codewire.client.reach import autostart, scope
from codewire.errors import CodewireError
scope.own_scope = lambda environ: os.environ.get("TEST_SCOPE", "").split()
autostart.self_command = lambda: [sys.executable, "-IS", sys.argv[1]]
autostart.NO_SOCKET_SECONDS = float(os.environ.get("TEST_SOCKET", autostart.NO_SOCKET_SECONDS))
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


class Stand:
    """A data directory to be, and a script that stands in for `cw node`."""

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="cw-", dir="/tmp")
        self.root = os.path.join(self.home, "data")
        self.script = os.path.join(self.home, "node.py")
        self.write_node(NODE)

    def write_node(self, text: str) -> None:
        Path(self.script).write_text(text)

    def client(
        self, patience: str = "50", socket: str = "50", **options: object
    ) -> subprocess.Popen[str]:
        """Start a client that waits so long for a node, and for the socket of one that was there;
        "" is as long as a real one does."""
        env = {**os.environ, "CODEWIRE_DIR": self.root, "PYTHONPATH": str(REPOSITORY)}
        if socket:
            env["TEST_SOCKET"] = socket
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

    def run(self, patience: str = "50", socket: str = "50") -> tuple[int, str, str]:
        client = self.client(patience, socket)
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
