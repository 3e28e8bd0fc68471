"""Two relays on one PostgreSQL, each a process: a node at the first, a client at the second."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.balancer import Balancer
from tests.e2e.test_uplink_cut import under_way
from tests.io.relay.site import Events
from tests.postgres import Cluster
from tests.remote import free_port
from tests.support import wait_until
from tests.uplinks import NETWORK, TOKEN, Net, serve_relay

# A revoked grant is refused by then: within five seconds, where the machine has no other work.
SOON = 15.0


class Relays(Net):
    """A node that finds the first relay as long as that is there, a client of the second."""

    def __init__(self, runtime: str) -> None:
        super().__init__(runtime)
        self.cluster = Cluster()
        self.database = self.cluster.create_database()
        self.second_port = free_port()
        self.second_url = f"http://127.0.0.1:{self.second_port}"
        self._readers: list[socket.socket] = []
        self.balancer = Balancer((self.port, self.second_port))
        self.node.env["CODEWIRE_RELAY_URL"] = f"http://127.0.0.1:{self.balancer.port}"
        self.client.env["CODEWIRE_RELAY_URL"] = self.second_url

    def start(self) -> None:
        self.second = self.serve(self.second_port)
        super().start()
        wait_until(lambda: self.figure("uplinks", self.port) == 1, 30, "it is at the first")
        assert self.figure("uplinks", self.second_port) == 0

    def start_relay(self) -> None:
        self.relay = self.serve(self.port)

    def serve(self, port: int) -> subprocess.Popen[bytes]:
        home, address = self.relay_home, f"127.0.0.1:{port}"
        relay, _ = serve_relay(
            home, address, "--base-url", "https://relay.example", "--ssh-listen", "off",
            "--advertise-url", f"http://{address}", "--data-dir", str(Path(home.path, str(port))),
            "--secret-key-file", str(Path(home.path, "secret.key")), CW_DATABASE_URL=self.database,
        )  # fmt: skip
        return relay

    def revoke(self, grant: dict[str, Any], url: str) -> None:
        """Revoke a grant at one of the two."""
        env = {"CODEWIRE_RELAY_URL": url}
        done = self.client.cw("access", "revoke", grant["grant_id"], env=env)
        assert done.returncode == 0, done.stderr

    def events(self, port: int) -> Events:
        """Return a new reader of one relay's events, for what comes."""
        sock = socket.create_connection(("127.0.0.1", port), 30)
        self._readers.append(sock)
        path = f"/api/v1/access/cache/events?network_id={NETWORK}"
        head = f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        sock.sendall(head.encode())
        return Events(sock)

    def metrics(self, port: int) -> str:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return text

    def figure(self, name: str, port: int) -> float:
        [line] = [one for one in self.metrics(port).splitlines()
                  if one.startswith(f"codewire_relay_{name} ")]  # fmt: skip
        return float(line.split()[1])

    def close(self) -> None:
        for sock in self._readers:
            sock.close()
        super().close()
        self.balancer.close()
        self.cluster.close()


@pytest.fixture
def relays(runtime: str) -> Iterator[Relays]:
    relays = Relays(runtime)
    try:
        relays.start()
        yield relays
    finally:
        relays.close()


@pytest.mark.slow
def test_a_relay_that_is_killed_costs_no_byte(runtime: str) -> None:
    """`logs -f`, attach, wait and request go through the other one, to which the node comes."""
    relays = Relays(runtime)
    with under_way(relays) as under:
        relays.kill_relay()
        wait_until(lambda: relays.figure("uplinks", relays.second_port) == 1, 60, "it has moved")
        under.answer()
        under.check()
        # It may come back: what happens at one is told by the other.
        relays.start_relay()
        readers = [relays.events(port) for port in (relays.port, relays.second_port)]
        for url in (relays.url, relays.second_url):
            grant = granted(relays, "cat")
            relays.revoke(grant, url)
            for reader in readers:
                assert grant["grant_id"] in reader.next()["data"]


def granted(relays: Relays, session: str) -> dict[str, Any]:
    done = relays.client.cw("access", "grant", f"dev-1:{session}", "--to", "admin", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("at", ["first", "second"])
def test_a_revoked_grant_is_refused_through_the_other_relay(relays: Relays, at: str) -> None:
    assert relays.node.cw("launch", "coder", "--", "cat").returncode == 0
    grant = granted(relays, "coder")
    given = ("--grant", grant["delegation"])
    assert relays.client.cw("inbox", "dev-1:coder", *given).returncode == 0
    heard = relays.client.popen("listen", "--session", "dev-1:coder", *given)
    assert heard.stderr is not None
    assert b"listening for messages" in heard.stderr.readline()
    relays.revoke(grant, relays.url if at == "first" else relays.second_url)
    revoked_at = time.monotonic()
    said = heard.stderr.readline()
    assert heard.wait(20) == 1 and b"observer grant revoked" in said, said
    assert time.monotonic() - revoked_at < SOON
    done = relays.client.cw("inbox", "dev-1:coder", *given)
    assert done.returncode == 1 and "observer grant revoked" in done.stderr
