"""SSH through a relay, by OpenSSH, to scripted nodes: its protocol and its limits."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.io.websockets import WebSocketStream
from codewire.wire.control import decode_control, encode_bytes
from codewire.wire.frames import CONTROL
from tests.io.relay.site import PATIENCE, Site, next_message
from tests.processes import is_alive, wait_until

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")

Back = Callable[[WebSocketStream, dict[str, Any]], None]


class Node:
    """A node with an uplink and nothing behind it but a script for what it is asked."""

    def __init__(self, site: Site, script: Back, features: str = "back-control") -> None:
        self.token = site.enrol()
        self._site, self._script = site, script
        self.asked: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self.uplink = site.uplink(self.token, X_CodeWire_Features=features)
        self.uplink.set_timeout(None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (message := next_message(self.uplink)) is not None:
            self.asked.append(message)
            _, stream = self._site.dial(f"/node/back/{message['session_id']}", self.token)
            assert stream is not None
            try:
                self._script(stream, message)
            finally:
                stream.close()
                self.ended.set()
        self.uplink.close()

    def close(self) -> None:
        self.uplink.shutdown()
        self._thread.join(PATIENCE)


class Door:
    """The relay's SSH and a client's command line for it."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self._directory = directory
        askpass = directory / "askpass"
        askpass.write_text('#!/bin/sh\necho "$PASSWORD"\n')
        askpass.chmod(0o700)
        assert site.relay.gateway is not None
        self.port = site.relay.service.ssh_port
        self._env = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}

    def start(self, password: str, *words: str, **streams: Any) -> subprocess.Popen[bytes]:
        options = (
            "-F", "none", "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={self._directory}/hosts", "-o", "LogLevel=INFO",
            "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=9",
        )  # fmt: skip
        for name in ("stdout", "stderr"):
            streams.setdefault(name, subprocess.PIPE)
        streams.setdefault("stdin", subprocess.DEVNULL)
        env = {**self._env, "PASSWORD": password}
        return subprocess.Popen(["ssh", *options, *words], env=env, **streams)

    def run(self, password: str, *words: str, input: bytes = b"") -> tuple[int, bytes, bytes]:
        process = self.start(password, *words, stdin=subprocess.PIPE)
        out, err = process.communicate(input, PATIENCE)
        return process.returncode, out, err

    def process(self) -> subprocess.Popen[bytes]:
        gateway = self.site.relay.gateway
        assert gateway is not None
        process = wait_until(lambda: gateway._island._process, PATIENCE, "the gateway runs")
        assert process is not None
        return process


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    site = Site(tmp_path, ssh_listen="127.0.0.1:0")
    door = Door(site, tmp_path)
    yield door
    site.close()


HERE = "dev-1@127.0.0.1"


def await_end(stream: WebSocketStream) -> None:
    while stream.receive() is not None:
        pass


def echo(stream: WebSocketStream, message: dict[str, Any]) -> None:
    """Send back all input to its end, say something else on stderr, and exit with 7."""
    while (frame := stream.receive()) is not None:
        if frame[0] != CONTROL:
            stream.send_data(frame[1])
            stream.send_control({"type": "Taken", "bytes": len(frame[1])})
        elif decode_control(frame[1])["type"] == "EOF":
            stream.send_control({"type": "Stderr", "data": encode_bytes(b"all\n")})
            stream.send_control({"type": "Exit", "code": 7})
            break
    await_end(stream)


def test_a_command_with_its_input_both_outputs_and_exit_code(door: Door) -> None:
    node = Node(door.site, echo)
    data = os.urandom(5 << 20)
    code, out, err = door.run(node.token, HERE, "some command", input=data)
    assert (code, out == data) == (7, True) and err.endswith(b"all\n")
    [asked] = node.asked
    assert asked["type"] == "SSHRequest" and asked["command"] == "some command"
    assert asked["control"] is True and asked["subject"] == "node:dev-1" and "pty" not in asked
    node.close()


def test_a_killed_gateway_ends_its_sessions_alone(door: Door) -> None:
    def serve(stream: WebSocketStream, message: dict[str, Any]) -> None:
        stream.send_data(b"up\n")
        await_end(stream)

    node = Node(door.site, serve)
    client = door.start(node.token, HERE)
    assert client.stdout is not None and client.stdout.readline() == b"up\n"
    door.process().kill()
    assert node.ended.wait(PATIENCE)
    client.communicate(timeout=PATIENCE)
    assert client.returncode == 255
    assert door.site.ok("GET", "/healthz") == "ok"
    client = door.start(node.token, HERE)
    assert client.stdout is not None and client.stdout.readline() == b"up\n"
    client.kill()
    client.communicate(timeout=PATIENCE)
    node.close()


def test_a_lost_node_is_not_taken_for_an_end(door: Door) -> None:
    node = Node(door.site, lambda stream, message: stream.send_data(b"half"))
    code, out, err = door.run(node.token, HERE, "x")
    assert (code, out) == (255, b"half") and b"the connection to the node was lost" in err
    node.close()
    wait_until(lambda: not len(door.site.relay.hub), PATIENCE, "the node is gone")
    code, _, err = door.run(node.token, HERE, "x")
    assert code == 255 and err.endswith(b"node not connected\r\n")


