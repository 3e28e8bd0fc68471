"""Logging in, out, and who one is: by a code, a password, a token; on relays of every kind."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from codewire.commands.network import login as login_command
from tests.io.network.commandline import CommandLine
from tests.io.network.scriptedrelay import Asked, ScriptedRelay, answer
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site

USER = {"id": "u1", "email": "ann@example.com", "name": "Ann"}
GONE = answer(404, "404 page not found\n")


@pytest.fixture
def server() -> Iterator[ScriptedRelay]:
    server = ScriptedRelay()
    yield server
    server.close()


def script(server: ScriptedRelay, **paths: Any) -> None:
    """Answer by path; several answers to one are given in their order, the last one again."""

    def respond(asked: Asked, sock: socket.socket) -> None:
        name = asked.target.partition("?")[0].rpartition("/")[2].replace("-", "_")
        said = paths.get(name, GONE)
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        sock.sendall(said)

    server.script = respond


def begun(server: ScriptedRelay, **more: Any) -> bytes:
    value = {"device_code": "d", "user_code": "AB-CD", "verification_uri": f"{server.url}/device"}
    return answer(200, {**value, "expires_in": 60, "interval": 1, **more})


PENDING = answer(202, {"status": "pending"})


class Clock:
    """Time for the login alone: nobody waits between two polls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(login_command, "time", clock)
    return clock


def test_a_login_by_a_code(server: ScriptedRelay, user: CommandLine, clock: Clock) -> None:
    done = answer(200, {"session_token": "s", "user": USER})
    slow = answer(202, {"status": "slow_down"})
    script(server, authorize=begun(server, interval=3), token=[PENDING, answer(500), slow, done])
    said = user.cw("login", "--server", server.url)
    assert said.out == ""
    assert said.err == (
        f"Open {server.url}/device\nand confirm the code AB-CD\nLogged in to {server.url} as Ann\n"
    )
    assert clock.waited == [1.0, 3.0, 8.0, 13.0]
    assert json.loads(user.login.read_text()) == {"server_url": server.url, "session_token": "s"}
    assert stat.S_IMODE(user.login.stat().st_mode) == 0o600
    assert [asked.method for asked in server.asked] == ["POST"] * 5
    assert all("authorization" not in asked.fields for asked in server.asked)
    # Again without saying where.
    script(server, authorize=begun(server), token=done)
    again = user.cw("login", "--json")
    assert again.json == {"server_url": server.url, "user": USER}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(403, "authorization denied\n"), "login denied"),
        (answer(410, "device code expired\n"), "the code has expired: log in again"),
        (answer(200, "{"), "relay URL answered what is no JSON"),
    ],
)
def test_a_login_that_fails_keeps_nothing(
    server: ScriptedRelay, user: CommandLine, said: bytes, words: str
) -> None:
    script(server, authorize=begun(server), token=said)
    done = user.run("login", "--server", server.url)
    assert done.status == 1 and f"Error: {words}" in done.err.replace(server.url, "URL")
    assert not user.login.exists()


def test_a_code_gets_too_old(server: ScriptedRelay, user: CommandLine) -> None:
    script(server, authorize=begun(server, expires_in=2), token=PENDING)
    done = user.run("login", "--server", server.url)
    assert done.err.endswith("Error: the code has expired: log in again\n")


