"""The fleet over a real nats-server: nodes join, are found, driven and left (spec/fleet.md).

The nodes are shared by the cases of this file; each uses sessions of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from codewire.errors import CodewireError
from codewire.fleet import asking
from codewire.fleet.link import NatsError
from codewire.fleet.settings import Nats
from tests.natsserver import NatsServer, RawNats, credentials
from tests.remote import free_port
from tests.support import Home, wait_until

SECRET = "hush-s3cret"
# Whoever has not answered by then is not listed: three nodes on a machine with other work.
LIST_SECONDS = "3"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Member:
    """A node in the fleet, in a home of its own; "c" is told of it by its environment."""

    def __init__(self, name: str, server: NatsServer, runtime: str) -> None:
        self.home = Home(runtime)
        self.name = name
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        os.makedirs(self.home.data_dir, exist_ok=True)
        text = f'[node]\nname = "{self.name}"\nlisten = "127.0.0.1:{self.port}"\n'
        text += f'external_url = "{self.url}"\n'
        if name == "c":
            user = server.url.replace("//", f"//u:{SECRET}@")
            self.home.env.update(CODEWIRE_NATS_URL=user, CODEWIRE_NATS_TOKEN=SECRET)
        else:
            text += f'[nats]\nurl = "{server.url}"\n'
        Path(self.home.data_dir, "config.toml").write_text(text)

    @property
    def token(self) -> str:
        return Path(self.home.data_dir, "token").read_text().strip()

    def fleet(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.home.node_status().get("fleet") or {}
        except (OSError, AssertionError):
            return {}
        return found

    def wait_for(self, state: str) -> None:
        wait_until(lambda: self.fleet().get("state") == state, 60, f"the bridge is {state}")

    def bridges(self) -> list[int]:
        children = Path(f"/proc/{self.home.worker_pid}/task").glob("*/children")
        return [int(pid) for path in children for pid in path.read_text().split()]


@pytest.fixture(scope="module")
def members(server: NatsServer) -> Iterator[list[Member]]:
    runtimes = {"a": "threads", "b": "gevent", "c": "threads"}
    found = [Member(name, server, runtime) for name, runtime in runtimes.items()]
    try:
        for member in found:
            member.home.start_node()
        for member in found:
            member.wait_for("connected")
        yield found
    finally:
        for member in found:
            member.home.close()


@pytest.fixture(scope="module")
def client(server: NatsServer) -> Iterator[Home]:
    home = Home()
    home.env["CODEWIRE_NATS_URL"] = server.url
    home.env["CODEWIRE_NODE_NAME"] = "client"
    yield home
    home.close()


@pytest.fixture
def raw(server: NatsServer) -> Iterator[RawNats]:
    raw = RawNats(server.port)
    yield raw
    raw.close()


@pytest.mark.smoke
def test_nodes_are_found_and_driven(members: list[Member], client: Home) -> None:
    shown = client.cw("fleet", "list", "--json", "--timeout", LIST_SECONDS).stdout
    assert [entry["name"] for entry in json.loads(shown)] == ["a", "b", "c"]
    a, b = members[:2]
    words = ("--on", "b", "--", "sh", "-c", "echo hi; read x; echo got $x")
    assert client.cw("fleet", "launch", *words).stdout == "Launched session 1 on b\n"
    assert client.cw("fleet", "send", "b:1", "hé").stdout == "Sent 4 bytes to b:1\n"
    assert b.home.wait_finished(1)["status"] == "completed (0)"
    assert "got hé".encode() in b.home.log(1)
    refused = client.cw("fleet", "send", "b:1", "x")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: session 1 is not running\n")
    assert client.cw("fleet", "launch", "--on", "b", "sleep", "600").stdout.endswith("2 on b\n")
    assert client.cw("fleet", "kill", "b:2").stdout == "Killed session 2 on b\n"
    assert b.home.wait_finished(2)["status"] == "killed"
    shown = client.cw("fleet", "list", "--timeout", LIST_SECONDS).stdout
    pattern = (
        rf"b \(up \d+s, url: {re.escape(b.url)}\)\n"
        r"  \[  1\] sh -c echo hi; read x; echo got \$x \(completed \(0\)\) \S+\n"
        r"  \[  2\] sleep 600 \(killed\) \S+\n\n"
    )
    assert re.search(pattern, shown), shown
    injected = client.cw("fleet", "launch", "--on", "a.x 0\r\n\r\nPUB evil 2\r\nhi", "true")
    assert injected.returncode == 1 and "node name must be" in injected.stderr
    assert a.home.request({"type": "ListSessions"})["sessions"] == []


def test_other_commands_take_a_node_and_a_token_of_its_host(
    members: list[Member], client: Home
) -> None:
    a = members[0]
    session = a.home.launch("sh", "-c", "echo marker; sleep 600")
    refused = client.cw("logs", f"a:{session}")
    assert "no auth token for 'a'" in refused.stderr
    client.cw("server", "add", "saved", a.url, "--token", a.token)
    assert "marker" in client.cw("logs", f"a:{session}").stdout
    # The name is saved for another host: it gets nothing that was saved for that one.
    client.cw("server", "remove", "saved")
    client.cw("server", "add", "a", "wss://elsewhere.example", "--token", "t")
    failed = client.cw("fleet", "attach", f"a:{session}")
    assert failed.returncode == 1 and "elsewhere.example" in failed.stderr
    client.cw("server", "remove", "a")
    a.home.request({"type": "Kill", "id": session})


def test_golden_exchanges(members: list[Member], raw: RawNats) -> None:
    infos = raw.ask("cw.fleet.discover", b'{"type":"Discover"}', 6)
    ours = [info for info in infos if info["name"] == "a"]
    assert [info.pop("type") for info in ours] == ["DaemonInfo", "NodeInfo"]
    assert ours[0] == ours[1]
    keys = ["name", "external_url", "sessions", "uptime_secs", "instance"]
    assert list(ours[0]) == keys and re.fullmatch("[0-9a-f]{12}", ours[0]["instance"])
    launch = b'{"type":"Launch","command":["sh","-c","cat; exit 3"],"working_dir":"."}'
    (answer,) = raw.ask_bytes("cw.a.launch", launch)
    session = json.loads(answer)["id"]
    both = b'"node":"a","daemon":"a"'
    assert answer == b'{"type":"Launched",%s,"id":%d}' % (both, session)
    exchanges = (
        ("launch", b'{"type":"Launch","command":["nosuchcmd"],"working_dir":"."}',
         b'{"type":"Error",%s,"message":"Command \'nosuchcmd\' not found in PATH"}'),
        ("launch", b'{"type":"Launch","command":["true"],"working_dir":"/nowhere"}',
         b'{"type":"Error",%s,"message":"Working directory \'/nowhere\' does not exist"}'),
        ("launch", b'{"type":"Launch","command":[""]}',
         b'{"type":"Error",%s,"message":"command must not be empty"}'),
        ("kill", b'{"type":"Kill","id":99}',
         b'{"type":"Error",%s,"message":"session 99 not found"}'),
        ("any.token", b'{"type":"SendInput","id":ID,"data":[104,195,169,108,108,111,10]}',
         b'{"type":"InputSent",%s,"id":ID,"bytes":7}'),
        ("send", b'{"type":"SendInput","id":ID,"data":"aMOpbGxvCg=="}',
         b'{"type":"InputSent",%s,"id":ID,"bytes":7}'),
        ("send", b'{"type":"SendInput","id":ID,"data":[]}',
         b'{"type":"InputSent",%s,"id":ID,"bytes":0}'),
        ("send", b'{"type":"SendInput","id":ID}', b'{"type":"InputSent",%s,"id":ID,"bytes":0}'),
    )  # fmt: skip
    number = str(session).encode()
    for verb, request, expected in exchanges:
        wanted = expected.replace(b"ID", number) % both
        assert raw.ask_bytes(f"cw.a.{verb}", request.replace(b"ID", number)) == [wanted]
    (listed,) = raw.ask("cw.a.list", b'{"type":"ListSessions"}')
    entry = listed["sessions"][-1]
    assert list(entry) == [
        "id", "prompt", "working_dir", "created_at", "status", "attached", "pid"
    ]  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", entry["created_at"])
    assert raw.ask("cw.a.send", b'{"type":"SendInput","id":%s,"data":[4]}' % number)
    members[0].home.wait_finished(session)
    (status,) = raw.ask("cw.a.status", b'{"type":"GetStatus","id":%s}' % number)
    info = status["info"]
    assert info["status"] == "completed (3)" and status["output_size"] == info["output_size_bytes"]
    assert "héllo" in info["last_output_snippet"] and "\r" not in info["last_output_snippet"]
    # A finished session keeps its status, and takes nothing.
    (killed,) = raw.ask_bytes("cw.a.kill", b'{"type":"Kill","id":%s}' % number)
    assert killed == b'{"type":"Killed",%s,"id":%s}' % (both, number)
    (refused,) = raw.ask("cw.a.send", b'{"type":"SendInput","id":%s,"data":[1]}' % number)
    assert refused["message"] == f"session {session} is not running"
    assert members[0].home.session(session)["status"] == "completed (3)"
    # Only Discover is answered where everybody listens.
    assert raw.ask("cw.fleet.discover", b'{"type":"Kill","id":1}', seconds=0.3) == []


def test_an_old_program_attaches(members: list[Member]) -> None:
    b = members[1]
    where = f"ws://127.0.0.1:{b.port}"
    for path in ("/ws", "/ws/ws"):
        socket = websocket.create_connection(f"{where}{path}?token={b.token}", timeout=20)

        def order(message: dict[str, Any], wanted: str, socket: Any = socket) -> dict[str, Any]:
            socket.send(json.dumps(message))
            while True:
                opcode, data = socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    answer: dict[str, Any] = json.loads(data)
                    assert answer["type"] == wanted, answer
                    return answer

        # As its WebSocket clients launch and type: no directory, an array, and the id back.
        launched = order({"type": "Launch", "command": ["sh", "-c", "cat; exit 4"]}, "Launched")
        session = launched["id"]
        typed = {"type": "SendInput", "id": session, "data": [104, 105, 10]}
        sent = order(typed, "InputSent")
        assert (sent["id"], sent["bytes"]) == (session, 3)
        attach = {"type": "Attach", "id": session, "include_history": True, "history_lines": None}
        order(attach, "Attached")
        socket.send(json.dumps({"type": "Resize", "cols": 80, "rows": 23}))
        socket.send_binary(b"more\n")
        seen = b""
        while seen.count(b"more") < 2:
            opcode, data = socket.recv_data()
            seen += data if opcode == websocket.ABNF.OPCODE_BINARY else b""
        assert b"hi" in seen
        socket.send_binary(b"\x04")
        while (message := socket.recv_data())[0] != websocket.ABNF.OPCODE_TEXT:
            pass
        assert json.loads(message[1])["message"] == "session completed (4)"
        socket.close()
    for url, header in ((f"{where}/ws?token=no", []), (f"{where}/ws?token={b.token}", ["no"])):
        with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
            websocket.create_connection(url, header=[f"Authorization: {h}" for h in header])
    assert b.token not in b.home.node_output()


def test_secrets_stay_with_the_node(members: list[Member], client: Home) -> None:
    c = members[2]
    session = c.home.launch("env")
    c.home.wait_finished(session)
    environment = c.home.log(session)
    assert b"HOME=" in environment and SECRET.encode() not in environment
    for pid in c.home.processes():
        assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert SECRET not in c.home.node_output() + c.home.cw("node", "status").stdout
    logs = [path.read_text("utf-8", "replace") for path in Path(c.home.data_dir).glob("*.log")]
    assert SECRET not in "".join(logs)
    shown = c.home.cw("doctor", "--json").stdout
    (finding,) = [each for each in json.loads(shown) if each["name"] == "fleet"]
    assert finding["status"] == "ok" and finding["detail"].startswith("connected: nats://")
    assert SECRET not in shown


def test_none_of_fifty_commands_is_done_twice(members: list[Member], server: NatsServer) -> None:
    a = members[0]
    marks = Path(a.home.path, "marks")
    outcomes: dict[int, str] = {}

    def order(number: int) -> None:
        command = ["sh", "-c", f"echo {number} >> {marks}"]
        try:
            request = {"type": "Launch", "command": command, "working_dir": "."}
            outcomes[number] = asking.ask(Nats((server.url,)), "a", "launch", request)["type"]
        except CodewireError as error:
            outcomes[number] = str(error)

    threads = [threading.Thread(target=order, args=(number,)) for number in range(50)]
    for thread in threads[:25]:
        thread.start()
    wait_until(lambda: bool(outcomes), 30, "one is answered")
    server.stop()
    for thread in threads[25:35]:
        thread.start()
    server.start()
    for thread in threads[35:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 50 and all(outcomes.values())
    for member in members:
        member.wait_for("connected")

    def is_over() -> bool:
        sessions = a.home.request({"type": "ListSessions"})["sessions"]
        return not any(
            each["status"] == "running" and "marks" in each["prompt"] for each in sessions
        )

    wait_until(is_over, 60, "all have ended")
    ran = marks.read_text().split()
    launched = [number for number, outcome in outcomes.items() if outcome == "Launched"]
    assert len(ran) == len(set(ran)) and {str(number) for number in launched} <= set(ran)


def test_what_dies_comes_back_as_the_same_node(members: list[Member], raw: RawNats) -> None:
    a, b = members[:2]
    session = b.home.launch("sleep", "600")

    def instance(name: str) -> str:
        infos = raw.ask("cw.fleet.discover", b'{"type":"Discover"}', 6, 20)
        return next((str(info["instance"]) for info in infos if info["name"] == name), "")

    before = {name: instance(name) for name in ("a", "b")}
    (bridge,) = a.bridges()
    os.kill(bridge, signal.SIGKILL)
    b.home.kill_worker()
    wait_until(lambda: a.bridges() not in ([], [bridge]), 30, "another bridge")
    for member in (a, b):
        member.wait_for("connected")
    assert {name: instance(name) for name in ("a", "b")} == before
    (status,) = raw.ask("cw.b.status", b'{"type":"GetStatus","id":%d}' % session)
    assert status["info"]["status"] == "running"
    # A worker that hangs costs its node no place in a list, and a question an end.
    worker = b.home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    try:
        assert instance("b") == before["b"]
    finally:
        os.kill(worker, signal.SIGCONT)
    # And the one that is told to stop says so.
    raw.subscribe("cw.fleet.heartbeat")
    assert members[2].home.cw("stop").returncode == 0
    while not (beat := raw.receive()[2]).get("stopping"):
        pass
    assert beat["name"] == "c"


def test_every_way_to_log_in(tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", certificate, "-days", "2",
         "-subj", "/CN=nats", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    jwt, creds = credentials(tmp_path)

    def failure(url: str, **login: Any) -> str:
        """Return why nobody could be asked, "" where the answer is that nobody is there."""
        try:
            assert asking.discover(Nats(tuple(url.split(",")), **login), 5) == []
        except NatsError as error:
            return str(error)
        return ""

    with NatsServer(tmp_path, 'authorization { token: "s3cret" }\n') as own:
        assert failure(own.url, token="s3cret") == ""
        wrong = failure(own.url, token="hunter2")
        assert "hunter2" not in wrong and "authorization violation" in wrong.lower()
    with NatsServer(tmp_path, 'authorization { user: "u", password: "p@ss" }\n') as own:
        assert failure(own.url, user="u", password="p@ss") == ""
        assert "p@sx" not in failure(own.url, user="u", password="p@sx") != ""
    with NatsServer(tmp_path, jwt) as own:
        assert failure(own.url, creds_file=creds) == ""
        assert "loading creds file" in failure(own.url, creds_file="/nowhere")
        assert "cannot parse user JWT" in failure(own.url, creds_file=certificate)
        assert failure(own.url) != ""
    with NatsServer(tmp_path, f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n') as own:
        assert failure(own.url, ca=certificate) == ""
        assert failure(own.url.replace("nats:", "tls:"), ca=certificate) == ""
        assert "not trusted" in failure(own.url)
    with NatsServer(tmp_path) as own:
        # Who asks for TLS says nothing to a server without.
        assert "does not offer TLS" in failure(own.url.replace("nats:", "tls:"), token="x")
        assert failure(f"nats://127.0.0.1:1,{own.url}") == ""


def test_least_permissions_of_a_client(tmp_path: Path) -> None:
    config = """authorization { users = [
      { user: "reader", password: "p", permissions: {
        publish: ["cw.fleet.discover", "cw.*.list"], subscribe: ["_INBOX.>"] } }
    ] }
    """
    with NatsServer(tmp_path, config) as own:
        nats = Nats((own.url,), user="reader", password="p")
        started = time.monotonic()
        with pytest.raises(NatsError, match=r"^not permitted by the NATS server: cw\.x\.kill$"):
            asking.ask(nats, "x", "kill", {"type": "Kill", "id": 1})
        assert time.monotonic() - started < 8
        assert asking.discover(nats, 5) == []


def test_without_a_fleet(home: Home) -> None:
    done = home.cw("fleet", "list")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: NATS not configured. Set CODEWIRE_NATS_URL or add [nats] to "
        "~/.codewire/config.toml\n",
    )
    home.env["CODEWIRE_NATS_URL"] = f"nats://127.0.0.1:{free_port()}"
    done = home.cw("fleet", "list")
    assert done.returncode == 1 and "connecting to NATS" in done.stderr
    assert "connection refused" in done.stderr
