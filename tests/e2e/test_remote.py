"""A node reached over TCP: by our client, by two independent ones, and by those it must refuse."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websocket
import websockets.sync.client as websockets_client
import websockets.sync.server as websockets_server
from websockets import exceptions

from codewire.client import Client
from codewire.errors import ProtocolError, RequestError
from codewire.wire.answers.events import Subscribed
from tests import printer
from tests.follower import Probe
from tests.remote import RemoteHome
from tests.support import wait_until


def ask(address: str, request: str, *fields: str) -> tuple[int, str]:
    """Send one HTTP request by hand; return status and everything that came back."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as sock:
        lines = [request, f"Host: {address}", *fields, "", ""]
        sock.sendall("\r\n".join(lines).encode())
        answer = bytearray()
        while data := sock.recv(65536):
            answer += data
            if b" 101 " in answer[:20] and b"\r\n\r\n" in answer:
                break
    text = answer.decode("latin-1")
    return int(text.split(" ", 2)[1]), text


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def test_who_gets_in(remote: RemoteHome) -> None:
    address, good = remote.address, f"Authorization: Bearer {remote.token}"
    get = "GET /ws HTTP/1.1"
    status, text = ask(address, get, good, *UPGRADE)
    assert status == 101 and "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in text
    assert ask(address, get, good.replace("Bearer", "bEARER"), *UPGRADE)[0] == 101
    assert ask(address, get, f"{good} ", "Origin: http://" + address, *UPGRADE)[0] == 101
    for fields in (
        (),
        ("Authorization: Bearer wrong",),
        ("Authorization: Bearer ",),
        (good.replace("Bearer", "Basic"),),
        (f"{good}x",),
    ):
        status, text = ask(address, get, *fields, *UPGRADE)
        assert status == 401 and text.endswith("\r\n\r\nunauthorized\n"), fields
    assert ask(address, f"GET /ws?token={remote.token} HTTP/1.1", *UPGRADE)[0] == 401
    # The token comes first, then what an upgrade needs.
    assert ask(address, get)[0] == 401
    assert ask(address, get, good)[0] == 426
    assert ask(address, get, good, *UPGRADE[:2], UPGRADE[3])[0] == 400
    assert ask(address, get, good, *UPGRADE, "Origin: http://evil.example")[0] == 403
    for path in ("/", "/ws/", "/wsx", "/peers"):
        assert ask(address, f"GET {path} HTTP/1.1", good, *UPGRADE)[0] == 404
    # Who comes by this way says who they are afterwards; a page in a browser may not even try.
    peer = "GET /peer HTTP/1.1"
    assert ask(address, peer)[0] == 426
    assert ask(address, peer, *UPGRADE, "Origin: http://evil.example")[0] == 403
    assert ask(address, "GET /healthz HTTP/1.1")[0] == 200
    assert ask(address, "HEAD /healthz HTTP/1.1")[1].endswith("\r\n\r\n"), "no body"
    assert ask(address, "HEAD /ws HTTP/1.1")[1].endswith("\r\n\r\n")
    assert ask(address, "BREW\x01 /ws HTTP/1.1")[0] == 400
    assert ask(address, get, "X: " + "y" * 20_000)[0] == 431


def test_the_token_file_is_the_authority(remote: RemoteHome) -> None:
    address, path = remote.address, Path(remote.data_dir, "token")
    path.write_text(" another \n")
    assert ask(address, "GET /ws HTTP/1.1", "Authorization: Bearer another", *UPGRADE)[0] == 101
    path.unlink()
    for token in ("another", ""):
        field = f"Authorization: Bearer {token}"
        assert ask(address, "GET /ws HTTP/1.1", field, *UPGRADE)[0] == 401


class WebsocketClient:
    """A connection of the package websocket-client."""

    def __init__(self, url: str, bearer: str) -> None:
        self._socket = websocket.create_connection(
            url, timeout=20, header=[f"Authorization: {bearer}"], suppress_origin=True
        )
        self.send, self.send_bytes = self._socket.send, self._socket.send_binary
        self.send_raw = self._socket.sock.sendall
        self.receive = self._socket.recv

    def close_code(self) -> int:
        opcode, data = self._socket.recv_data(control_frame=True)
        assert opcode == 8
        self._socket.shutdown()
        return int.from_bytes(data[:2], "big")


class Websockets:
    """A connection of the package websockets."""

    def __init__(self, url: str, bearer: str) -> None:
        self._stack = ExitStack()
        connection = self._stack.enter_context(
            websockets_client.connect(url, additional_headers={"Authorization": bearer})
        )
        self.send = self.send_bytes = connection.send
        self.receive = lambda: connection.recv(timeout=20)
        self._connection = connection

    def close_code(self) -> int:
        with pytest.raises(exceptions.ConnectionClosed) as caught:
            self.receive()
        self._stack.close()
        assert caught.value.rcvd is not None
        return int(caught.value.rcvd.code)


