"""HTTP heads and the WebSocket upgrade: RFC 6455's example, and what is refused."""

from __future__ import annotations

import pytest

from codewire.errors import ProtocolError
from codewire.wire.handshake import (
    accept_key,
    check_response,
    check_upgrade,
    connect_request,
    is_cross_origin,
    new_key,
    status_of,
    upgrade_request,
    upgrade_response,
)
from codewire.wire.http import encode_answer, parse_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(**changed: str | None) -> bytes:
    """Return RFC 6455's example request; a field given as None is left out."""
    fields = {
        "Host": "server.example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    start = changed.pop("start", "GET /ws HTTP/1.1")
    for name, value in changed.items():
        name = name.replace("_", "-")
        fields.pop(name, None)
        if value is not None:
            fields[name] = value
    return "\r\n".join([str(start), *(f"{k}: {v}" for k, v in fields.items())]).encode()


def test_both_ends_agree() -> None:
    made = upgrade_request("h:1", "/ws", KEY, (("Authorization", "Bearer x"),))
    head = parse_head(made.removesuffix(b"\r\n\r\n"))
    assert head.start == ("GET", "/ws", "HTTP/1.1")
    assert head.fields["authorization"] == "Bearer x"
    assert check_upgrade(head) is None
    answer = parse_head(upgrade_response(head, 77).removesuffix(b"\r\n\r\n"))
    assert status_of(answer) == 101
    assert answer.fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert check_response(answer, KEY) == 77


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, None),
        ({"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}, None),
        ({"start": "POST /ws HTTP/1.1"}, 405),
        ({"start": "GET /ws HTTP/1.0"}, 426),
        ({"Upgrade": None}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "close"}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Sec_WebSocket_Key": "=" + KEY}, 400),
        ({"Host": None}, 400),
        ({"Host": "server.example.com", "host": "other.example.com"}, 400),
    ],
)
def test_upgrades(changed: dict[str, str | None], status: int | None) -> None:
    refusal = check_upgrade(parse_head(request(**changed)))
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("origin", "crosses"),
    [
        (None, False),
        ("http://server.example.com", False),
        ("https://SERVER.example.com", False),
        ("https://evil.example", True),
        ("http://server.example.com:8080", True),
        ("null", True),
        ("", True),
    ],
)
def test_origins(origin: str | None, crosses: bool) -> None:
    assert is_cross_origin(parse_head(request(Origin=origin))) == crosses


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET",
        b"GET\x01/ws HTTP/1.1",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\n: no name",
        b"GET / HTTP/1.1\r\nHost : blank before the colon",
        b"GET / HTTP/1.1\r\nA: 1\r\n folded",
        b"GET / HTTP/1.1\r\nA: 1\nB: 2",
        b"GET / HTTP/1.1\nHost: bare line feed",
        b"GET / HTTP/1.1\r\nA: nul\0",
    ],
)
def test_malformed_heads(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(data)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/ws", "/ws"),
        ("/ws?a=/b", "/ws"),
        ("http://server.example.com:9100/ws?a", "/ws"),
        ("HTTPS://server.example.com", "/"),
        ("//elsewhere/ws", "//elsewhere/ws"),
        ("*", "/"),
    ],
)
def test_paths(target: str, path: str) -> None:
    assert parse_head(request(start=f"GET {target} HTTP/1.1")).path == path


def test_repeated_fields_are_joined() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nConnection: a\r\nconnection: Upgrade")
    assert head.has_token("connection", "upgrade")


@pytest.mark.parametrize("token", ["a\r\nHost: evil", "a\0", "→"])
def test_a_token_cannot_add_fields(token: str) -> None:
    with pytest.raises(ProtocolError):
        upgrade_request("h", "/ws", KEY, (("Authorization", f"Bearer {token}"),))


def test_answers_that_are_no_upgrade() -> None:
    good = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": accept_key(KEY),
    }
    for wrong in (
        {"upgrade": "h2c"},
        {"connection": "close"},
        {"sec-websocket-accept": accept_key(new_key(bytes(16)))},
        {"sec-websocket-extensions": "permessage-deflate"},
        {"sec-websocket-protocol": "chat"},
    ):
        lines = "".join(f"\r\n{name}: {value}" for name, value in {**good, **wrong}.items())
        head = parse_head(f"HTTP/1.1 101 Switching Protocols{lines}".encode())
        with pytest.raises(ProtocolError):
            check_response(head, KEY)


def test_plain_answers_say_how_long_they_are() -> None:
    refusal = check_upgrade(parse_head(request(Upgrade=None)))
    assert refusal is not None
    head, _, body = encode_answer(refusal).partition(b"\r\n\r\n")
    fields = parse_head(head).fields
    assert int(fields["content-length"]) == len(body)
    assert fields["upgrade"] == "websocket"
    assert fields["content-type"] == "text/plain; charset=utf-8"


def test_tunnels() -> None:
    assert connect_request("h:443", ()) == b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"


def test_an_answer_that_is_not_http() -> None:
    with pytest.raises(ProtocolError):
        status_of(parse_head(b"SSH-2.0-OpenSSH_9.2 x y"))
