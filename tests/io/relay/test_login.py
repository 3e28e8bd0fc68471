"""Logging in with GitHub, an OpenID provider, the platform; nodes that wait for a login."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from codewire.relay.store import networks, people
from codewire.wire.http import Answer
from tests.io.relay.desk import BASE_URL, SECOND, Desk, status
from tests.io.relay.provider import CODE, Provider
from tests.io.relay.site import Site
from tests.processes import wait_until

FORBIDDEN = "access denied: not a member of any allowed group ([staff])\n"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def github(provider: Provider, tmp_path: Path) -> Iterator[Desk]:
    urls = {"github_url": provider.url, "github_api_url": provider.url}
    desk = Desk(tmp_path, auth_mode="github", allowed_users=("ann", "bob"), **urls)
    yield desk
    desk.close()


@pytest.fixture
def oidc(provider: Provider, tmp_path: Path) -> Iterator[Desk]:
    issuer = {"oidc_issuer": provider.url, "oidc_client_id": "the-client"}
    desk = Desk(tmp_path, auth_mode="oidc", oidc_allowed_groups=("staff",), **issuer)
    yield desk
    desk.close()


class Browser:
    """Keeps cookies as a browser does."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.cookies: dict[str, str] = {}

    def get(self, target: str, method: str = "GET", **fields: str) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.desk.answer(method, target, token="", cookie=cookie, **fields)
        assert isinstance(answer, Answer)
        for name, value in answer.fields:
            if name == "Set-Cookie":
                assert "; HttpOnly; SameSite=Lax; Secure" in value
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
                if "Max-Age=0" in value:
                    del self.cookies[key]
        return answer

    def location(self, target: str) -> str:
        answer = self.get(target)
        assert answer.status == 302, answer
        return dict(answer.fields)["Location"]

    def state(self, start: str) -> str:
        return parse_qs(urlsplit(self.location(start)).query)["state"][0]


def keep_app(desk: Desk) -> None:
    app = {"client_id": "Iv1.x", "client_secret": "shh", "owner": "acme"}
    desk.store.write(lambda tx: people.github_app_put(tx, app))


def log_in(desk: Desk, mode: str) -> Browser:
    browser = Browser(desk)
    state = browser.state(f"/auth/{mode}")
    assert browser.location(f"/auth/{mode}/callback?code={CODE}&state={state}") == "/"
    return browser


# GitHub


def test_an_app_is_made_by_who_knows_the_code(github: Desk, provider: Provider) -> None:
    assert status(github, "GET", "/auth/github", token="") == 412
    browser = Browser(github)
    assert b"manifest" not in browser.get("/").body
    assert b"not the code" in browser.get("/?setup_code=guess").body
    page = browser.get("/?setup_code=setup-code").body.decode()
    assert "&quot;redirect_url&quot;: &quot;https://relay.example/auth/github/manifest" in page
    (state,) = re.findall(r"settings/apps/new\?state=([0-9a-f]{32})", page)
    callback = f"/auth/github/manifest/callback?code=c1&state={state}"
    # Another browser has not begun it, and nobody may twice.
    assert Browser(github).get(callback).status == 400
    assert browser.location(callback) == "/?setup=success"
    assert browser.get(callback).status == 400
    app = github.store.read(people.github_app)
    assert app is not None and (app["client_secret"], app["owner"]) == ("shh", "acme")
    assert b"acme" in Browser(github).get("/?setup_code=setup-code").body


def test_a_login_with_github(github: Desk, provider: Provider) -> None:
    keep_app(github)
    browser = Browser(github)
    location = urlsplit(browser.location("/auth/github"))
    query = parse_qs(location.query)
    assert f"{location.scheme}://{location.netloc}{location.path}" == (
        f"{provider.url}/login/oauth/authorize"
    )
    assert query["redirect_uri"] == [f"{BASE_URL}/auth/github/callback"]
    browser = log_in(github, "github")
    assert re.fullmatch("sess_[a-zA-Z0-9]{32}", browser.cookies["cw_session"])
    said = github.ok("GET", "/auth/session", token=browser.cookies["cw_session"])
    assert said["expires_at"].startswith("2026-05-03T")
    assert {**said, "expires_at": ""} == {
        "github_id": 42,
        "username": "Ann",
        "avatar_url": "https://a/ann.png",
        "expires_at": "",
    }
    assert b"signed in as <b>Ann</b>" in browser.get("/").body
    github.ok("POST", "/api/v1/networks", {"network_id": "x"}, token=browser.cookies["cw_session"])
    made = github.ok(
        "POST", "/api/v1/invites", {"network_id": "x"}, token=browser.cookies["cw_session"]
    )
    assert made["created_by"] == 42 and made["created_by_subject"] == "github:42"


