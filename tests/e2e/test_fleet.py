"""The fleet over a real nats-server: nodes join, are found, driven and left (spec/fleet.md)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.natsserver import NatsServer, RawNats, credentials, free_port
from tests.support import Home, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Member:
    """A node in the fleet, in a home of its own."""

    def __init__(self, name: str, server: NatsServer, runtime: str = "threads") -> None:
        self.home = Home(runtime)
        self.name = name
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self.configure(server.url)

    def configure(self, url: str, *lines: str) -> None:
        os.makedirs(self.home.data_dir, exist_ok=True)
        text = f'[node]\nname = "{self.name}"\nlisten = "127.0.0.1:{self.port}"\n'
        text += f'external_url = "{self.url}"\n[nats]\nurl = "{url}"\n' + "\n".join(lines) + "\n"
        Path(self.home.data_dir, "config.toml").write_text(text)

    def start(self, state: str = "connected") -> Member:
        self.home.start_node()
        self.wait_for(state)
        return self

    def fleet(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.home.cw("node", "status", "--json").stdout)
        return found.get("fleet") or {}

    def wait_for(self, state: str) -> None:
        wait_until(lambda: self.fleet().get("state") == state, 60, f"the bridge is {state}")


@pytest.fixture
def members(server: NatsServer) -> Iterator[list[Member]]:
    found: list[Member] = []
    yield found
    for member in found:
        member.home.close()


@pytest.fixture
def client(server: NatsServer) -> Iterator[Home]:
    home = Home()
    home.env["CODEWIRE_NATS_URL"] = server.url
    home.env["CODEWIRE_NODE_NAME"] = "client"
    yield home
    home.close()


def names(client: Home, *args: str) -> list[str]:
    listed = json.loads(client.cw("fleet", "list", "--json", "--timeout", "0.6", *args).stdout)
    return [entry["name"] for entry in listed]


@pytest.mark.smoke
def test_three_nodes_are_found_and_driven(
    server: NatsServer, members: list[Member], client: Home, runtime: str
) -> None:
    for name in ("a", "b", "c") if runtime == "gevent" else ("a",):
        members.append(Member(name, server, runtime).start())
    assert names(client) == [member.name for member in members]
    a = members[0]
    assert (
        client.cw(
            "fleet", "launch", "--on", "a", "--", "sh", "-c", "echo hi; read x; echo got $x"
        ).stdout
        == "Launched session 1 on a\n"
    )
    assert client.cw("fleet", "send", "a:1", "hé").stdout == "Sent 4 bytes to a:1\n"
    assert a.home.cw("wait", "1").returncode == 0
    assert "got hé" in a.home.cw("logs", "1").stdout
    refused = client.cw("fleet", "send", "a:1", "x")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: session 1 is not running\n")
    for args, words in (
        (("launch", "--on", "a", "nosuch"), "Error from a: Command 'nosuch' not found in PATH"),
        (("launch", "--on", "a", "-d", "/nowhere", "true"),
         "Error from a: Working directory '/nowhere' does not exist"),
        (("kill", "a:99"), "Error from a: session 99 not found"),
        (("kill", "zz:1"), "node 'zz' is not in the fleet"),
        (("send", "a.x:1", "t"), "node name must be non-empty and alphanumeric"),
        (("launch", "--on", "a.x 0\r\n\r\nPUB evil 2\r\nhi", "true"), "node name must be"),
        (("kill", "a"), "fleet target must be <node>:<session_id>"),
        (("kill", "a:x"), "session ID must be a number"),
    ):  # fmt: skip
        failed = client.cw("fleet", *args)
        assert failed.returncode == 1 and words in failed.stderr, failed.stderr
    assert client.cw("fleet", "launch", "--on", "a", "sleep", "600").stdout.endswith("2 on a\n")
    assert client.cw("fleet", "kill", "a:2").stdout == "Killed session 2 on a\n"
    assert a.home.cw("wait", "2").returncode == 0
    assert "killed" in a.home.cw("list").stdout
    shown = client.cw("fleet", "list", "--timeout", "0.6").stdout
    pattern = (
        rf"a \(up \d+s, url: {re.escape(a.url)}\)\n"
        r"  \[  1\] sh -c echo hi; read x; echo got \$x \(completed \(0\)\) \S+\n"
        r"  \[  2\] sleep 600 \(killed\) \S+\n\n"
    )
    assert re.match(pattern, shown), shown
    # Every other command takes the node's name, with the token that is saved for its host.
    refused = client.cw("logs", "a:1")
    assert "no auth token for 'a'" in refused.stderr
    token = Path(a.home.data_dir, "token").read_text().strip()
    client.cw("server", "add", "saved", a.url, "--token", token)
    assert "got hé" in client.cw("logs", "a:1").stdout
    assert client.cw("list", "--server", "a").stdout.count("\n") == 3
    client.cw("server", "add", "a", "wss://elsewhere.example", "--token", "t")
    client.cw("server", "remove", "saved")
    assert client.cw("logs", "a:1").returncode == 1


def test_what_nodes_answer_on_the_wire(server: NatsServer, members: list[Member]) -> None:
    members.append(Member("w", server).start())
    raw = RawNats(server.port)
    try:
        infos = raw.ask("cw.fleet.discover", b'{"type":"Discover"}', 2)
        assert [info.pop("type") for info in infos] == ["DaemonInfo", "NodeInfo"]
        assert infos[0] == infos[1] and infos[0]["sessions"] == []
        assert infos[0].keys() == {"name", "external_url", "sessions", "uptime_secs", "instance"}
        launch = {"type": "Launch", "command": ["sh", "-c", "read x; sleep 600"]}
        assert raw.ask("cw.w.launch", json.dumps(launch).encode()) == [
            {"type": "Launched", "node": "w", "daemon": "w", "id": 1}
        ]
        # Both encodings of bytes; an empty one; the subject's last word decides nothing.
        for data, count in ((b"[104,105]", 2), (b'"aGk="', 2), (b"[]", 0), (b"null", 0)):
            request = b'{"type":"SendInput","id":1,"data":%s}' % data
            assert raw.ask("cw.w.x.y", request) == [
                {"type": "InputSent", "node": "w", "daemon": "w", "id": 1, "bytes": count}
            ]
        (status,) = raw.ask("cw.w.status", b'{"type":"GetStatus","id":1}')
        assert status["info"]["status"] == "running" and status["output_size"] >= 0
        for bad in (b"", b"{}", b"null", b"no", b'{"type":"Kill"}', b'{"type":"Kill","id":"1"}',
                    b'{"type":"Kill","id":1.0}', b'{"type":"KillAll"}', b"[" * 100_000,
                    b'{"type":"Kill","id":1,"id":2}'):  # fmt: skip
            (answer,) = raw.ask("cw.w.kill", bad)
            assert answer["type"] == "Error" and answer["node"] == "w", bad
            assert "request" in answer["message"]
        # Only Discover is answered where everybody listens.
        assert raw.ask("cw.fleet.discover", b'{"type":"Kill","id":1}', seconds=0.5) == []
        requests = [raw.ask("cw.w.list", b'{"type":"ListSessions"}')[0] for _ in range(3)]
        assert all(each["sessions"][0]["status"] == "running" for each in requests)
    finally:
        raw.close()


def test_a_name_is_had_by_one(server: NatsServer, members: list[Member], client: Home) -> None:
    first = Member("twin", server).start()
    members.append(first)
    second = Member("twin", server).start("duplicate")
    members.append(second)
    listed = client.cw("fleet", "list", "--timeout", "0.6")
    assert listed.stdout.count("twin (up") == 2
    assert listed.stderr == "warning: 2 nodes are called twin\n"
    for _ in range(3):
        client.cw("fleet", "launch", "--on", "twin", "true")
    assert len(json.loads(first.home.cw("list", "--json").stdout)) == 3
    assert second.home.cw("list").stdout == "No sessions\n"
    assert "another node of the fleet is called 'twin'" in Path(second.home.node_stderr).read_text()


def test_nats_goes_and_comes_back(
    tmp_path: Path, server: NatsServer, members: list[Member], client: Home
) -> None:
    own = NatsServer(tmp_path)
    client.env["CODEWIRE_NATS_URL"] = own.url
    member = Member("m", server)
    member.configure(own.url)
    members.append(member)
    # It is not there at the start: the node serves, and joins once it is.
    member.start("disconnected")
    assert "connection refused" in member.fleet()["error"]
    own.start()
    try:
        member.wait_for("connected")
        marks = Path(member.home.path, "marks")
        started = [
            client.popen("fleet", "launch", "--on", "m", "--", "sh", "-c", f"echo {n} >> {marks}")
            for n in range(12)
        ]
        own.stop()
        own.start()
        outcomes = [process.communicate(timeout=60) for process in started]
        member.wait_for("connected")
        assert client.cw("fleet", "launch", "--on", "m", "--", "true").returncode == 0
        wait_until(lambda: "running" not in member.home.cw("list").stdout, 60, "all have ended")
        done = [out for out, _ in outcomes if b"Launched" in out]
        failed = [err for out, err in outcomes if b"Launched" not in out]
        assert all(err.startswith(b"Error: ") for err in failed), failed
        ran = marks.read_text().split() if marks.exists() else []
        assert len(ran) == len(set(ran)) and len(ran) >= len(done)
        # The bridge's death touches no session, and it comes back.
        before = member.home.cw("list").stdout
        (bridge,) = bridges(member)
        os.kill(bridge, signal.SIGKILL)
        wait_until(lambda: bridges(member) not in ([], [bridge]), 30, "another bridge")
        member.wait_for("connected")
        assert member.home.cw("list").stdout.splitlines()[0] == before.splitlines()[0]
    finally:
        own.stop()


def bridges(member: Member) -> list[int]:
    worker = json.loads(member.home.cw("node", "status", "--json").stdout)["worker_pid"]
    children = Path(f"/proc/{worker}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def test_what_may_be_done_can_be_narrowed(
    server: NatsServer, members: list[Member], client: Home
) -> None:
    member = Member("narrow", server)
    member.configure(server.url, "[fleet]", 'allow = ["list"]')
    members.append(member.start())
    assert "narrow" in names(client)
    refused = client.cw("fleet", "launch", "--on", "narrow", "true")
    assert "launch is not allowed on this node ([fleet] allow)" in refused.stderr
    assert member.home.cw("list").stdout == "No sessions\n"


def test_every_way_to_log_in(
    tmp_path: Path, server: NatsServer, members: list[Member], client: Home
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2",
         "-subj", "/CN=nats", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    jwt, creds = credentials(tmp_path)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'
    config = Path(client.data_dir, "config.toml")
    config.parent.mkdir(parents=True, exist_ok=True)
    client.env.pop("CODEWIRE_NATS_URL")

    def listed(own: NatsServer, *lines: str) -> subprocess.CompletedProcess[str]:
        config.write_text("\n".join(["[nats]", *lines]).replace("PORT", str(own.port)) + "\n")
        return client.cw("fleet", "list", "--timeout", "0.3")

    plain = 'url = "127.0.0.1:PORT"'
    with NatsServer(tmp_path, 'authorization { token: "s3cret" }\n') as own:
        assert listed(own, plain, 'token = "s3cret"').stdout == "No nodes discovered.\n"
        wrong = listed(own, plain, 'token = "hunter2"')
        assert wrong.returncode == 1 and "hunter2" not in wrong.stderr
        assert re.search("authorization violation", wrong.stderr, re.IGNORECASE)
    with NatsServer(tmp_path, 'authorization { user: "u", password: "p@ss" }\n') as own:
        assert listed(own, 'url = "nats://u:p%40ss@127.0.0.1:PORT"').returncode == 0
        assert listed(own, plain, 'user = "u"', 'password = "p@ss"').returncode == 0
        assert "p@ss" not in listed(own, plain, 'user = "u"', 'password = "p@sx"').stderr
    with NatsServer(tmp_path, jwt) as own:
        assert listed(own, plain, f'creds_file = "{creds}"').returncode == 0
        assert "loading creds file" in listed(own, plain, 'creds_file = "/nowhere"').stderr
        assert listed(own, plain).returncode == 1
    with NatsServer(tmp_path, tls) as own:
        assert listed(own, plain, f'ca = "{certificate}"').returncode == 0
        assert "not trusted" in listed(own, plain).stderr
    with NatsServer(tmp_path) as own:
        # Who asks for TLS says nothing to a server without.
        refused = listed(own, 'url = "tls://127.0.0.1:PORT"', 'token = "x"')
        assert "does not offer TLS" in refused.stderr
        assert listed(own, 'url = "127.0.0.1:1,127.0.0.1:PORT"').returncode == 0


def test_least_permissions(
    tmp_path: Path, server: NatsServer, members: list[Member], client: Home
) -> None:
    # As docs/fleet.md gives them.
    config = """authorization { users = [
      { user: "c", password: "p", permissions: {
        publish: ["cw.fleet.discover", "cw.*.list"], subscribe: ["_INBOX.>"] } }
      { user: "n", password: "p", permissions: {
        publish: ["cw.fleet.discover", "cw.fleet.heartbeat", "_INBOX.>"],
        subscribe: ["cw.fleet.discover", "cw.fleet.heartbeat", "cw.a.>", "_INBOX.>"] } }
    ] }
    """
    with NatsServer(tmp_path, config) as own:
        member = Member("a", server)
        member.configure(own.url.replace("//", "//n:p@"))
        members.append(member.start())
        client.env["CODEWIRE_NATS_URL"] = own.url.replace("//", "//c:p@")
        started = time.monotonic()
        refused = client.cw("fleet", "kill", "x:1")
        assert refused.stderr == "Error: not permitted by the NATS server: cw.x.kill\n"
        assert time.monotonic() - started < 8
        assert names(client) == ["a"]


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
