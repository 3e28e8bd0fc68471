"""A stream through a second relay, which passes its bytes on: what it still has to see to."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.io.tcp import read_head
from codewire.io.tls import TlsSocket, client_context
from codewire.io.websockets import WebSocketStream
from codewire.wire import websocket
from codewire.wire.frames import CONTROL, DATA
from codewire.wire.handshake import new_key, status_of, upgrade_request
from codewire.wire.http import parse_head
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import PATIENCE, Site, next_message
from tests.io.relay.test_siblings import NODE, Two
from tests.io.relay.test_streams import PATH, WS, ending, login, own
from tests.io.store.conftest import new_url
from tests.processes import wait_until
from tests.remote import free_port

MASK = b"mask"
# What a stream that is ended may take, on a machine with other work; a goodbye that nobody
# answers ends after two seconds.
SOON = 30.0


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path, new_url(request))
    yield two
    two.close()


def asked(two: Two) -> WebSocketStream:
    """Dial back as the node, for what it is asked next."""
    message = next_message(two.uplink)
    assert message is not None
    status, back = two.a.dial(f"/node/back/{message['session_id']}", two.token)
    assert status == 101 and back is not None
    return back


def raw(two: Two, token: str = ADMIN, behind: bytes = b"", path: str = PATH) -> socket.socket:
    """Return a connection on which an upgrade is asked for at B, and `behind` right behind it."""
    sock = two.b.connect()
    given = (("Authorization", f"Bearer {token}"),)
    sock.sendall(upgrade_request("relay.example", path, new_key(os.urandom(16)), given) + behind)
    return sock


def upgraded(sock: Any) -> WebSocketStream:
    head, rest = read_head(sock, time.monotonic() + PATIENCE)
    assert status_of(parse_head(head)) == 101
    sock.settimeout(PATIENCE)
    return WebSocketStream(sock, is_server=False, received=rest)


def nothing_open(two: Two) -> bool:
    return len(two.a.relay.streams) + len(two.b.relay.streams) == 0


def test_what_is_sent_before_either_end_is_there_arrives(two: Two) -> None:
    letters = websocket.encode(websocket.BINARY, b"early", MASK)
    sock = raw(two, behind=letters + websocket.encode(websocket.TEXT, b'{"type":"x"}', MASK)[:7])
    node = asked(two)
    node.send_data(b"early, too")
    client = upgraded(sock)
    assert client.receive() == (DATA, b"early, too")
    assert node.receive() == (DATA, b"early")
    sock.sendall(websocket.encode(websocket.TEXT, b'{"type":"x"}', MASK)[7:])
    assert node.receive() == (CONTROL, b'{"type":"x"}')


def test_a_client_that_breaks_the_rules_is_told(two: Two) -> None:
    client, node = two.open()
    # Not masked.
    client._sock.sendall(websocket.encode(websocket.BINARY, b"x"))
    assert ending(client)[0] == 1002
    assert node.receive() is None
    client.close()
    wait_until(lambda: nothing_open(two))


def test_either_end_may_close_first(two: Two) -> None:
    client, node = two.open()
    client.shutdown(1000)
    assert node.receive() is None and client.receive() is None
    assert client.close_code == 1000
    client, node = two.open()
    node.shutdown(1011, "broken")
    assert ending(client)[0] == 1011
    # Both have said goodbye: nobody waits for anything.
    wait_until(lambda: nothing_open(two))


def test_who_only_ends_its_writing_hears_the_goodbye(two: Two) -> None:
    client, node = two.open()
    client.send_data(b"last")
    client._sock.sendall(websocket.encode_close(1000, "", MASK))
    client._sock.shutdown(socket.SHUT_WR)
    assert node.receive() == (DATA, b"last") and node.receive() is None
    assert ending(client)[0] == 1000
    wait_until(lambda: nothing_open(two))


def test_a_relay_that_is_gone_is_told_to_be_back(two: Two) -> None:
    client, node = two.open()
    for stream in two.a.relay.streams._of_node[("proj", "dev-1")]:
        joined = wait_until(lambda one=stream: one._client, SOON)
        joined.abort()
    assert ending(client)[0] == 1012
    assert node.receive() is None


def test_a_relay_that_ends_says_so(two: Two) -> None:
    client, _ = two.open()
    thread = threading.Thread(target=two.b.relay.stop)
    thread.start()
    assert ending(client)[0] == 1001
    client.close()
    thread.join(SOON)
    assert not thread.is_alive()
    wait_until(lambda: len(two.a.relay.streams) == 0)


class Guest:
    """A member with a node of their own at A, and a stream to it through B."""

    def __init__(self, two: Two) -> None:
        self.two = two
        two.uplink.close()
        self.token = login(two.a, "guest", "proj")
        two.token = own(two.a, self.token, "dev-2")
        two.uplink = two.a.uplink(two.token, **NODE)
        self.sock = raw(two, self.token, path=WS.format("dev-2", "proj", "node"))
        self.node = asked(two)
        self.client = upgraded(self.sock)
        self.client.send_data(b"x")
        assert self.node.receive() == (DATA, b"x")

    def remove(self, site: Site) -> None:
        """Remove them at one of the two, and have both streams end in time."""
        site.ok("DELETE", "/api/v1/networks/proj/members/oidc:guest")
        wait_until(lambda: nothing_open(self.two), SOON)


@pytest.mark.parametrize("at", ["a", "b"])
def test_a_removed_member_is_told_at_once(two: Two, at: str) -> None:
    guest = Guest(two)
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(ending(guest.client)))
    thread.start()
    guest.remove(getattr(two, at))
    thread.join(SOON)
    assert heard == [(1008, "you do not belong to the network any more")]
    assert guest.node.receive() is None


def test_a_removed_member_is_cut_off_in_the_middle_of_a_message(two: Two) -> None:
    guest = Guest(two)
    guest.sock.sendall(websocket.encode(websocket.BINARY, bytes(1000), MASK)[:500])
    guest.remove(two.b)
    assert guest.node.receive() is None, "and half a message is none"


def test_a_removed_member_who_reads_nothing_is_cut_off(two: Two) -> None:
    guest = Guest(two)
    blocked = threading.Thread(target=flood, args=(guest.node, 200))
    blocked.start()
    # As many as are on their way now, the kernels take.
    wait_until(lambda: not is_moving(guest.node), SOON)
    assert blocked.is_alive()
    guest.remove(two.b)
    blocked.join(SOON)
    assert not blocked.is_alive()


def flood(node: WebSocketStream, megabytes: int) -> None:
    from codewire.errors import CodewireError

    try:
        for number in range(megabytes):
            node.send_data(bytes([number % 256]) * 1_000_000)
    except (CodewireError, OSError):
        pass


def is_moving(stream: WebSocketStream) -> bool:
    """Say whether it takes bytes within a moment."""
    return bool(threading.Event().wait(0.2)) or stream._is_writable()


def test_a_client_that_reads_slowly_holds_the_node_up(two: Two) -> None:
    client, node = two.open()
    sender = threading.Thread(target=flood, args=(node, 60))
    sender.start()
    wait_until(lambda: not is_moving(node), SOON)
    assert sender.is_alive(), "60 MB are nowhere in between"
    for number in range(60):
        frame = client.receive()
        assert frame is not None and frame[1] == bytes([number % 256]) * 1_000_000
    sender.join(SOON)
    assert not sender.is_alive()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("tls")
    paths = (str(directory / "cert.pem"), str(directory / "key.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", paths[0], "-keyout", paths[1]], check=True, timeout=60,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    return paths


class Encrypted(Two):
    """Both relays speak TLS, among each other as well."""

    certificate: tuple[str, str]

    def relay(self, **settings: Any) -> Site:
        port, (cert, key) = free_port(), self.certificate
        url = f"https://127.0.0.1:{port}"
        return Site(self.directory, self.url, listen=f"127.0.0.1:{port}", advertise_url=url,
                    tls_cert=cert, tls_key=key)  # fmt: skip


def test_bytes_pass_through_tls(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificate: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    Encrypted.certificate = certificate
    two = Encrypted(tmp_path, new_url(request))
    try:
        sock = TlsSocket(two.b.connect(), client_context(certificate[0]), hostname="127.0.0.1")
        sock.handshake(time.monotonic() + PATIENCE)
        given = (("Authorization", f"Bearer {ADMIN}"),)
        early = websocket.encode(websocket.BINARY, b"early", MASK)
        sock.sendall(upgrade_request("127.0.0.1", PATH, new_key(os.urandom(16)), given) + early)
        node = asked(two)
        client = upgraded(sock)
        assert node.receive() == (DATA, b"early")
        for one, other in ((client, node), (node, client)):
            for size in (1, 300_000):
                sender = threading.Thread(target=one.send_data, args=(b"y" * size,))
                sender.start()
                assert other.receive() == (DATA, b"y" * size)
                sender.join(SOON)
        node.shutdown(1011, "broken")
        assert ending(client)[0] == 1011
        client.close()
        wait_until(lambda: nothing_open(two), SOON)
    finally:
        two.close()
