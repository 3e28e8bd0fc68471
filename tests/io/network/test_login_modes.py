"""`cw login` and the commands behind it on a relay of each mode, whose pages a browser sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from codewire.commands.network import login as login_command
from codewire.commands.table import TABLE
from tests.io.network.commandline import CommandLine
from tests.io.relay.desk import ADMIN
from tests.io.relay.provider import CODE, Provider
from tests.io.relay.site import PATIENCE, Site

BASE = "https://relay.example"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture(params=["none", "token", "github", "oidc"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(tmp_path: Path, mode: str, provider: Provider) -> Iterator[Site]:
    directory = tmp_path / "relay"
    directory.mkdir()
    site = Site(
        directory,
        auth_mode=mode,
        github_url=provider.url,
        github_api_url=provider.url,
        github_client_id="Iv1.x",
        github_client_secret="shh",
        oidc_issuer=provider.url,
        oidc_client_id="the-client",
        oidc_client_secret="the-secret",
    )
    yield site
    site.close()


class Browser:
    """Keeps cookies, and says where its forms are from."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, form: str = "") -> tuple[int, str, str]:
        """Return status, Location and body."""
        connection = HTTPConnection(*self._site.address, timeout=PATIENCE)
        try:
            cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            fields = {"Host": "relay.example", "Cookie": cookie}
            connection.request(method, path, form, fields | ({"Origin": BASE} if form else {}))
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = line.partition(";")[0].partition("=")
                self._cookies[name] = value
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        finally:
            connection.close()

    def confirm(self, code: str, mode: str) -> None:
        """Confirm a program's code as its page has one do."""
        status, _, page = self.ask("GET", f"/device?user_code={code}")
        assert status == 200
        form = {"user_code": code, "decision": "confirm"}
        if mode in ("none", "token"):
            form["token"] = ADMIN
        else:
            assert f'href="/auth/{mode}"' in page
            state = parse_qs(urlsplit(self.ask("GET", f"/auth/{mode}")[1]).query)["state"][0]
            back = self.ask("GET", f"/auth/{mode}/callback?code={CODE}&state={state}")
            assert back[1] == f"/device?user_code={code}"
        assert self.ask("POST", "/device", urlencode(form))[0] == 200


# Every command that asks a relay, in an order that gives each what it needs, and its exit code.
COMMANDS = (
    ("network create proj", 0),
    ("network list", 0),
    ("network use proj", 0),
    ("network current", 0),
    ("network members --json", 0),
    ("network members remove nobody", 1),
    ("network invite --json", 0),
    ("network join {token}", 0),
    ("network invite --json", 0),
    ("network invites list", 0),
    ("network invites delete {token}", 0),
    ("network enroll create --json", 0),
    ("network enroll redeem {enrollment_token}", 0),
    ("network nodes", 0),
    ("node list", 0),
    ("nodes --all --network proj", 0),
    ("group create mesh", 0),
    ("group list", 0),
    ("group policy mesh --messages open", 0),
    ("group add mesh laptop:planner", 0),
    ("group members mesh", 0),
    ("group remove mesh laptop:planner", 0),
    ("group delete mesh", 0),
    ("access grant laptop:planner --to {who} --json", 0),
    ("access accept {delegation}", 0),
    ("access list", 0),
    ("access inspect {grant_id}", 0),
    ("access prune", 0),
    ("access drop {grant_id}", 0),
    ("access revoke {grant_id}", 0),
    ("kv set k v --network proj", 0),
    ("kv get k --network proj", 0),
    ("kv list --network proj", 0),
    ("kv delete k --network proj", 0),
    ("network revoke laptop", 0),
    # Somebody must look after it.
    ("network leave", 1),
    ("network clear", 0),
)
# Elsewhere: what runs until it is ended, and what is the text of a group.
NOT_HERE = {"access watch", "network", "network invites", "network enroll", "group", "access"}


def learnt(value: Any) -> dict[str, str]:
    """Return what later commands name, from what one has printed as JSON."""
    found = value[0] if isinstance(value, list) else value
    names = ("token", "enrollment_token", "delegation", "grant_id", "subject")
    return {name: found[name] for name in names if name in found}


def test_no_command_of_a_relay_is_forgotten() -> None:
    rooms = ("network.networks", "network.membership", "network.tokens", "network.groups")
    rooms += ("network.access", "network.accepting", "nodes.listing")
    wanted = {name for name, command in TABLE.items() if command.module in rooms} - NOT_HERE
    found = set()
    for line, _ in COMMANDS:
        words = line.split()
        found.add(next(n for k in (3, 2, 1) if (n := " ".join(words[:k])) in TABLE))
    assert wanted == {name for name in found if not name.startswith("kv ")}
    assert {"kv set", "kv get", "kv list", "kv delete"} <= found


def test_a_user_of_every_kind_of_relay(
    site: Site, url: str, mode: str, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = login_command.output.note

    def read(text: str) -> None:
        note(text)
        for code in re.findall("confirm the code (.*)$", text):
            Browser(site).confirm(code, mode)

    monkeypatch.setattr(login_command.output, "note", read)
    monkeypatch.setattr(login_command, "FIRST_POLL_SECONDS", 0.0)
    who = {"none": "admin", "token": "admin", "github": "github:42", "oidc": "oidc:s1"}[mode]
    said = user.cw("login", "--server", url, "--json").json
    assert said["user"]["id"] == who
    assert user.cw("whoami", "--json").json["user"] == said["user"]
    named = {"who": said["user"]["name"]}
    for line, code in COMMANDS:
        done = user.run(*line.format(**named).split())
        assert done.status == code, (line, done)
        if "--json" in line:
            named |= learnt(done.json)
    assert named["subject"] == who
    user.cw("logout")
    assert user.run("network", "list").error.startswith("relay user authentication not configured")