@pytest.mark.parametrize("kind", [WebsocketClient, Websockets])
@pytest.mark.smoke
def test_independent_clients(
    remote: RemoteHome, kind: type[WebsocketClient] | type[Websockets]
) -> None:
    """Several requests on one connection, then an attachment with input, to its end."""
    peer = kind(f"ws://{remote.address}/ws", f"Bearer {remote.token}")
    command = ["sh", "-c", 'read line; echo "got $line"']
    # Sent ahead: the node waits no longer than two seconds for another request.
    for request in (
        {"type": "ListSessions"},
        {"type": "Launch", "command": command, "working_dir": "/"},
        {"type": "Attach", "id": 1},
    ):
        peer.send(json.dumps(request))
    answers = [json.loads(peer.receive()) for _ in range(3)]
    assert [answer["type"] for answer in answers] == ["SessionList", "Launched", "Attached"]
    assert answers[1]["id"] == answers[2]["id"] == 1
    peer.send_bytes(b"hello\n")
    output, notice = b"", ""
    while not notice:
        message = peer.receive()
        if isinstance(message, bytes):
            output += message
        else:
            notice = json.loads(message)["message"]
    assert output == b"hello\r\ngot hello\r\n"
    assert notice == "session completed (0)"
    assert peer.close_code() == 1000


def test_messages_of_sixteen_megabytes(remote: RemoteHome) -> None:
    url, bearer = f"ws://{remote.address}/ws", f"Bearer {remote.token}"
    largest = {"type": "ListSessions", "padding": "x" * (16 << 20)}
    with websockets_client.connect(
        url, additional_headers={"Authorization": bearer}, compression=None, close_timeout=5
    ) as connection:
        connection.send(json.dumps(largest))
        assert json.loads(connection.recv(timeout=60))["type"] == "SessionList"
    # Refused by its header: the node waits for the rest of no message it will not take.
    peer = WebsocketClient(url, bearer)
    peer.send_raw(b"\x81\xff" + (23 << 20).to_bytes(8, "big") + b"mask")
    assert peer.close_code() == 1009
    assert remote.remote_client().list_sessions() == []


def test_every_typed_call(remote: RemoteHome) -> None:
    client = remote.remote_client()
    first, text = b"first\n" * 20_000 + b"typed\n", b"line\n" * 20_000 + b"last\n"
    # Without the echo, which the terminal puts between any two bytes of what is printed.
    command = ["sh", "-c", "stty -echo; echo ready; exec cat"]
    session = client.launch(command, name="cat", tags=["t"], stdin_data=first)
    # In this order, and all of it printed before the kill could cut a line short.
    assert client.wait_for_text(session, "typed", include_echo=True).line == "typed"
    assert client.send_input(session, text) == len(text)
    assert client.wait_for_text(session, "last", include_echo=True).line == "last"
    # Programs of early 2026 want the id; on the node's own socket it is as recorded, without.
    assert client.call({"type": "SendInput", "id": session})["id"] == session
    assert client.list_sessions()[0].name == "cat"
    assert client.status(session).info.status == "running"
    assert client.node_status().listen == remote.address
    events = client.subscribe(session)
    assert isinstance(next(events), Subscribed)
    assert client.kill_by_tags(["t"]).count == 1
    assert client.wait(session)[0].status == "killed"
    assert "session.status" in (event.sent.get("type") for event in events)
    assert "".join(chunk.text for chunk in client.logs(session, tail=1)) == "last\r\n"
    with pytest.raises(RequestError, match="session 99 not found"):
        client.kill(99)


@pytest.mark.smoke
def test_killed_workers_lose_nothing(remote: RemoteHome) -> None:
    """The listening socket stays open; watch, logs -f and an attachment continue at their byte."""
    stop, total = os.path.join(remote.path, "stop"), os.path.join(remote.path, "total")
    session = remote.launch(*printer.command("flood", 1, 3, 20, 100_000, stop, total))
    client, address = remote.remote_client(), remote.address
    found: dict[str, Any] = {}

    def text(chunks: Any) -> str:
        return "".join(chunk.text for chunk in chunks)

    readers = [
        threading.Thread(
            daemon=True, target=lambda: found.update(watch=text(client.watch(session)))
        ),
        threading.Thread(
            target=lambda: found.update(
                logs=text(client.logs(session, follow=True, strip_ansi=False))
            )
        ),
        threading.Thread(
            target=lambda: found.update(attach=follow(address, remote.token, session))
        ),
    ]
    for reader in readers:
        reader.start()
    for _ in range(3):
        size = os.path.getsize(remote.log_path(session))
        wait_until(
            lambda size=size: os.path.getsize(remote.log_path(session)) > size + 5000, 20, "flows"
        )
        remote.kill_worker()
    assert remote.address == address
    Path(stop).touch()
    for reader in readers:
        reader.join(60)
    wanted = printer.lines(1, 0, int(Path(total).read_text()))
    assert remote.log(session) == wanted
    assert found["watch"].encode() == wanted
    assert found["logs"].encode() == wanted
    assert found["attach"] == wanted


