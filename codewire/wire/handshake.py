"""HTTP/1.1 message heads and the WebSocket upgrade inside them (RFC 9112, RFC 6455 4).

Bytes in, bytes out, both roles. Knows no paths, tokens or sockets: node/web.py decides what is
served, io/tcp.py reads the heads, client/reach/remote.py dials.
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

from codewire.errors import ProtocolError

# What accept_key appends (RFC 6455 1.3).
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
KEY_BYTES = 16

# More than any proxy adds; a head past it is refused unread.
MAX_HEAD = 16 * 1024
HEAD_END = b"\r\n\r\n"

TOKEN_CHARACTERS = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

# Says in a node's answer how large a message it takes; one that does not say so takes 32 KiB.
LIMIT_HEADER = "Codewire-Max-Message"

REASONS = {
    101: "Switching Protocols",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Head(NamedTuple):
    """The start line's three parts, and the fields: names in lower case, repeated ones joined."""

    start: tuple[str, str, str]
    fields: dict[str, str]

    @property
    def path(self) -> str:
        """A request's path without its query, also when it names the server (RFC 9112 3.2.2)."""
        target = self.start[1]
        if not target.startswith("/"):
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target.partition("?")[0]

    def has_token(self, name: str, token: str) -> bool:
        """Say whether a comma-separated field contains a token, whatever its case."""
        values = self.fields.get(name, "").lower().split(",")
        return token in (value.strip() for value in values)


class Refusal(NamedTuple):
    """An HTTP answer other than the upgrade: status, one line of text, more fields."""

    status: int
    text: str
    fields: tuple[tuple[str, str], ...] = ()


def parse_head(data: bytes) -> Head:
    """Return the head in `data`, which ends before the empty line. Raises ProtocolError.

    Strict where leniency has been used for smuggling: no folded lines, no blank before a colon.
    """
    start, *lines = data.decode("latin-1").split("\r\n")
    parts = start.split(" ", 2)
    if len(parts) < 2 or not start.isprintable():
        raise ProtocolError("malformed start line")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not name or not TOKEN_CHARACTERS.issuperset(name):
            raise ProtocolError("malformed header field")
        if any(character in value for character in "\0\r\n"):
            raise ProtocolError("control character in a header field")
        name = name.lower()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head((parts[0], parts[1], parts[2] if len(parts) > 2 else ""), fields)


def accept_key(key: str) -> str:
    """Return what proves that a Sec-WebSocket-Key was read.

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    from hashlib import sha1

    digest = sha1(key.encode("latin-1") + GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


# The server


def check_upgrade(head: Head) -> Refusal | None:
    """Return why a request is no acceptable WebSocket upgrade, None when it is one."""
    method, _, version = head.start
    if method != "GET":
        return Refusal(405, "method not allowed", (("Allow", "GET"),))
    upgrade = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    if version != "HTTP/1.1" or not (
        head.has_token("connection", "upgrade") and head.has_token("upgrade", "websocket")
    ):
        return Refusal(426, "WebSocket upgrade required", upgrade)
    if head.fields.get("sec-websocket-version") != VERSION:
        fields = (*upgrade, ("Sec-WebSocket-Version", VERSION))
        return Refusal(426, f"WebSocket version {VERSION} required", fields)
    if not _is_key(head.fields.get("sec-websocket-key", "")):
        return Refusal(400, "bad Sec-WebSocket-Key")
    host = head.fields.get("host")
    if not host or "," in host:
        return Refusal(400, "Host given twice" if host else "missing Host")
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
    return _head(f"HTTP/1.1 101 {REASONS[101]}", fields)


def plain_response(refusal: Refusal) -> bytes:
    """Return a whole plain-text answer after which the connection is closed."""
    body = refusal.text.encode() + b"\n"
    fields = (
        *refusal.fields,
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
    )
    if not any(name == "Connection" for name, _ in fields):
        fields = (*fields, ("Connection", "close"))
    return _head(f"HTTP/1.1 {refusal.status} {REASONS[refusal.status]}", fields) + body


# The client


def new_key(random: bytes) -> str:
    """Return a Sec-WebSocket-Key of 16 random bytes."""
    return binascii.b2a_base64(random, newline=False).decode()


def upgrade_request(
    authority: str, path: str, key: str, fields: tuple[tuple[str, str], ...]
) -> bytes:
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
    return _head(f"GET {path} HTTP/1.1", (*required, *fields))


def connect_request(authority: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Return the request that asks a proxy for a tunnel (RFC 9110 9.3.6)."""
    return _head(f"CONNECT {authority} HTTP/1.1", (("Host", authority), *fields))


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


def _head(start: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in fields)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ProtocolError("line break in a header field")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError as error:
        raise ProtocolError("a header field holds characters that HTTP cannot carry") from error


def _is_key(key: str) -> bool:
    try:
        data = binascii.a2b_base64(key.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        return False
    return len(data) == KEY_BYTES and new_key(data) == key
