"""A node that other machines reach: a home of its own that listens on TCP; ports for others."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

from codewire.client import Client
from tests.support import Home

# Below what the kernel hands out (32768 and up, ip(7)) and above the well-known services.
FIRST_PORT, PORTS = 10_000, 22_000
# None is given out twice in a process before all were: the first may not be bound yet.
_steps = itertools.count()


def free_port() -> int:
    """Return a TCP port for a program that cannot be told "any", not in use on 127.0.0.1.

    One the kernel had picked would be given to somebody else between now and the program's bind;
    these nobody gets by chance, and processes begin to look far from each other.
    """
    start = os.getpid() * 7919
    for _ in range(PORTS):
        port = FIRST_PORT + (start + next(_steps)) % PORTS
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class RemoteHome(Home):
    """A home whose node also listens on TCP, on a free port of this machine."""

    def __init__(self, runtime: str | None) -> None:
        super().__init__(runtime)
        self.env["CODEWIRE_LISTEN"] = "127.0.0.1:0"

    @property
    def address(self) -> str:
        return str(self.node_status()["listen"])

    @property
    def token(self) -> str:
        return Path(self.data_dir, "token").read_text()

    def remote_client(self) -> Client:
        return Client(f"http://{self.address}", self.token)
