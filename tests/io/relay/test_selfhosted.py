"""Logging a program in by a code, on the relay alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from codewire.relay.http.routes.login.selfhosted import read_user_code
from codewire.relay.store import people
from codewire.wire.http import Answer
from tests.io.relay.desk import ADMIN, BASE_URL, SECOND, Desk, status
from tests.io.relay.provider import CODE, Provider
from tests.io.relay.test_login import Browser, keep_app

AUTHORIZE, TOKEN = "/api/auth/device/authorize", "/api/auth/device/token"


def begin(desk: Desk) -> dict[str, Any]:
    begun: dict[str, Any] = desk.ok("POST", AUTHORIZE, token="")
    return begun


def poll(desk: Desk, begun: dict[str, Any]) -> tuple[int, Any]:
    return desk.ask("POST", TOKEN, {"device_code": begun["device_code"]}, token="")


def post(desk: Desk, **options: Any) -> Answer:
    fields = {name: options.pop(name) for name in ("cookie", "origin") if name in options}
    answer = desk.answer("POST", "/device", urlencode(options).encode(), token="", **fields)
    assert isinstance(answer, Answer)
    return answer


def test_a_program_logs_in_with_the_admins_token(desk: Desk) -> None:
    begun = begin(desk)
    assert re.fullmatch("[B-Z]{4}-[B-Z]{4}", begun["user_code"])
    assert begun["verification_uri"] == f"{BASE_URL}/device"
    assert (begun["expires_in"], begun["interval"]) == (300, 5)
    assert poll(desk, begun) == (202, {"status": "pending"})
    page = desk.ok("GET", f"/device?user_code={begun['user_code']}", token="")
    assert f'value="{begun["user_code"]}"' in page and 'name="token"' in page
    code = begun["user_code"].lower().replace("-", " ")
    assert post(desk, user_code=code, token="wrong").status == 401
    assert poll(desk, begun)[0] == 202
    done = post(desk, user_code=code, token=ADMIN, decision="confirm")
    assert done.status == 200 and b"The program is logged in." in done.body
    code, said = poll(desk, begun)
    assert code == 200 and said["user"] == {"id": "admin", "email": "admin", "name": "admin"}
    session = said["session_token"]
    assert desk.ok("GET", "/api/auth/get-session", token=session) == {"user": said["user"]}
    assert desk.ok("GET", "/api/v1/auth/validate", token=session) == {
        "status": "ok",
        "subject": "admin",
        "username": "admin",
    }
    # Once.
    assert poll(desk, begun) == (410, "device code expired\n")
    assert post(desk, user_code=begun["user_code"], token=ADMIN).status == 400
    desk.ok("POST", "/api/auth/sign-out", token=session)
    assert status(desk, "GET", "/api/auth/get-session", token=session) == 401


def test_a_code_that_is_denied_or_too_old(desk: Desk) -> None:
    begun = begin(desk)
    assert b"denied" in post(desk, user_code=begun["user_code"], token=ADMIN, decision="deny").body
    assert poll(desk, begun) == (403, "authorization denied\n")
    begun = begin(desk)
    desk.now += 301 * SECOND
    assert post(desk, user_code=begun["user_code"], token=ADMIN).status == 400
    assert poll(desk, begun) == (410, "device code expired\n")


def test_a_session_confirms_on_our_own_page_only(desk: Desk) -> None:
    session, begun = desk.login("oidc:ann"), begin(desk)
    cookie = f"cw_session={session}"
    page = desk.ok("GET", "/device", token="", cookie=cookie)
    assert "signed in as <b>oidc:ann</b>" in page and 'name="token"' not in page
    for origin in ({}, {"origin": "https://evil.example"}):
        assert post(desk, user_code=begun["user_code"], cookie=cookie, **origin).status == 403
    done = post(desk, user_code=begun["user_code"], cookie=cookie, origin=BASE_URL)
    assert done.status == 200
    said = poll(desk, begun)[1]
    assert said["user"]["id"] == "oidc:ann" and said["session_token"] != session


def test_guessing_is_limited(desk: Desk) -> None:
    said = [post(desk, user_code="BCDF-GHJK", token="x").status for _ in range(21)]
    assert said == [401] * 20 + [429]


def test_a_sign_in_leads_back_to_the_code(tmp_path: Path) -> None:
    provider = Provider()
    urls = {"github_url": provider.url, "github_api_url": provider.url}
    desk = Desk(tmp_path, auth_mode="github", **urls)
    keep_app(desk)
    begun, browser = begin(desk), Browser(desk)
    assert b'href="/auth/github"' in browser.get(f"/device?user_code={begun['user_code']}").body
    state = browser.state("/auth/github")
    location = browser.location(f"/auth/github/callback?code={CODE}&state={state}")
    assert location == f"/device?user_code={begun['user_code']}"
    assert f'value="{begun["user_code"]}"'.encode() in browser.get(location).body
    assert "cw_next" not in browser.cookies
    desk.store.read(people.github_app)
    desk.close()
    provider.close()


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("bcdf-ghjk", "BCDF-GHJK"),
        (" BCDF GHJK ", "BCDF-GHJK"),
        ("bcdfghjk", "BCDF-GHJK"),
        ("bcdf-ghj", ""),
        ("bcdf-ghja", ""),
        ("", ""),
        ("B" * 1000, ""),
        ("<script>", ""),
    ],
)
def test_codes_as_they_are_typed(typed: str, code: str) -> None:
    assert read_user_code(typed) == code
