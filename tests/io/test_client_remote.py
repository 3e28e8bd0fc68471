"""Where a remote target leads: URLs, proxies, saved servers, and how it is tried again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from codewire.client import Client
from codewire.client.reach.connection import Redial
from codewire.client.reach.remote import WebRoute, parse_url
from codewire.client.reach.route import LONGEST_PAUSE, PAUSE
from codewire.client.reach.servers import (
    Options,
    Server,
    add_server,
    load_servers,
    remove_server,
    server_route,
    websocket_url,
)
from codewire.errors import (
    CodewireError,
    ConfigError,
    ConnectionLost,
    NodeHungUp,
    NodeRefused,
    UsageError,
)
from codewire.io.outbound import Address
from codewire.io.proxies import Proxy, proxy_for


@pytest.mark.parametrize(
    ("given", "dialled"),
    [
        ("https://h", "wss://h/ws"),
        ("http://h:1/", "ws://h:1/ws"),
        ("ws://h/ws", "ws://h/ws"),
        ("wss://h/deep/ws/", "wss://h/deep/ws"),
        ("h:9100", "ws://h:9100/ws"),
    ],
)
def test_urls_as_they_are_dialled(given: str, dialled: str) -> None:
    assert websocket_url(given) == dialled


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://h/ws", Address(False, "h", 80, "h", "/ws")),
        ("wss://h:9/a/ws", Address(True, "h", 9, "h:9", "/a/ws")),
        ("wss://[::1]/ws", Address(True, "::1", 443, "[::1]", "/ws")),
        ("ws://[::1]:9/ws", Address(False, "::1", 9, "[::1]:9", "/ws")),
    ],
)
def test_urls_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "ws:///ws",
        "ftp://h/ws",
        websocket_url("ftp://h"),
        "ws://u@h/ws",
        "ws://h:x/ws",
        "ws://h:99999/ws",
    ],
)
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(NodeRefused):
        parse_url(url)


PROXY = {"https_proxy": "http://p:3128", "NO_PROXY": "a.b, .c.d,e:443,[f::1]"}


@pytest.mark.parametrize(
    ("host", "port", "is_proxied"),
    [
        ("x", 1, True),
        ("localhost", 1, False),
        ("127.0.0.2", 1, False),
        ("::1", 1, False),
        ("a.b", 1, False),
        ("sub.a.b", 1, False),
        ("xa.b", 1, True),
        ("y.C.d", 1, False),
        ("e", 443, False),
        ("e", 444, True),
        ("f::1", 1, False),
    ],
)
def test_no_proxy(host: str, port: int, is_proxied: bool) -> None:
    assert bool(proxy_for(host, port, True, PROXY)) == is_proxied


def test_proxies() -> None:
    assert proxy_for("h", 1, False, PROXY) is None
    assert proxy_for("h", 1, False, {"ALL_PROXY": "p:1"}) == Proxy("p", 1, "")
    assert proxy_for("h", 1, False, {"HTTP_PROXY": "http://p"}) == Proxy("p", 80, "")
    both = {"http_proxy": "http://low:1", "HTTP_PROXY": "http://UP:2"}
    assert proxy_for("h", 1, False, both) == Proxy("low", 1, "")
    given = {"http_proxy": "http://u%40x:p@[::1]:8/"}
    assert proxy_for("h", 1, False, given) == Proxy("::1", 8, "Basic dUB4OnA=")
    assert proxy_for("h", 1, False, {**both, "no_proxy": "*"}) is None
    for url in ("socks5://p:1", "https://p:1", "http://p:x"):
        with pytest.raises(NodeRefused):
            proxy_for("h", 1, False, {"http_proxy": url})


def test_saved_servers(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "servers.toml")
    assert load_servers(path) == {}
    full = Server("wss://h", 'to"ken', "/ca.pem", True)
    add_server(path, "my server.x", full)
    add_server(path, "b", Server("ws://h"))
    assert load_servers(path) == {"my server.x": full, "b": Server("ws://h")}
    assert os.stat(path).st_mode & 0o777 == 0o600
    remove_server(path, "b")
    assert list(load_servers(path)) == ["my server.x"]
    assert os.listdir(tmp_path / "new") == ["servers.toml"]
    with pytest.raises(CodewireError, match='server "b" not found'):
        remove_server(path, "b")


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    path.write_text("[servers.x\n")
    with pytest.raises(ConfigError):
        add_server(str(path), "y", Server("ws://h"))
    assert path.read_text() == "[servers.x\n"
    path.write_text("other = 1\n[servers.x]\ntoken = 'no url'\n")
    with pytest.raises(ConfigError, match='server "x" has no url'):
        load_servers(str(path))
    add_server(str(path), "y", Server("ws://h"))
    assert "other = 1" in path.read_text()


def test_ways_to_servers(tmp_path: Path) -> None:
    path = str(tmp_path / "servers.toml")
    add_server(path, "gpu", Server("https://g", "t", "/ca", False))
    route = server_route(path, "gpu", Options())
    assert (route.url, route.token, route.ca, route.warning()) == ("wss://g/ws", "t", "/ca", "")
    given = server_route(path, "gpu", Options("mine", "/other", True))
    assert (given.token, given.ca) == ("mine", "/other")
    assert given.warning() == "the certificate of wss://g/ws is not checked"
    assert server_route(path, "http://h", Options()).url == "ws://h/ws"
    with pytest.raises(UsageError, match="^--token required for ad-hoc WebSocket server$"):
        server_route(path, "h:1", Options())
    with pytest.raises(UsageError, match="saved servers: gpu"):
        server_route(path, "cpu", Options())


def test_a_remote_node_is_tried_ever_more_slowly() -> None:
    told: list[str] = []
    redial = Redial(WebRoute("ws://127.0.0.1:1/ws"), told.append)
    pauses = []
    for _ in range(12):
        pauses.append(redial.pause())
        assert redial.try_open() is None
    assert pauses[0] <= PAUSE * 1.25
    assert LONGEST_PAUSE * 0.75 <= pauses[-1] <= LONGEST_PAUSE * 1.25
    assert told == ["[cw] connection to ws://127.0.0.1:1/ws lost; trying again"]
    redial.succeeded()
    assert redial.pause() <= PAUSE * 1.25


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"the node's worker cannot start: disk full\n",
            ": the node's worker cannot start: disk full",
        ),
        (b"first\r\nsecond", ": first"),
        (b"<html><body>503</body></html>", ""),
        (b"\x1b[2J", ""),
        (b"\xff" * 3000, ": " + "\ufffd" * 400),
        (b"", ""),
    ],
)
def test_why_a_node_cannot_serve_is_passed_on(body: bytes, words: str) -> None:
    error = WebRoute("ws://h/ws", "t").refusal(503, body)
    assert str(error) == f"the server answered 503{words}"
    assert not isinstance(error, NodeRefused)


def test_a_url_that_cannot_be_dialled_is_not_tried_again() -> None:
    redial = Redial(WebRoute("ws://host:port/ws"))
    with pytest.raises(ConnectionLost, match="bad host or port"):
        redial.open()


@pytest.fixture
def old_node() -> Iterator[tuple[Client, list[str]]]:
    """A node of early 2026: it knows few requests and closes, in good order, at any other."""
    heard: list[str] = []

    def answer(ws: ServerConnection) -> None:
        text = str(ws.recv(timeout=10))
        heard.append(text)
        if "ListSessions" in text:
            ws.send('{"type":"SessionList","sessions":[]}')

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(f"http://127.0.0.1:{server.socket.getsockname()[1]}", "t"), heard
        server.shutdown()
        thread.join(10)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.send_input(1, b"x"),
        lambda client: client.kill(1),
        lambda client: client.status(1),
        lambda client: client.wait(1),
        lambda client: list(client.logs(1)),
        lambda client: next(client.subscribe()),
    ],
)
def test_a_goodbye_for_an_answer_is_one(
    old_node: tuple[Client, list[str]], call: Callable[[Client], object]
) -> None:
    client, heard = old_node
    assert client.list_sessions() == []
    began = time.monotonic()
    with pytest.raises(NodeHungUp, match="closed the connection instead of answering"):
        call(client)
    assert time.monotonic() - began < 10, "not tried again for 20 s"
    assert len(heard) == 2, "asked once"


@pytest.mark.timeout(20)
def test_what_it_knows_is_nothing_where_it_hangs_up(old_node: tuple[Client, list[str]]) -> None:
    client, _ = old_node
    assert not client.knows("submit")
    with pytest.raises(UsageError, match="does not know --clean-env"):
        client.launch(["true"], clean_env=True)
