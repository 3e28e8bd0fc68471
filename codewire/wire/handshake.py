"""The WebSocket upgrade inside HTTP/1.1 heads (RFC 6455 4), and a proxy's tunnel.

Bytes in, bytes out, both roles. Knows no paths, tokens or sockets: web/upgrade.py serves,
client/reach/remote.py dials.
"""

from __future__ import annotations

import binascii

from codewire.errors import ProtocolError
from codewire.wire.http import REASONS, Answer, Fields, Head, encode_head, plain

# What accept_key appends (RFC 6455 1.3).
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
KEY_BYTES = 16

# Says in a node's answer how large a message it takes; one that does not say so takes 32 KiB.
LIMIT_HEADER = "Codewire-Max-Message"


def accept_key(key: str) -> str:
    """Return what proves that a Sec-WebSocket-Key was read.

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    from hashlib import sha1

    digest = sha1(key.encode("latin-1") + GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


# The server


def check_upgrade(head: Head) -> Answer | None:
    """Return why a request is no acceptable WebSocket upgrade, None when it is one."""
    method, _, version = head.start
    if method != "GET":
        return plain(405, "method not allowed", (("Allow", "GET"),))
    upgrade = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    if version != "HTTP/1.1" or not (
        head.has_token("connection", "upgrade") and head.has_token("upgrade", "websocket")
    ):
        return plain(426, "WebSocket upgrade required", upgrade)
    if head.fields.get("sec-websocket-version") != VERSION:
        fields = (*upgrade, ("Sec-WebSocket-Version", VERSION))
        return plain(426, f"WebSocket version {VERSION} required", fields)
    if not _is_key(head.fields.get("sec-websocket-key", "")):
        return plain(400, "bad Sec-WebSocket-Key")
    host = head.fields.get("host")
    if not host or "," in host:
        return plain(400, "Host given twice" if host else "missing Host")
    return None


def is_cross_origin(head: Head) -> bool:
    """Say whether a browser's page from elsewhere asks: its Origin names another host."""
    origin = head.fields.get("origin")
    if origin is None:
        return False
    host = origin.partition("://")[2].partition("/")[0]
    return host.lower() != head.fields.get("host", "").lower()


def upgrade_response(head: Head, max_message: int) -> bytes:
    """Return the answer that turns the connection into a WebSocket."""
    fields = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key(head.fields["sec-websocket-key"])),
        (LIMIT_HEADER, str(max_message)),
    )
    return encode_head(f"HTTP/1.1 101 {REASONS[101]}", fields)


# The client


def new_key(random: bytes) -> str:
    """Return a Sec-WebSocket-Key of 16 random bytes."""
    return binascii.b2a_base64(random, newline=False).decode()


def upgrade_request(authority: str, path: str, key: str, fields: Fields) -> bytes:
    """Return the request for a WebSocket; `fields` come behind the required ones.

    Raises ProtocolError for a field that would not survive the way, such as a token with a line
    break in it.
    """
    required = (
        ("Host", authority),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", VERSION),
    )
    return encode_head(f"GET {path} HTTP/1.1", (*required, *fields))


def connect_request(authority: str, fields: Fields) -> bytes:
    """Return the request that asks a proxy for a tunnel (RFC 9110 9.3.6)."""
    return encode_head(f"CONNECT {authority} HTTP/1.1", (("Host", authority), *fields))


def status_of(head: Head) -> int:
    """Return the status code of a response's head. Raises ProtocolError."""
    version, code, _ = head.start
    if not version.startswith("HTTP/1.") or not (code.isdigit() and len(code) == 3):
        raise ProtocolError("the answer is not HTTP")
    return int(code)


def check_response(head: Head, key: str) -> int:
    """Check the answer to an upgrade; return the largest message the server says it takes, or 0.

    The status has been looked at already. Raises ProtocolError.
    """
    if not (head.has_token("connection", "upgrade") and head.has_token("upgrade", "websocket")):
        raise ProtocolError("the answer is no WebSocket upgrade")
    if head.fields.get("sec-websocket-accept") != accept_key(key):
        raise ProtocolError("the answer belongs to another handshake")
    for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if head.fields.get(name):
            raise ProtocolError(f"the server chose what was not offered: {name}")
    limit = head.fields.get(LIMIT_HEADER.lower(), "")
    return int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 16 else 0


def _is_key(key: str) -> bool:
    try:
        data = binascii.a2b_base64(key.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        return False
    return len(data) == KEY_BYTES and new_key(data) == key