def test_a_login_of_a_stranger(github: Desk, provider: Provider) -> None:
    keep_app(github)
    provider.github_user = {"id": 9, "login": "eve"}
    browser = Browser(github)
    state = browser.state("/auth/github")
    answer = browser.get(f"/auth/github/callback?code={CODE}&state={state}")
    assert (answer.status, answer.body) == (403, b"access denied: user not in allowed list\n")
    assert "cw_session" not in browser.cookies


def test_logging_out(github: Desk) -> None:
    keep_app(github)
    browser = log_in(github, "github")
    token = browser.cookies["cw_session"]
    assert browser.get("/auth/logout", "POST", origin="https://evil.example").status == 403
    assert status(github, "GET", "/auth/session", token=token) == 200
    assert browser.get("/auth/logout", "POST", origin=BASE_URL).status == 302
    assert github.ask("GET", "/auth/session", token=token) == (401, '{"error":"unauthorized"}\n')


@pytest.mark.parametrize("mode", ["github", "oidc"])
def test_callbacks_that_are_refused(mode: str, request: Any, provider: Provider) -> None:
    desk: Desk = request.getfixturevalue(mode)
    keep_app(desk)
    path = f"/auth/{mode}/callback"
    browser = Browser(desk)
    state = browser.state(f"/auth/{mode}")

    def said(query: str) -> tuple[int, bytes]:
        answer = browser.get(f"{path}?{query}")
        return answer.status, answer.body

    assert said("code=x") == (400, b"missing state parameter\n")
    wrong = (400, b"invalid or expired state parameter\n")
    assert said(f"code={CODE}&state={'0' * 32}") == wrong
    # Whoever is led here by a link has no cookie of that state.
    assert Browser(desk).get(f"{path}?code={CODE}&state={state}").status == 400
    assert said(f"state={state}") == (400, b"missing code parameter\n")
    assert said(f"code={CODE}&state={state}") == wrong, "a state is used up"
    state = browser.state(f"/auth/{mode}")
    assert said(f"code=bad&state={state}") == (502, b"token exchange failed: The code is wrong\n")
    state = browser.state(f"/auth/{mode}")
    desk.now += 601 * SECOND
    assert said(f"code={CODE}&state={state}") == wrong
    state = browser.state(f"/auth/{mode}")
    provider.is_down = True
    assert said(f"code={CODE}&state={state}")[0] == 502
    provider.is_down = False
    log_in(desk, mode)
    state = browser.state(f"/auth/{mode}")
    assert said(f"code={CODE}&state={state}")[0] == 502, "a code is used up"


# OpenID


def test_a_login_with_a_provider(oidc: Desk, provider: Provider) -> None:
    query = parse_qs(urlsplit(Browser(oidc).location("/auth/oidc")).query)
    assert query["scope"] == ["openid profile email groups"]
    assert query["client_id"] == ["the-client"] and query["response_type"] == ["code"]
    browser = log_in(oidc, "oidc")
    token = browser.cookies["cw_session"]
    assert oidc.ok("GET", "/auth/session", token=token)["sub"] == "s1"
    (form,) = [form for path, form in provider.asked if path == "/token"]
    assert form["client_secret"] == "the-secret" and form["grant_type"] == "authorization_code"
    oidc.ok("POST", "/api/v1/networks", {"network_id": "x"}, token=token)
    assert oidc.store.read(lambda tx: networks.role(tx, "x", "oidc:s1")) == "owner"


@pytest.mark.parametrize("groups", [["guests"], [], None, "staff"])
def test_groups_that_are_not_allowed(oidc: Desk, provider: Provider, groups: Any) -> None:
    provider.oidc_user = {"sub": "s2", "groups": groups}
    browser = Browser(oidc)
    state = browser.state("/auth/oidc")
    answer = browser.get(f"/auth/oidc/callback?code={CODE}&state={state}")
    assert (answer.status, answer.body.decode()) == (403, FORBIDDEN)


def test_a_provider_that_is_away(oidc: Desk, provider: Provider) -> None:
    provider.is_down = True
    assert status(oidc, "GET", "/auth/oidc", token="") == 502
    provider.is_down = False
    assert status(oidc, "GET", "/auth/oidc", token="") == 302


