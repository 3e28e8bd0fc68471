"""`cw login` and the commands behind it on a relay of each mode, whose pages a browser sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from codewire.commands.network import login as login_command
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
    user.cw("network", "create", "proj")
    (member,) = user.cw("network", "members", "--json").json
    assert (member["subject"], member["role"]) == (who, "owner")
    token = user.cw("network", "enroll", "create").out.strip()
    user.cw("network", "enroll", "redeem", token)
    assert [one["name"] for one in user.cw("network", "nodes", "--json").json] == ["laptop"]
    user.cw("group", "create", "mesh")
    user.cw("group", "add", "mesh", "laptop:planner")
    made = user.cw("access", "grant", "laptop:planner", "--to", said["user"]["name"], "-j").json
    assert made["audience_subject_id"] == who
    user.cw("access", "accept", made["delegation"])
    assert user.cw("access", "prune", "--json").json["relay_checked"]
    user.cw("kv", "set", "k", "v", "--network", "proj")
    assert user.cw("kv", "get", "k", "--network", "proj").out == "v\n"
    user.cw("network", "invites", "list")
    user.cw("logout")
    assert user.run("network", "list").error.startswith("relay user authentication not configured")
