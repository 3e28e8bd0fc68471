"""The HTTP server over real sockets: requests, bodies, keep-alive, limits, crowds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from codewire.wire.http import MAX_BODY
from tests.io.webserver import Client, Site, ask, read_all, status
from tests.processes import wait_until

# Requests and answers


def test_one_connection_many_requests(make_site: Callable[..., Site]) -> None:
    client = Client(make_site())
    assert client.ask("GET", "/hello/a%2Fb") == (200, b"a/b\n")
    assert client.ask("HEAD", "/hello/x") == (200, b"")
    body = bytes(range(256)) * 1000
    assert client.ask("POST", "/echo", body, Content_Length=str(len(body))) == (200, body)
    assert client.ask("POST", "/echo", body, Transfer_Encoding="chunked") == (200, body)
    assert client.ask("GET", "/none")[0] == 404
    assert client.ask("PUT", "/hello/x")[0] == 405
    assert client.ask("GET", "/broken")[0] == 500
    assert client.ask("GET", "/hello/%ff")[0] == 400
    assert client.sock.recv(1) == b""


def test_requests_sent_ahead_are_answered_in_order(make_site: Callable[..., Site]) -> None:
    first = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
    chunked = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    last = b"GET /hello/three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    data = first + chunked + b"2\r\ntw\r\n1\r\no\r\n0\r\n\r\n" + last
    answer = ask(make_site(), data)
    assert [part[-3:] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
        b"one",
        b"two",
        b"ee\n",
    ]
    assert answer.count(b"Connection: close") == 1


def test_one_request_a_connection(make_site: Callable[..., Site]) -> None:
    answer = ask(make_site(idle_seconds=0), b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n" * 2)
    assert answer.count(b"HTTP/1.1") == 1 and b"Connection: close" in answer


def test_a_client_may_wait_for_leave(make_site: Callable[..., Site]) -> None:
    with make_site().connect() as sock:
        head = b"POST /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
        sock.sendall(head + b"4\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abcd")
        assert b"200 OK" in sock.recv(1000)
        sock.sendall(head + b"5\r\n\r\n")
        assert status(read_all(sock)) == 413


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * (5 << 20) + b"\r\n\r\n", 431),
        (b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 400),
        (b"\x16\x03\x01\x00", 400),
    ],
)
def test_what_is_refused_is_told(make_site: Callable[..., Site], data: bytes, code: int) -> None:
    assert status(ask(make_site(), data)) == code


def trickle(site: Site, start: bytes) -> bytes:
    """Send one byte after the other for as long as the server likes; return its answer."""
    with site.connect() as sock:
        sock.sendall(start)
        for _ in range(200):
            sock.sendall(b"a")
            sock.settimeout(0.1)
            try:
                sock.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        sock.settimeout(20)
        return read_all(sock)


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n",
    ],
)
def test_bytes_that_trickle_in_gain_nothing(make_site: Callable[..., Site], start: bytes) -> None:
    before = time.monotonic()
    assert status(trickle(make_site(head_seconds=0.5, body_seconds=0.5), start)) == 408
    assert time.monotonic() - before < 10


def test_the_idle_are_closed_without_a_word(make_site: Callable[..., Site]) -> None:
    answer = ask(make_site(idle_seconds=0.2), b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.endswith(b"x\n") and answer.count(b"HTTP/1.1") == 1


# Crowds


def test_too_many_of_one_address_are_told(make_site: Callable[..., Site]) -> None:
    site = make_site(per_address=2)
    held = [Client(site) for _ in range(2)]
    assert [client.ask("GET", "/hello/x")[0] for client in held] == [200, 200]
    request = b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n"
    assert status(ask(site, request)) == 429
    held.pop().sock.close()
    wait_until(lambda: len(site.server._connections) < 2)
    assert Client(site).ask("GET", "/hello/x")[0] == 200


def test_who_is_known_counts_no_longer(make_site: Callable[..., Site]) -> None:
    site = make_site(per_address=2)
    held = []
    for _ in range(4):
        held.append(Client(site))
        # Twice is once.
        assert [held[-1].ask("GET", "/known")[0] for _ in range(2)] == [200, 200]
    strangers = [Client(site) for _ in range(2)]
    assert [client.ask("GET", "/hello/x")[0] for client in strangers] == [200, 200]
    assert status(ask(site, b"GET /known HTTP/1.1\r\nHost: h\r\n\r\n")) == 429
    for client in (*held, *strangers):
        client.sock.close()
    wait_until(lambda: not site.server.connections)
    assert not site.server._addresses and not site.server._unknown


def test_a_proxys_clients_are_not_one(make_site: Callable[..., Site]) -> None:
    site = make_site(per_address=1, is_exempt=lambda address: address == "127.0.0.1")
    held = [Client(site) for _ in range(3)]
    assert [client.ask("GET", "/hello/x")[0] for client in held] == [200] * 3


def test_too_many_are_told(make_site: Callable[..., Site]) -> None:
    site = make_site(connections=1)
    held = Client(site)
    assert held.ask("GET", "/hello/x")[0] == 200
    assert status(ask(site, b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n")) == 503


def test_the_oldest_without_a_head_makes_room(make_site: Callable[..., Site]) -> None:
    site = make_site(heads=2)
    held = [site.connect() for _ in range(2)]
    wait_until(lambda: len(site.server._crowd) == 2)
    assert Client(site).ask("GET", "/hello/x")[0] == 200
    assert held[0].recv(1) == b""
    held[1].sendall(b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"200 OK" in held[1].recv(1000)