def test_sessions_of_the_platform(oidc: Desk, provider: Provider) -> None:
    path = "/api/v1/auth/validate"
    assert status(oidc, "GET", path, token="access") == 401, "it does not name the groups"
    assert status(oidc, "GET", path, token="access") == 401
    asked = [path for path, _ in provider.asked].count("/api/auth/get-session")
    assert asked == 1, "once a minute"
    assert status(oidc, "GET", path, token="", cookie="cw_session=access") == 401
    assert status(oidc, "GET", path, token="other") == 401
    provider.platform_user["groups"] = ["staff"]
    oidc.service.identities._more[0]._known.clear()  # type: ignore[attr-defined]
    oidc.ok("POST", "/api/v1/networks", {"network_id": "x"}, token="access")
    assert oidc.store.read(lambda tx: networks.role(tx, "x", "user:p1")) == "owner"


# Nodes


def test_a_node_waits_for_a_login(oidc: Desk, provider: Provider) -> None:
    begun = oidc.ok(
        "POST", "/api/v1/device/authorize", {"node_name": "dev-1", "network_id": "proj"}, token=""
    )
    assert re.fullmatch("[0-9a-f]{64}", begun["poll_token"])
    assert {**begun, "poll_token": ""} == {
        "poll_token": "",
        "user_code": "AB-CD",
        "verification_uri": "https://id.example/device",
        "expires_in": 300,
        "interval": 5,
    }

    def poll() -> tuple[int, Any]:
        body = {"poll_token": begun["poll_token"]}
        return oidc.ask("POST", "/api/v1/device/poll", body, token="")

    assert poll() == (202, {"status": "pending"})
    provider.device_error = "slow_down"
    assert poll() == (202, {"status": "slow_down"})
    provider.device_error = "access_denied"
    assert poll() == (403, "OIDC authorization failed\n")
    provider.device_error = ""
    provider.oidc_user["groups"] = ["guests"]
    assert poll() == (403, FORBIDDEN)
    provider.oidc_user["groups"] = ["staff"]
    code, said = poll()
    assert code == 200 and said["status"] == "authorized" and said["network_id"] == "proj"
    assert poll() == (200, said), "a poll may be repeated"
    assert oidc.ok("GET", "/api/v1/nodes", token=said["node_token"])[0]["name"] == "dev-1"
    oidc.now += 301 * SECOND
    assert poll() == (410, "expired or invalid poll token\n")
    assert oidc.ask("POST", "/api/v1/device/poll", {}, token="") == (400, "poll_token required\n")


def test_a_login_brings_no_node_into_anothers_network(oidc: Desk, provider: Provider) -> None:
    oidc.enrol()
    body = {"node_name": "dev-1", "network_id": "proj"}
    begun = oidc.ok("POST", "/api/v1/device/authorize", body, token="")
    provider.device_error = ""
    poll = {"poll_token": begun["poll_token"]}
    refused = (403, "access denied: membership required\n")
    assert oidc.ask("POST", "/api/v1/device/poll", poll, token="") == refused


def test_a_running_relay_knows_its_provider(provider: Provider, tmp_path: Path) -> None:
    issuer = {"oidc_issuer": provider.url, "oidc_client_id": "the-client"}
    site = Site(tmp_path, auth_mode="oidc", **issuer)
    assert site.ask("GET", "/api/v1/auth/config", token="") == (200, {"auth_mode": "oidc"})
    wait_until(lambda: site.relay.oidc._found)
    assert site.ask("GET", "/auth/oidc", token="")[0] == 302
    # A session of the platform is a user here.
    said = site.ok("GET", "/api/v1/auth/validate", token="access")
    assert said == {"status": "ok", "subject": "user:p1", "username": "ann@example.com"}
    site.close()


def test_an_app_may_be_given_or_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path, auth_mode="github")
    assert len(site.relay.service.setup_code) == 16
    assert site.ask("GET", "/auth/github", token="")[0] == 412
    site.close()
    site = Site(tmp_path, auth_mode="github", github_client_id="i", github_client_secret="s")
    assert not site.relay.service.setup_code
    assert site.ask("GET", "/auth/github", token="")[0] == 302
    site.close()


def test_routes_of_another_mode_are_not_there(desk: Desk, github: Desk) -> None:
    for path in ("/", "/auth/github", "/auth/oidc", "/auth/session"):
        assert status(desk, "GET", path) == 404
    assert status(github, "GET", "/auth/oidc") == 404
    assert status(github, "POST", "/api/v1/device/authorize", {}) == 404
    paths = github.ok("GET", "/api/v1/openapi.json")["paths"]
    assert "/auth/github" in paths and "/auth/oidc" not in paths