def test_who_may_not_come_in_and_what_may_not_be_asked(door: Door) -> None:
    node = Node(door.site, echo)
    code, _, err = door.run("wrong", HERE, "x")
    assert code == 255 and b"too many attempts to log in" in err
    assert err.count(b"Permission denied, please try again") == 5
    code, _, err = door.run(node.token, "-W", "127.0.0.1:22", HERE)
    assert code == 255 and b"only session channels supported" in err
    code, _, err = door.run(node.token, "-o", "KexAlgorithms=diffie-hellman-group14-sha256", HERE)
    assert code == 255 and b"no matching key exchange method" in err
    assert not node.asked
    # A command that no uplink takes.
    code, _, err = door.run(node.token, HERE, "x" * 40000)
    assert code == 255 and b"too long: a node takes 32768 bytes" in err
    assert not node.asked
    node.close()


def test_a_go_node_runs_a_command_in_its_shell(door: Door) -> None:
    def serve(stream: WebSocketStream, message: dict[str, Any]) -> None:
        # A terminal of no size has none.
        assert {"type", "session_id"} <= set(message) <= {"type", "session_id", "cols", "rows"}
        go_shell(stream, message)

    node = Node(door.site, serve, features="")
    command = "echo 'it''s' \"$HOME!\"; cat; echo bad >&2; exit 7"
    code, out, _ = door.run(node.token, HERE, command, input=b"one\ntwo")
    home = os.environ.get("HOME", "")
    assert (code, out) == (7, f"its {home}!\none\ntwobad\n".encode())
    code, out, _ = door.run(node.token, "-tt", HERE, input=b"echo a$((1+1))b; exit\n")
    assert code == 0 and b"a2b" in out
    node.close()


def go_shell(stream: WebSocketStream, message: dict[str, Any]) -> None:
    """Serve as spec/relay.md 6.2 says of a Go node: bash on a PTY, bytes only, no goodbye."""
    master, slave = os.openpty()
    shell = subprocess.Popen(
        ["setsid", "-c", "-w", "bash", "--login"], stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)

    def type_all() -> None:
        while (frame := stream.receive()) is not None:
            if frame[0] == CONTROL:
                stream.shutdown(1003)
                continue
            os.write(master, frame[1])

    typing = threading.Thread(target=type_all)
    typing.start()
    try:
        while data := os.read(master, 65536):
            stream.send_data(data)
    except OSError:
        pass
    shell.wait(PATIENCE)
    stream.abort()
    typing.join(PATIENCE)
    os.close(master)


def test_whoever_is_silent_is_cut_and_holds_up_their_own_address_alone(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from codewire.relay.ssh import doors

    monkeypatch.setattr(doors, "LOGIN_SECONDS", 0.5)
    asyncio.run(check_doors(door))


async def check_doors(door: Door) -> None:
    import asyncio

    from codewire.relay.ssh.doors import PER_ADDRESS, Doors
    from codewire.relay.ssh.hostkey import host_key

    key = host_key(door.site.store, door.site.relay.settings.data_dir)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    served = Doors(listener, key, None)  # type: ignore[arg-type]
    running = asyncio.create_task(served.run())
    address = listener.getsockname()
    clients = [await asyncio.open_connection(*address) for _ in range(PER_ADDRESS + 2)]
    for number, (_, writer) in enumerate(clients):
        if number % 2:
            writer.write(b"SSH-2.0-x\r\n")
    # The first ones have the server's banner, the last two have nothing: it is not their turn.
    for reader, _ in clients[:PER_ADDRESS]:
        assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"SSH-2.0-Codewire")
    for reader, writer in clients:
        # Where something of its own was left unread, a client is told by a reset.
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    # Their places are free again.
    reader, writer = await asyncio.open_connection(*address)
    assert await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    running.cancel()
    listener.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("words", [("-tt", HERE), (HERE, "echo pid=$$; sleep 600; sleep 600")])
def test_what_runs_on_a_go_node_is_typed_away(door: Door, words: tuple[str, ...]) -> None:
    node = Node(door.site, go_shell, features="")
    client = door.start(node.token, *words, stdin=subprocess.PIPE)
    assert client.stdin is not None and client.stdout is not None
    if len(words) == 2 and words[0] == "-tt":
        client.stdin.write(b"echo pid=$$; sleep 600\n")
        client.stdin.flush()
    # A shell with its line editor says something before it.
    while not (found := re.search(rb"pid=(\d+)\r?\n", client.stdout.readline())):
        pass
    client.kill()
    client.communicate(timeout=PATIENCE)
    wait_until(lambda: not is_alive(int(found[1])), 20, f"{found[1]!r} is gone")
    assert node.ended.wait(PATIENCE)
    node.close()
