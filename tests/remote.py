"""A node that other machines reach: a home of its own that listens on TCP."""

from __future__ import annotations

from pathlib import Path

from codewire.client import Client
from tests.support import Home


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
