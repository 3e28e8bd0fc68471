"""A node reached over TCP: by our client, by two independent ones, and by those it must refuse."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
import time
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
from codewire.errors import NodeRefused, NodeUnreachable, ProtocolError, RequestError
from tests import printer
from tests.follower import Probe
from tests.support import Home, wait_until
from tests.terminal import Terminal


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


@pytest.fixture
def remote(runtime: str) -> Iterator[RemoteHome]:
    home = RemoteHome(runtime)
    try:
        home.start_node()
        yield home
    finally:
        home.close()


def ask(address: str, request: str, *fields: str) -> tuple[int, str]:
    """Send one HTTP request by hand; return status and everything that came back."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as sock:
        lines = [request, f"Host: {address}", *fields, "", ""]
        sock.sendall("\r\n".join(lines).encode())
        answer = bytearray()
        while data := sock.recv(65536):
            answer += data
            if b" 101 " in answer[:20]:
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
    assert ask(address, get, f"{good} ", "Origin: http://" + address, *UPGRADE)[0] == 101
    for fields in (
        (),
        ("Authorization: Bearer wrong",),
        ("Authorization: Bearer ",),
        (good.replace("Bearer", "bearer"),),
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
    for path in ("/", "/ws/", "/wsx", "/peer"):
        assert ask(address, f"GET {path} HTTP/1.1", good, *UPGRADE)[0] == 404
    assert ask(address, "GET /healthz HTTP/1.1")[0] == 200
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
        self.receive = self._socket.recv

    def close_code(self) -> int:
        opcode, data = self._socket.recv_data(control_frame=True)
        assert opcode == 8
        self._socket.shutdown()
        return int.from_bytes(data, "big")


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
def test_independent_clients(
    remote: RemoteHome, kind: type[WebsocketClient] | type[Websockets]
) -> None:
    """Several requests on one connection, then an attachment with input, to its end."""
    peer = kind(f"ws://{remote.address}/ws", f"Bearer {remote.token}")
    peer.send(json.dumps({"type": "ListSessions"}))
    assert json.loads(peer.receive())["type"] == "SessionList"
    command = ["sh", "-c", 'read line; echo "got $line"']
    peer.send(json.dumps({"type": "Launch", "command": command, "working_dir": "/"}))
    launched = json.loads(peer.receive())
    peer.send(json.dumps({"type": "Attach", "id": launched["id"]}))
    assert json.loads(peer.receive())["type"] == "Attached"
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
        connection.send(json.dumps({**largest, "padding": "x" * (23 << 20)}))
        with pytest.raises(Exception, match="1009"):
            connection.recv(timeout=60)
    assert remote.remote_client().list_sessions() == []


def test_every_typed_call(remote: RemoteHome) -> None:
    client = remote.remote_client()
    session = client.launch(["cat"], name="cat", tags=["t"], stdin_data=b"first\n" * 20_000)
    text = b"line\n" * 20_000
    assert client.send_input(session, text) == len(text)
    assert client.list_sessions()[0]["name"] == "cat"
    assert client.status(session)["info"]["status"] == "running"
    assert client.node_status()["listen"] == remote.address
    events = client.subscribe(session)
    assert next(events)["type"] == "SubscribeAck"
    assert client.kill_by_tags(["t"]) == 1
    assert client.wait(session)[0]["status"] == "killed"
    assert "session.status" in (event["event"]["type"] for event in events)
    assert "".join(chunk.text for chunk in client.logs(session, tail=1)).startswith("line")
    with pytest.raises(RequestError, match="session 99 not found"):
        client.kill(99)


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


def test_attach_by_name_from_elsewhere(remote: RemoteHome, home: Home) -> None:
    """The whole way of a user: save, launch, attach through a restart, detach, kill."""
    address = remote.address
    assert home.cw("server", "add", "dev-1", f"http://{address}/", "--token", remote.token)
    saved = Path(home.data_dir, "servers.toml")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert home.cw("launch", "dev-1:bot", "--", "cat").returncode == 0
    terminal = Terminal()
    try:
        terminal.process = home.popen("attach", "dev-1:bot", **terminal.streams)
        terminal.expect(b"[cw] attached to session 1")
        terminal.expect_raw()
        terminal.type(b"before\n")
        terminal.expect(b"before\r\nbefore")
        remote.kill_worker()
        wait_until(lambda: remote.session(1)["attached"], 20, "attached again")
        terminal.type(b"after\n")
        terminal.expect(b"after\r\nafter")
        terminal.type(b"\x02d")
        assert terminal.wait() == 0
        terminal.expect(b"[cw] detached from session 1")
    finally:
        terminal.close()
    done = home.cw("kill", "dev-1:bot")
    assert (done.returncode, done.stderr) == (0, "Session 1 killed\n")
    assert home.processes() == [], "a remote command started a local node"


def test_node_prefixes(remote: RemoteHome, home: Home) -> None:
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    assert home.cw("launch", "dev-1", "-t", "build", "--", "true").returncode == 0
    assert home.cw("wait", "dev-1:1").stdout.startswith("=== 1 (exit_code=0)")
    assert "completed (0)" in home.cw("list", "dev-1").stdout
    assert "exit_code=0" in home.cw("wait", "dev-1", "--tag", "build").stdout
    assert home.cw("kill", "dev-1", "--all").stderr == "Killed 0 session(s)\n"
    with home.popen("subscribe", "dev-1", "--tag", "build") as events:
        assert events.stderr is not None and events.stdout is not None
        assert b"subscribed" in events.stderr.readline()
        home.cw("launch", "dev-1", "-t", "build", "--", "true")
        assert b"session.created" in events.stdout.readline()
        events.terminate()
    unknown = home.cw("list", "dev-2")
    assert unknown.returncode == 1
    assert 'unknown node "dev-2": saved servers: dev-1' in unknown.stderr
    assert "cannot be combined" in home.cw("-s", "x", "list", "dev-1").stderr
    by_variable = home.cw("list", "--json", env={"CODEWIRE_SERVER": "dev-1"})
    assert len(json.loads(by_variable.stdout)) == 2
    assert by_variable.stdout == home.cw("--server", "dev-1", "list", "--json").stdout


def test_a_node_alone_is_attached_where_nobody_is(remote: RemoteHome, home: Home) -> None:
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    home.cw("launch", "dev-1:bot", "--", "cat")
    terminal = Terminal()
    try:
        terminal.process = home.popen("attach", "dev-1", **terminal.streams)
        terminal.expect(b"attaching to session bot (1): cat")
        terminal.expect(b"attached to session 1")
        terminal.expect_raw()
        terminal.type(b"\x02d")
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_an_attachment_that_is_not_taken_back_says_why(remote: RemoteHome, home: Home) -> None:
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    remote.launch("cat")
    terminal = Terminal()
    try:
        terminal.process = home.popen("attach", "dev-1:1", **terminal.streams)
        terminal.expect(b"attached to session 1")
        Path(remote.data_dir, "token").write_text("another")
        remote.kill_worker()
        assert terminal.wait() == 1
        terminal.expect(b"does not accept this token")
    finally:
        terminal.close()


class Cable:
    """A way to a node that can be cut: who dials then is let in and hears nothing."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._node = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._is_cut = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for end in self._ends:
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Wakes who accepts; closing alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._ends.append(client)
            if not self._is_cut:
                node = socket.create_connection(self._node)
                self._ends.append(node)
                for pair in ((client, node), (node, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return


def test_an_attachment_can_be_left_while_the_network_is_away(remote: RemoteHome) -> None:
    remote.launch("cat")
    cable, terminal = Cable(remote.address), Terminal()
    try:
        flags = ("--server", f"http://127.0.0.1:{cable.port}", "--token", remote.token)
        terminal.process = remote.popen("attach", "1", *flags, **terminal.streams)
        terminal.expect(b"attached to session 1")
        terminal.expect_raw()
        cable.cut()
        terminal.expect(b"reconnecting...", 5)
        terminal.type(b"\x02d")
        assert terminal.wait(3) == 0
        terminal.expect(b"detached from session 1")
    finally:
        terminal.close()
        cable.close()


def test_unknown_nodes_are_named_where_tags_could_stand(home: Home) -> None:
    home.cw("server", "add", "dev-1", "http://127.0.0.1:1")
    for command in ("kill", "wait", "watch", "subscribe"):
        done = home.cw(command, "dev-2:3")
        line = done.stderr.splitlines()[-1]
        assert done.returncode == 1
        assert line.startswith('Error: unknown node "dev-2": saved servers: dev-1; no session or')
    assert "unknown node" not in home.cw("kill", "group:none").stderr


def test_tags_and_sessions_of_a_node(remote: RemoteHome, home: Home) -> None:
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    home.cw("launch", "dev-1:one", "build", "--", "sh", "-c", "echo 1; sleep 1")
    home.cw("launch", "dev-1:two", "build", "--", "sh", "-c", "echo 2")
    watched = home.cw("watch", "dev-1", "--tag", "build")
    assert sorted(watched.stdout.splitlines()) == ["[dev-1:one] 1", "[dev-1:two] 2"]
    home.cw("launch", "dev-1", "--", "cat")
    with home.popen("subscribe", "dev-1", "--session", "3") as events:
        assert events.stderr is not None and events.stdout is not None
        assert b"subscribed" in events.stderr.readline()
        home.cw("kill", "dev-1:3")
        assert b"[session 3]" in events.stdout.readline()
        events.terminate()


def test_senders_and_listeners_on_another_node(remote: RemoteHome, home: Home) -> None:
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    for name in ("planner", "coder"):
        home.cw("launch", f"dev-1:{name}", "--", "cat")
    with home.popen("listen", "dev-1") as letters:
        assert letters.stderr is not None and letters.stdout is not None
        assert b"listening" in letters.stderr.readline()
        for sender in ("planner", "dev-1:planner"):
            assert home.cw("msg", "-f", sender, "dev-1:coder", "hello").returncode == 0
            assert letters.stdout.readline() == "[planner → coder] hello\n".encode()
        letters.terminate()
    asked = home.cw("request", "-f", "planner", "dev-1:coder", "?", "--timeout", "1")
    assert "'cw inbox dev-1:planner'" in asked.stderr
    home.cw("launch", "here", "--", "cat")
    elsewhere = home.cw("msg", "-f", "dev-1:planner", "here", "hello")
    assert "--from must be a session of the node" in elsewhere.stderr


def test_saved_servers(home: Home) -> None:
    assert home.cw("server", "list").stdout == "No saved servers\n"
    for name in ("b", "a.c"):
        done = home.cw("server", "add", name, "wss://h:1", "--token", "secret")
        assert (done.returncode, done.stderr) == (0, f'Server "{name}" added\n')
    listed = home.cw("server", "list")
    assert listed.stdout == f"{'NAME':<20} URL\n{'a.c':<20} wss://h:1\n{'b':<20} wss://h:1\n"
    assert home.cw("server", "remove", "b").stderr == 'Server "b" removed\n'
    gone = home.cw("server", "remove", "b")
    assert (gone.returncode, gone.stderr) == (1, 'Error: server "b" not found\n')
    for url in ("http://user@h", "ftp://h"):
        assert home.cw("server", "add", "x", url).returncode == 1
    assert home.cw("server", "add", "p", "http://h", "--token", "-", input="hush\n").returncode == 0
    assert 'token = "hush"' in Path(home.data_dir, "servers.toml").read_text()
    assert home.cw("server", "add", "q", "http://h", "--token", "-").returncode == 1
    assert "cw server add" in home.cw("server").stdout
    assert home.cw("server", "frob").stderr == 'Error: unknown command "frob" for "cw server"\n'
    assert "secret" not in "".join(listed.stdout + listed.stderr)


def test_plain_words_for_what_fails(remote: RemoteHome) -> None:
    address = remote.address
    for token, words in (("wrong", "does not accept this token"), ("", "asks for a token")):
        with pytest.raises(NodeRefused, match=words):
            Client(f"http://{address}", token).list_sessions()
    with pytest.raises(NodeRefused, match="tls: "):
        Client(f"https://{address}", "x").list_sessions()
    with pytest.raises(NodeUnreachable, match="connection refused"):
        Client("http://127.0.0.1:1", "x").list_sessions()


def test_a_slow_loris_is_dropped(remote: RemoteHome) -> None:
    """Heads that never end: more than may be open at once, and the good ones still get in."""
    host, port = remote.address.split(":")
    probe = Probe(remote.socket)
    lorises = [socket.create_connection((host, int(port)), 20) for _ in range(140)]
    try:
        for sock in lorises:
            sock.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nX-")
        assert remote.remote_client().list_sessions() == []
        last = lorises[-1]
        started = time.monotonic()
        while time.monotonic() - started < 15:
            try:
                last.sendall(b"a")
                last.settimeout(0.2)
                if not last.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - started < 13, "a byte now and then keeps a connection open"
    finally:
        for sock in lorises:
            sock.close()
    assert probe.stop() < 5


def test_a_thousand_wrong_tokens(remote: RemoteHome) -> None:
    address, probe = remote.address, Probe(remote.socket)
    statuses = [
        ask(address, "GET /ws HTTP/1.1", f"Authorization: Bearer {n}", *UPGRADE)[0]
        for n in range(1000)
    ]
    assert statuses[:10] == [401] * 10
    assert set(statuses[10:]) == {429}
    assert remote.remote_client().list_sessions() == []
    assert probe.stop() < 2
    assert remote.node_output().count("wrong or missing token") == 10


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


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that vouches for itself, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    paths = (str(directory / "cert.pem"), str(directory / "key.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, *names, "-out", paths[0], "-keyout", paths[1]],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return paths


def test_tls_in_process(runtime: str, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    home = RemoteHome(runtime)
    os.makedirs(home.data_dir, 0o700)
    config = Path(home.data_dir, "config.toml")
    config.write_text(f'[node]\ntls_cert = "{cert}"\ntls_key = "{key}"\n')
    try:
        home.start_node()
        url = f"https://localhost:{home.address.rsplit(':', 1)[1]}"
        client = Client(url, home.token, ca=cert)
        session = client.launch(["sh", "-c", "read x; seq 20000; echo $x"])
        size = client.send_input(session, b"end\n")
        assert size == 4
        text = "".join(chunk.text for chunk in client.watch(session))
        assert text.endswith("\r\n20000\r\nend\r\n")
        with websockets_client.connect(
            url.replace("https", "wss") + "/ws",
            additional_headers={"Authorization": f"Bearer {home.token}"},
            ssl=ssl.create_default_context(cafile=cert),
        ) as connection:
            connection.send('{"type":"ListSessions"}')
            assert json.loads(connection.recv(timeout=20))["type"] == "SessionList"
        with pytest.raises(NodeRefused, match="not trusted: self.signed"):
            Client(url, home.token).list_sessions()
        told: list[str] = []
        insecure = Client(url, home.token, insecure=True, notify=told.append)
        assert len(insecure.list_sessions()) == 1
        assert "is not checked" in told[0]
        for flags in (("--ca", cert), ("--insecure",)):
            agent = home.cw("mcp-server", "-s", url, "--token", home.token, *flags)
            assert agent.returncode == 0 and "not trusted" not in agent.stderr
        with pytest.raises(NodeUnreachable):
            Client(url.replace("https", "http"), home.token).list_sessions()
    finally:
        home.close()


@pytest.mark.parametrize("line", ['tls_key = "key.pem"', 'tls_cert = "missing.pem"'])
def test_half_configured_tls_never_listens_in_the_clear(runtime: str, line: str) -> None:
    home = RemoteHome(runtime)
    os.makedirs(home.data_dir, 0o700)
    Path(home.data_dir, "config.toml").write_text(f"[node]\n{line}\n")
    try:
        home.start_node()
        assert home.node_status().get("listen") is None
        assert "not reachable from other machines" in home.node_output()
        assert "tls_cert" in home.node_output()
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
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
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
