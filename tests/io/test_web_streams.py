"""What the HTTP server gives a connection to: events, WebSockets, TLS; and how all of it ends."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from codewire.io.tls import TlsSocket, client_context, server_context
from codewire.web.connection import Limits
from codewire.web.router import Router
from codewire.web.server import Server
from codewire.web.sse import EventStream
from codewire.wire.websocket import GOING_AWAY, Closed, Receiver
from tests.io.webserver import EVENTS, UPGRADE, Client, Site, ask, read_all, status
from tests.processes import wait_until

# Streams of events


def test_a_reader_of_events(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.heartbeat_seconds = 0.1
    with site.connect() as sock, sock.makefile("rb") as file:
        sock.sendall(EVENTS)
        wait_until(lambda: site.streams)
        assert site.last_ids == ["41"]
        stream = site.streams[0]
        assert stream.send("a\nb", "note", "42")
        while file.readline() != b"\r\n":
            pass
        assert [file.readline() for _ in range(7)] == [
            b": connected\n",
            b"\n",
            b"id: 42\n",
            b"event: note\n",
            b"data: a\n",
            b"data: b\n",
            b"\n",
        ]
        assert file.readline() == b": keepalive\n"
    assert site.ended.acquire(timeout=20), "one that has left is noticed"
    assert not stream.send("more")


def test_a_stream_ends_behind_its_last_event(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.heartbeat_seconds = 60
    with site.connect() as sock:
        sock.sendall(EVENTS)
        wait_until(lambda: site.streams)
        site.streams[0].send("last")
        site.streams[0].end()
        sock.settimeout(10)
        assert read_all(sock).endswith(b"data: last\n\n")


def test_a_reader_that_lags_is_cut_off(make_site: Callable[..., Site]) -> None:
    site = make_site()
    with site.connect() as sock:
        sock.sendall(EVENTS)
        wait_until(lambda: site.streams)
        sent = 0
        while site.streams[0].send("x" * 1000):
            sent += 1
            assert sent < 1 << 16
        data = read_all(sock)
    # Whole events, or none yet.
    assert data.endswith((b"\n\n", b"\r\n\r\n")) and data.count(b"data: ") <= sent
    assert site.ended.acquire(timeout=20)


@pytest.mark.parametrize("event", ["a\nb", "a\rb", "a\0"])
def test_an_event_is_one(event: str) -> None:
    with pytest.raises(ValueError):
        EventStream().send("", event)
    with pytest.raises(ValueError):
        EventStream().send("", identity=event)


def test_a_head_of_events(make_site: Callable[..., Site]) -> None:
    answer = ask(make_site(), EVENTS.replace(b"GET", b"HEAD"))
    assert b"text/event-stream" in answer and answer.endswith(b"\r\n\r\n")


# Upgrades and TLS


def test_an_upgrade_gets_what_came_behind_it(make_site: Callable[..., Site]) -> None:
    with make_site().connect() as sock:
        sock.sendall(UPGRADE + b"\x81\x82\0\0\0\0{}\x88\x80\0\0\0\0")
        answer = read_all(sock)
    assert b" 101 " in answer and answer.endswith(b"\r\n\r\n\x81\x02{}\x88\x00")


@pytest.mark.parametrize(
    ("field", "code"),
    [(b"Origin: http://evil", 403), (b"Content-Length: 2", 400), (b"Connection: close", 426)],
)
def test_upgrades_that_are_none(make_site: Callable[..., Site], field: bytes, code: int) -> None:
    data = UPGRADE.replace(b"Host: h\r\n", b"Host: h\r\n" + field + b"\r\n")
    if code == 426:
        data = data.replace(b"Connection: Upgrade\r\n", b"")
    assert status(ask(make_site(idle_seconds=0), data + b"{}" * (code == 400))) == code


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("tls")
    paths = (str(directory / "cert.pem"), str(directory / "key.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-out", paths[0], "-keyout", paths[1]], check=True, timeout=60)
    return paths


@pytest.mark.parametrize("tls_only", [False, True])
def test_one_port_for_both(certificate: tuple[str, str], tls_only: bool) -> None:
    site = Site(Limits(head_seconds=5), server_context(*certificate), tls_only)
    request = b"GET /tls HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    try:
        with site.connect() as sock:
            tls = TlsSocket(sock, client_context(insecure=True), hostname="localhost")
            tls.handshake(time.monotonic() + 10)
            tls.sendall(request)
            data = b""
            while not data.endswith(b"True\n"):
                try:
                    data += tls.recv(1000)
                except BlockingIOError:
                    continue
        in_the_clear = ask(site, request)
        assert in_the_clear.endswith(b"False\n") != tls_only
        assert (b"HTTP/1.1" not in in_the_clear) == tls_only
    finally:
        site.close()


# The end


def test_a_hundred_streams_end_at_once(make_site: Callable[..., Site]) -> None:
    site = make_site(per_address=0)
    readers = [site.connect() for _ in range(100)]
    for sock in readers:
        sock.sendall(EVENTS)
    wait_until(lambda: len(site.streams) == 100)
    idle, socket_, waiting = Client(site), site.connect(), site.connect()
    assert idle.ask("GET", "/hello/x")[0] == 200
    socket_.sendall(UPGRADE)
    assert b" 101 " in socket_.recv(1000)
    goodbye = threading.Thread(target=_answer_goodbye, args=(socket_,))
    goodbye.start()
    for stream in site.streams:
        assert stream.send("last")
    # Each by itself, or it would be False.
    assert site.server.stop()
    for sock in readers:
        assert read_all(sock).endswith(b"data: last\n\n")
    assert read_all(idle.sock) == read_all(waiting) == b""
    with pytest.raises(OSError):
        site.connect().recv(1)
    goodbye.join(10)
    assert all(site.ended.acquire(timeout=20) for _ in readers)


def _answer_goodbye(sock: socket.socket) -> None:
    receiver = Receiver(is_server=False)
    receiver.feed(sock.recv(100))
    assert receiver.next_event() == Closed(GOING_AWAY, "")
    sock.sendall(b"\x88\x80\0\0\0\0")


def test_an_answer_on_its_way_is_finished(make_site: Callable[..., Site]) -> None:
    site = make_site()
    client = Client(site)
    answers: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(client.ask("GET", "/slow")))
    asking.start()
    assert site.entered.wait(10)
    stopping = threading.Thread(target=site.server.stop)
    stopping.start()
    wait_until(lambda: site.server._is_stopping)
    site.release.set()
    asking.join(10)
    stopping.join(10)
    assert answers == [(200, b"done\n")] and client.sock.recv(1) == b""


def test_what_does_not_end_is_cut(make_site: Callable[..., Site]) -> None:
    """A socket that says no goodbye, a reader that takes nothing, a handler that hangs."""
    site = make_site()
    socket_, stalled, hanging = (site.connect() for _ in range(3))
    socket_.sendall(UPGRADE)
    assert b" 101 " in socket_.recv(1000)
    stalled.sendall(EVENTS)
    hanging.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    assert site.entered.wait(10)
    wait_until(lambda: site.streams)
    for _ in range(40):
        site.streams[0].send("x" * 500_000)
        time.sleep(0)
    before = time.monotonic()
    assert not site.server.stop(1.0)
    assert time.monotonic() - before < 10
    assert site.ended.acquire(timeout=20)
    for sock in (socket_, stalled, hanging):
        read_all(sock)


def test_a_listener_that_is_broken_ends_the_loop() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.close()
    with pytest.raises(OSError):
        Server(listener, Router()).run()
