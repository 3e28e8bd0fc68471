"""Tokens, cookies, and how often an address may ask without one."""

from __future__ import annotations

from typing import Any

from tests.io.relay.desk import ADMIN, BASE_URL, SECOND, Desk, status

HOUR = 3600 * SECOND


# Who asks


def test_tokens(desk: Desk) -> None:
    def said(**fields: str) -> int:
        return status(desk, "GET", "/api/v1/auth/validate", token="", **fields)

    assert said(authorization=f"Bearer {ADMIN}") == 200
    assert said(authorization=f"bearer {ADMIN}") == 401
    assert said(authorization=ADMIN) == 401
    assert said(cookie=f"a=b; cw_session={ADMIN}") == 200
    assert said(authorization="Bearer wrong", cookie=f"cw_session={ADMIN}") == 200
    assert said(authorization="Bearer sess_unknown") == 401
    assert status(desk, "GET", f"/api/v1/auth/validate?token={ADMIN}", token="") == 401
    session = desk.login("oidc:m")
    assert said(authorization=f"Bearer {session}") == 200
    desk.now += HOUR
    assert said(authorization=f"Bearer {session}") == 401


def test_a_cookie_needs_our_own_page(desk: Desk) -> None:
    def create(**fields: str) -> int:
        cookie = f"cw_session={ADMIN}"
        body = {"network_id": "x"}
        return status(desk, "POST", "/api/v1/networks", body, token="", cookie=cookie, **fields)

    assert create() == 403
    assert create(origin="https://evil.example") == 403
    assert create(origin=BASE_URL) == 200


def test_without_an_admin_token_nobody_is_one(tmp_path: Any) -> None:
    desk = Desk(tmp_path, auth_token="")
    for token in ("", "x", "None"):
        assert status(desk, "GET", "/api/v1/auth/validate", token=token) == 401
    assert status(desk, "GET", "/api/v1/auth/validate", token="", authorization="Bearer ") == 401
    desk.close()


# Limits


def test_joins_are_limited(desk: Desk) -> None:
    def join(address: str, **fields: str) -> int:
        return status(desk, "POST", "/api/v1/join", b"{", token="", address=address, **fields)

    assert [join("192.0.2.7") for _ in range(11)] == [400] * 10 + [429]
    assert join("192.0.2.8") == 400
    # Nobody's word for another address counts.
    assert join("192.0.2.7", x_forwarded_for="192.0.2.9") == 429
    desk.now += 61 * SECOND
    assert join("192.0.2.7") == 400
    assert [join(f"2001:db8::{n:x}") for n in range(11)][-1] == 429


def test_a_trusted_proxy_is_believed(tmp_path: Any) -> None:
    desk = Desk(tmp_path, trusted_proxy=("10.0.0.0/8",))

    def join(forwarded: str) -> int:
        return status(
            desk,
            "POST",
            "/api/v1/join",
            b"{",
            token="",
            address="10.0.0.1",
            x_forwarded_for=forwarded,
        )

    for _ in range(10):
        assert join("1.1.1.1, 192.0.2.7, 10.9.9.9") == 400
    # The first is what the client itself claims.
    assert join("2.2.2.2, 192.0.2.7, 10.9.9.9") == 429
    assert join("192.0.2.8") == 400
    desk.close()


def test_limits_outlive_a_restart(desk: Desk, tmp_path: Any) -> None:
    for _ in range(10):
        desk.ask("POST", "/api/v1/join", b"{", token="")
    desk.service.limiter.save(desk.store, desk.now)
    again = Desk(tmp_path)
    again.service.limiter.load(again.store, again.now)
    assert status(again, "POST", "/api/v1/join", b"{", token="") == 429
    again.close()


def test_failed_uplinks_are_limited(desk: Desk) -> None:
    node = desk.enrol()
    for _ in range(60):
        assert status(desk, "GET", "/node/connect", token="wrong") == 401
    assert status(desk, "GET", "/node/connect", token="wrong") == 429
    assert status(desk, "GET", "/node/connect", token=node) == 426
    assert desk.hall.admitted == [("dev-1",)]