def follow(address: str, token: str, session: int) -> bytes:
    """Return all a session prints to an independent client that resumes when it is cut off."""
    output = bytearray()
    while True:
        try:
            with websockets_client.connect(
                f"ws://{address}/ws",
                additional_headers={"Authorization": f"Bearer {token}"},
                close_timeout=1,
            ) as connection:
                request = {"type": "Attach", "id": session, "from_offset": len(output)}
                connection.send(json.dumps(request))
                while True:
                    message = connection.recv(timeout=60)
                    if isinstance(message, bytes):
                        output += message
                    elif json.loads(message)["type"] == "Error":
                        return bytes(output)
        except (OSError, EOFError, exceptions.WebSocketException):
            continue


@pytest.mark.long
def test_a_slow_loris_is_dropped(remote: RemoteHome) -> None:
    """Heads that never end: more than may be open at once, and the good ones still get in."""
    host, port = remote.address.split(":")
    probe = Probe(remote.socket)
    lorises = [socket.create_connection((host, int(port)), 20) for _ in range(140)]
    try:
        for sock in lorises:
            sock.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nX-")
        assert remote.remote_client().list_sessions() == []
        wait_until(lambda: is_dropped(lorises[-1]), 60, "bytes that trickle in do not help")
    finally:
        for sock in lorises:
            sock.close()
    probe.stop()


def is_dropped(sock: socket.socket) -> bool:
    """Send one byte more; say whether the node has closed the connection."""
    sock.settimeout(0.2)
    try:
        sock.sendall(b"a")
        while sock.recv(100):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_thousand_wrong_tokens(remote: RemoteHome) -> None:
    address, probe = remote.address, Probe(remote.socket)
    statuses = [
        ask(address, "GET /ws HTTP/1.1", f"Authorization: Bearer {n}", *UPGRADE)[0]
        for n in range(1000)
    ]
    assert statuses[:10] == [401] * 10
    assert set(statuses[10:]) == {429}
    assert remote.remote_client().list_sessions() == []
    probe.stop()
    # The next line of another kind says how often the last one came.
    remote.launch("true")
    lines = remote.node_output()
    assert lines.count("wrong or missing token") == 1 and "last line repeated 9 times" in lines


def test_an_address_that_cannot_be_had_is_only_logged(runtime: str) -> None:
    home = RemoteHome(runtime)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        home.env["CODEWIRE_LISTEN"] = f"127.0.0.1:{taken.getsockname()[1]}"
        try:
            home.start_node()
            assert home.node_status().get("listen") is None
            assert "address already in use" in home.node_output()
        finally:
            home.close()


# Our client against servers of others


@contextmanager
def scripted(handler: Callable[[Any], None], **options: Any) -> Iterator[str]:
    """Serve with `websockets` as an upstream node would: 32 KiB a message; yield the URL."""
    server = websockets_server.serve(
        handler, "127.0.0.1", 0, max_size=32768, compression=None, **options
    )
    thread = threading.Thread(daemon=True, target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join(10)


def test_messages_for_other_nodes_stay_small() -> None:
    got: list[dict[str, Any]] = []

    def node(connection: Any) -> None:
        request = json.loads(connection.recv(timeout=20))
        got.append(request)
        size = len(request.get("data", "")) * 3 // 4
        kinds = {"SendInput": {"type": "InputSent", "bytes": size}}
        connection.send(json.dumps(kinds.get(request["type"], {"type": "Launched", "id": 7})))

    with scripted(node) as url:
        client = Client(url, "token")
        client.send_input(7, b"x" * 100_000)
        assert len(got) == 7
        assert client.launch(["cat"], stdin_data=b"x" * 20_000) == 7
        with pytest.raises(ProtocolError, match="takes 32768 bytes"):
            client.launch(["cat"], stdin_data=b"x" * 30_000)


def test_a_proxy_is_asked_for_a_tunnel(remote: RemoteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = remote.address.split(":")

    def proxy() -> None:
        listener.settimeout(20)
        client, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(4096)):
            head += data
        asked.append(head)
        upstream = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(daemon=True, target=_pump, args=(upstream, client))
        back.start()
        _pump(client, upstream)
        back.join(10)
        client.close()
        upstream.close()

    thread = threading.Thread(daemon=True, target=proxy)
    thread.start()
    proxy_url = f"http://me:pass@127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("HTTP_PROXY", proxy_url)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert Client("http://node.example:9100", remote.token).list_sessions() == []
    thread.join(10)
    listener.close()
    assert asked[0].startswith(b"CONNECT node.example:9100 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in asked[0]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