def test_a_login_by_password(
    server: ScriptedRelay, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = {"user": USER, "session": {"id": "1", "token": "s"}}
    script(
        server,
        sign_in=answer(200, {"twoFactorRequired": True, "twoFactorToken": "t"}),
        validate=answer(200, session),
    )
    typed = iter(["ann@example.com\n", "hunter2\n", "123456\n"])

    class Pipe:
        def isatty(self) -> bool:
            return False

        def readline(self, limit: int) -> str:
            return next(typed, "")

    monkeypatch.setattr("sys.stdin", Pipe())
    said = user.cw("login", "--server", server.url, "--password")
    assert said.err == f"Email: Password: 2FA Code: Logged in to {server.url} as Ann\n"
    assert [asked.json for asked in server.asked] == [
        {"email": "ann@example.com", "password": "hunter2"},
        {"code": "123456", "token": "t"},
    ]
    typed = iter(["ann@example.com\n", "wrong\n"])
    script(server, sign_in=answer(401, {"title": "Unauthorized", "status": 401}))
    failed = user.run("login", "--server", server.url, "--password")
    assert failed.err.endswith("Error: login failed: wrong mail address, password or code\n")
    typed = iter(["ann@example.com\n", "x\n"])
    script(server, sign_in=answer(422, {"title": "T", "detail": "too many tries"}))
    failed = user.run("login", "--server", server.url, "--password")
    assert failed.err.endswith("Error: login failed: too many tries\n")
    # A relay knows no passwords.
    typed = iter(["ann@example.com\n", "x\n"])
    script(server)
    failed = user.run("login", "--server", server.url, "--password")
    assert failed.err.endswith("has no logins by password; log in without --password\n")
    typed = iter([])
    failed = user.run("login", "--server", server.url, "--password")
    assert failed.err.endswith("Error: no answer on stdin\n")
    # The login from before is still there.
    assert json.loads(user.login.read_text())["session_token"] == "s"


def test_a_login_by_token(server: ScriptedRelay, user: CommandLine) -> None:
    script(server, get_session=answer(200, {"user": USER}))
    said = user.cw("login", "--server", server.url, "--token", "key")
    assert said.err == f"Logged in to {server.url} as Ann\n"
    assert server.asked[0].fields["authorization"] == "Bearer key"
    # An older relay says no more than that it is good.
    script(server, validate=answer(200, {"status": "ok"}))
    assert user.cw("login", "--server", server.url, "--token", "key").err.endswith("as unknown\n")
    for refusal in (answer(401, "unauthorized\n"), answer(200, "null\n")):
        script(server, get_session=refusal)
        error = user.run("login", "--server", server.url, "--token", "wrong").error
        assert error == f"{server.url} does not accept this token"
    script(server)
    error = user.run("login", "--server", server.url, "--token", "key").error
    assert "it does not know GET /api/v1/auth/validate" in error
    error = user.run("login", "--server", server.url).error
    assert error == f"{server.url} cannot log programs in; pass --token"
    assert user.run("login", "--password", "--token", "x").error.startswith(
        "--password and --token"
    )
    away = user.run("login", "--server", "127.0.0.1:1").error
    assert away == "relay http://127.0.0.1:1 cannot be reached: connection refused"
    assert json.loads(user.login.read_text())["session_token"] == "key"


def test_which_relay_is_used_after_a_login(server: ScriptedRelay, user: CommandLine) -> None:
    """A relay one logs in to is the one to use, unless a node or an invite needs the other."""
    login = ("login", "--server", server.url, "--token", "t")
    paths = {"get_session": answer(200, {"user": USER})}
    script(server, **paths, config=answer(200, {"auth_mode": "token"}))
    user.write_config('# mine\nrelay_url = "https://other"\n')
    said = user.cw(*login).err.splitlines()[1]
    assert said == f"[cw] the relay in use is {server.url} from now on; it was https://other"
    assert user.config.read_text() == f'# mine\nrelay_url = "{server.url}"\n'
    assert len(user.cw(*login).err.splitlines()) == 1
    for kept in ('relay_node_token = "t"\n', 'relay_invite_token = "i"\n'):
        user.write_config(f'relay_url = "https://other"\n{kept}')
        said = user.cw(*login).err.splitlines()[1]
        assert said == "[cw] the relay in use stays https://other; this login is used there, too"
        assert kept in user.config.read_text() and "https://other" in user.config.read_text()
    # A platform is no relay.
    script(server, **paths)
    user.write_config('relay_url = "https://other"\n')
    said = user.cw(*login, env={"CODEWIRE_API_KEY": "k"}).err
    assert "stays https://other" in said and "CODEWIRE_API_KEY is set and counts before" in said


def test_logging_out(server: ScriptedRelay, user: CommandLine) -> None:
    assert user.cw("logout").err == "Not logged in\n"
    assert not user.config.parent.exists()
    user.log_in(server.url, "s")
    user.write_config('# mine\nrelay_session = "s"\nrelay_node_token = "t"\n')
    script(server, sign_out=answer(200, {"success": True}))
    assert user.cw("logout").err == f"Logged out of {server.url}\n"
    assert server.asked[0].fields["authorization"] == "Bearer s"
    assert not user.login.exists()
    # The machine's node is no part of that.
    assert user.config.read_text() == '# mine\nrelay_node_token = "t"\n'
    user.log_in("http://127.0.0.1:1", "s")
    said = user.cw("logout", "--json", env={"CODEWIRE_API_KEY": "k"})
    assert said.json == {"server_url": "http://127.0.0.1:1", "was_logged_in": True}
    assert "the session is forgotten here but not ended there: relay http://127.0.0.1:1" in said.err
    assert "CODEWIRE_API_KEY is still set" in said.err
    assert not user.login.exists()


def test_who_one_is(server: ScriptedRelay, user: CommandLine) -> None:
    assert user.run("whoami").error == "not logged in (run: cw login)"
    script(server, get_session=answer(200, {"user": USER}))
    user.log_in(server.url, "s")
    user.write_config('relay_url = "https://r"\nrelay_network = "proj"\n')
    said = user.cw("whoami")
    assert [line.split() for line in said.out.splitlines()] == [
        ["User:", "Ann"],
        ["Subject:", "u1"],
        ["Server:", server.url],
        ["Relay:", "https://r"],
        ["Network:", "proj"],
    ]
    assert user.cw("whoami", "-o", "json").json == {
        "server_url": server.url,
        "user": USER,
        "network": "proj",
    }
    # Variables count before the file, field by field.
    env = {"CODEWIRE_SERVER_URL": server.url, "CODEWIRE_API_KEY": "key"}
    user.cw("whoami", env=env)
    assert server.asked[-1].fields["authorization"] == "Bearer key"
    env = {"CODEWIRE_RELAY_AUTH_TOKEN": "token", "CODEWIRE_RELAY_URL": server.url}
    user.cw("whoami", env=env)
    assert server.asked[-1].fields["authorization"] == "Bearer token"
    script(server, get_session=answer(401, "unauthorized\n"))
    assert user.run("whoami").error == f"{server.url} does not accept this token"


# On a relay that does it itself


def test_a_program_logs_in_to_a_relay(
    site: Site, url: str, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    note = login_command.output.note

    def confirm(text: str) -> None:
        """Do what the person does who reads this."""
        note(text)
        notes.append(text)
        for code in re.findall("confirm the code (.*)$", text):
            form = urlencode({"user_code": code, "token": ADMIN, "decision": "confirm"})
            path, _, query = "/device", "", form
            assert _post(site, path, query) == 200

    monkeypatch.setattr(login_command.output, "note", confirm)
    user.cw("login", "--server", url)
    assert f"https://relay.example/device?user_code={notes[0][-9:]}" in notes[0]
    assert notes[1] == f"Logged in to {url} as admin"
    assert user.cw("network", "create", "proj", "--json").json["selected"]
    who = user.cw("whoami", "--json").json
    assert who == {
        "server_url": url,
        "user": {"id": "admin", "email": "admin", "name": "admin"},
        "network": "proj",
    }
    token = json.loads(user.login.read_text())["session_token"]
    assert token.startswith("sess_")
    user.cw("logout")
    # It is worth nothing now.
    error = user.run("network", "list", "--relay-url", url, "--token", token).error
    assert error.startswith(f"relay {url} does not accept this token")


def _post(site: Site, path: str, form: str) -> int:
    sock = site.connect()
    data = form.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: relay.example\r\nContent-Length: {len(data)}\r\n"
    sock.sendall(f"{head}Connection: close\r\n\r\n".encode() + data)
    received = b"".join(iter(lambda: sock.recv(65536), b""))
    return int(received.split()[1])


# A sign of life


def test_a_spinner_is_seen_on_a_terminal_alone_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from codewire.commands.network.spinner import ERASE_LINE, Spinner

    seen = threading.Event()

    class Screen:
        encoding = "utf-8"
        is_terminal = True
        text = ""

        def isatty(self) -> bool:
            return self.is_terminal

        def write(self, text: str) -> None:
            self.text += text
            seen.set()

        def flush(self) -> None:
            pass

    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    spinner = Spinner("waiting", 0.0)
    spinner.start()
    assert seen.wait(20)
    spinner.stop()
    assert screen.text.startswith(f"{ERASE_LINE}⠋ waiting") and screen.text.endswith(ERASE_LINE)
    # What is done within a second shows nothing.
    screen.text = ""
    quick = Spinner("waiting")
    quick.start()
    quick.stop()
    for is_terminal, term in ((False, "xterm"), (True, "dumb")):
        screen.is_terminal = is_terminal
        monkeypatch.setenv("TERM", term)
        silent = Spinner("waiting", 0.0)
        silent.start()
        silent.stop()
    assert screen.text == ""
