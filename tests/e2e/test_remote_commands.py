"""Commands against a node on another machine: names of nodes, saved servers, lost networks."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from codewire.client import Client
from codewire.errors import NodeRefused, NodeUnreachable
from tests.remote import RemoteHome
from tests.support import Home, wait_until
from tests.terminal import Terminal


def test_attach_by_name_from_elsewhere(remote: RemoteHome, home: Home) -> None:
    """The whole way of a user: save, launch, attach through a restart, detach, kill."""
    address = remote.address
    added = home.cw("server", "add", "dev-1", f"http://{address}/", "--token", remote.token)
    assert added.returncode == 0, added.stderr
    saved = Path(home.data_dir, "servers.toml")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert home.cw("launch", "dev-1:bot", "--", "cat").returncode == 0
    terminal = Terminal()
    try:
        terminal.process = home.popen("attach", "dev-1:bot", **terminal.streams)
        terminal.expect(b"[cw] attached to session 1")
        terminal.expect_raw()
        terminal.type(b"before\n")
        # The echo, then what cat prints; the status bar may be drawn in between.
        terminal.expect(b"before\r\n")
        terminal.expect(b"before\r\n")
        remote.kill_worker()
        wait_until(lambda: remote.session(1)["attached"], 20, "attached again")
        terminal.type(b"after\n")
        terminal.expect(b"after\r\n")
        terminal.expect(b"after\r\n")
        terminal.type(b"\x02d")
        assert terminal.wait() == 0
        terminal.expect(b"[cw] detached from session 1")
    finally:
        terminal.close()
    done = home.cw("kill", "dev-1:bot")
    assert (done.returncode, done.stderr) == (0, "Session 1 killed\n")
    assert home.processes() == [], "a remote command started a local node"


@pytest.mark.smoke
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
    assert home.cw("wait", "dev-1:2").returncode == 0
    unknown = home.cw("list", "dev-2")
    assert unknown.returncode == 1
    assert 'unknown node "dev-2": saved servers: dev-1' in unknown.stderr
    assert "cannot be combined" in home.cw("-s", "x", "list", "dev-1").stderr
    by_variable = home.cw("list", "--json", env={"CODEWIRE_SERVER": "dev-1"})
    assert len(json.loads(by_variable.stdout)) == 2
    by_option = home.cw("--server", "dev-1", "list", "--json")
    assert ageless(by_variable.stdout) == ageless(by_option.stdout)


def ageless(text: str) -> list[dict[str, object]]:
    """Return a list of sessions without how long ago something was."""
    sessions = json.loads(text)
    return [{k: v for k, v in s.items() if not k.endswith("_seconds")} for s in sessions]


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
        # Held while a connection is made or all are cut: none may come up in between.
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                # Also of a connection that is over already.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        # Wakes who accepts; closing alone would not. What a thread still uses is closed after it.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._ends.append(client)
                if self._is_cut:
                    continue
                node = socket.create_connection(self._node)
                self._ends.append(node)
            self._start(self._pump, client, node)
            self._start(self._pump, node, client)

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
        terminal.expect(b"reconnecting...")
        terminal.type(b"\x02d")
        # Who waited for the dialling would be here for ten seconds.
        assert terminal.wait(8) == 0
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
    until_told = f"while [ ! -e {remote.path}/go ]; do sleep 0.05; done"
    home.cw("launch", "dev-1:one", "build", "--", "sh", "-c", f"echo 1; {until_told}")
    home.cw("launch", "dev-1:two", "build", "--", "sh", "-c", "echo 2")
    with home.popen("watch", "dev-1", "--tag", "build") as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline().split() for _ in range(2)]
        assert sorted(lines) == [[b"[dev-1:one]", b"1"], [b"[dev-1:two]", b"2"]]
        Path(remote.path, "go").touch()
        assert watching.stdout.read() == b""
        assert watching.wait(20) == 0
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
    asked = home.cw("request", "-f", "planner", "dev-1:coder", "?", "--timeout", "4")
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
