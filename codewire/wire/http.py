"""HTTP/1.1 messages: heads, bodies, answers (RFC 9110, RFC 9112).

Bytes in, bytes out. Knows no paths, tokens or sockets: web/ serves with it, io/tcp.py reads heads
with it, handshake.py adds the WebSocket upgrade. Strict where leniency has been used to smuggle
requests past a proxy: what two parsers could read in two ways is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from codewire.errors import ProtocolError

# More than any proxy adds; a head past it is refused, in however many pieces it comes.
MAX_HEAD = 16 * 1024
HEAD_END = b"\r\n\r\n"
# A chunk's size with its extensions, or one field of a trailer.
MAX_LINE = 4096
MAX_BODY = 1 << 20

VERSIONS = ("HTTP/1.0", "HTTP/1.1")
# A body's length when it comes in chunks.
CHUNKED = -1
# Decimal digits of a length, hexadecimal ones of a chunk's size: both far past every limit.
MAX_DIGITS = 16

TOKEN_CHARACTERS = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))
# A list of hosts, a path or a name of a user is no host.
HOST_CHARACTERS = VISIBLE - frozenset(',/\\?#@"<>')
CONTROLS = frozenset(map(chr, (*range(0x20), 0x7F))) - {"\t"}
# Fields that say where a message ends or whom it is for must come before the body.
NOT_IN_TRAILERS = frozenset(("content-length", "transfer-encoding", "host"))

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

REASONS = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

Fields = tuple[tuple[str, str], ...]


class BadRequest(ProtocolError):
    """A request that breaks the rules; `status` is what to answer before closing."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Head(NamedTuple):
    """The start line's three parts, and the fields: names in lower case, repeated ones joined."""

    start: tuple[str, str, str]
    fields: dict[str, str]

    @property
    def method(self) -> str:
        """A request's method; their case counts."""
        return self.start[0]

    @property
    def path(self) -> str:
        """A request's path without its query, also when it names the server (RFC 9112 3.2.2)."""
        return self._origin_form().partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the path's question mark, as it came; "" when there is none."""
        return self._origin_form().partition("?")[2]

    def _origin_form(self) -> str:
        target = self.start[1]
        if target.startswith("/"):
            return target
        return "/" + target.partition("://")[2].partition("/")[2]

    def has_token(self, name: str, token: str) -> bool:
        """Say whether a comma-separated field contains a token, whatever its case."""
        values = self.fields.get(name, "").lower().split(",")
        return token in (value.strip() for value in values)

    @property
    def keeps_alive(self) -> bool:
        """Say whether the client may ask again on this connection (RFC 9112 9.3)."""
        return self.start[2] == "HTTP/1.1" and not self.has_token("connection", "close")


class Answer(NamedTuple):
    """What a request is answered: status, body, and fields besides those of the framing."""

    status: int
    body: bytes = b""
    fields: Fields = ()


def plain(status: int, text: str, fields: Fields = ()) -> Answer:
    """Return an answer of one line of text."""
    kind = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
    return Answer(status, text.encode() + b"\n", (*fields, *kind))


# Heads


class HeadEnd:
    """Finds where a head ends in bytes that grow; the next one needs another."""

    def __init__(self) -> None:
        self._seen = 0

    def find(self, buffer: bytearray) -> int:
        """Return the offset of HEAD_END, -1 when more bytes are needed. Raises BadRequest.

        What is refused, and with what, does not depend on the pieces it came in.
        """
        if buffer and not buffer[:1].isalpha():
            raise BadRequest(400, "not HTTP")
        start, limit = max(0, self._seen - 3), MAX_HEAD + len(HEAD_END)
        end = buffer.find(HEAD_END, start, limit)
        stop = end if end >= 0 else min(len(buffer), limit)
        if buffer.count(b"\n", start, stop) != buffer.count(b"\r\n", max(0, start - 1), stop):
            raise BadRequest(400, "line feed without a carriage return")
        if end < 0 and len(buffer) >= limit:
            raise BadRequest(431, f"header larger than {MAX_HEAD} bytes")
        # A line's last byte may be the first of the next look.
        self._seen = stop
        return end


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
        name, value = _parse_field(line)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head((parts[0], parts[1], parts[2] if len(parts) > 2 else ""), fields)


def _parse_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or not name or not TOKEN_CHARACTERS.issuperset(name):
        raise ProtocolError("malformed header field")
    if not CONTROLS.isdisjoint(value):
        raise ProtocolError("control character in a header field")
    return name.lower(), value


def encode_head(start: str, fields: Fields) -> bytes:
    """Return a head with its empty line. Raises ProtocolError for what would add lines to it."""
    lines = [start, *(f"{name}: {value}" for name, value in fields)]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ProtocolError("line break in a header field")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError as error:
        raise ProtocolError("a header field holds characters that HTTP cannot carry") from error


# Requests


def check_request(head: Head) -> int:
    """Check a request's start line, host and framing; return its body's length, or CHUNKED.

    Raises BadRequest.
    """
    method, target, version = head.start
    if not method or not TOKEN_CHARACTERS.issuperset(method) or not VISIBLE.issuperset(target):
        raise BadRequest(400, "malformed start line")
    if version not in VERSIONS:
        known = version.startswith("HTTP/") and len(version) == 8
        raise BadRequest(505 if known else 400, "HTTP/1.0 and HTTP/1.1 only")
    is_server_wide = (method, target) == ("OPTIONS", "*")
    if not is_server_wide and not target.lower().startswith(("/", "http://", "https://")):
        raise BadRequest(400, "malformed target")
    _check_host(head)
    return _body_length(head)


def _check_host(head: Head) -> None:
    host = head.fields.get("host")
    if host is None and head.start[2] == "HTTP/1.0":
        return
    if not host:
        raise BadRequest(400, "missing Host")
    if "," in host:
        raise BadRequest(400, "Host given twice")
    if not HOST_CHARACTERS.issuperset(host):
        raise BadRequest(400, "malformed Host")


def _body_length(head: Head) -> int:
    coding, length = head.fields.get("transfer-encoding"), head.fields.get("content-length")
    if coding is not None:
        if length is not None:
            raise BadRequest(400, "Content-Length beside Transfer-Encoding")
        if head.start[2] == "HTTP/1.0":
            raise BadRequest(400, "Transfer-Encoding in HTTP/1.0")
        # In this spelling, which is everybody's: others are one more thing to disagree on.
        if coding != "chunked":
            raise BadRequest(501, "Transfer-Encoding other than chunked")
        return CHUNKED
    if length is None:
        return 0
    # Not int(): it takes a sign, blanks, underscores and the digits of every script.
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "malformed Content-Length")
    if len(length) > MAX_DIGITS:
        raise BadRequest(413, "request body too large")
    return int(length)


class Body:
    """A request's body, taken off the front of what was received until it is whole in `data`."""

    def __init__(self, length: int, limit: int) -> None:
        """`length` is from `check_request`, `limit` in bytes. Raises BadRequest (413)."""
        self.data = bytearray()
        self._limit = limit
        self._is_chunked = length == CHUNKED
        self._left = 0 if self._is_chunked else self._allowed(length)
        self._step = self._take_size if self._is_chunked else self._take_data
        self._is_whole = False
        # Bytes of chunk extensions and trailers, which nobody looks at.
        self._idle = 0

    def take(self, buffer: bytearray) -> bool:
        """Take what belongs to the body; say whether it is whole. Raises BadRequest."""
        while not self._is_whole:
            if not self._step(buffer):
                return False
        return True

    def _allowed(self, size: int) -> int:
        if len(self.data) + size > self._limit:
            raise BadRequest(413, f"request body larger than {self._limit} bytes")
        return size

    def _take_data(self, buffer: bytearray) -> bool:
        piece = buffer[: self._left]
        del buffer[: len(piece)]
        self.data += piece
        self._left -= len(piece)
        if self._left:
            return False
        self._step, self._is_whole = self._take_data_end, not self._is_chunked
        return True

    def _take_data_end(self, buffer: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise BadRequest(400, "malformed chunk")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._step = self._take_size
        return True

    def _take_size(self, buffer: bytearray) -> bool:
        line = self._take_line(buffer)
        if line is None:
            return False
        digits, semicolon, extension = line.partition(b";")
        if not 0 < len(digits) <= MAX_DIGITS or not HEX_DIGITS.issuperset(digits):
            raise BadRequest(400, "malformed chunk size")
        if not CONTROLS.isdisjoint(extension.decode("latin-1")):
            raise BadRequest(400, "malformed chunk extension")
        self._ignore(semicolon + extension)
        self._left = self._allowed(int(digits, 16))
        self._step = self._take_data if self._left else self._take_trailer
        return True

    def _take_trailer(self, buffer: bytearray) -> bool:
        line = self._take_line(buffer)
        if line is None:
            return False
        if not line:
            self._is_whole = True
            return True
        try:
            name, _ = _parse_field(line.decode("latin-1"))
        except ProtocolError as error:
            raise BadRequest(400, str(error)) from error
        if name in NOT_IN_TRAILERS:
            raise BadRequest(400, f"{name} in a trailer")
        self._ignore(line)
        return True

    def _take_line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\r\n", 0, MAX_LINE + 2)
        if end < 0:
            if len(buffer) >= MAX_LINE + 2:
                raise BadRequest(400, "line too long in a chunked body")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line

    def _ignore(self, data: bytes) -> None:
        self._idle += len(data)
        if self._idle > MAX_HEAD:
            raise BadRequest(431, "too much beside the data of a chunked body")


class RequestReader:
    """Turns the bytes of a connection into requests, one after the other, head then body."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._end = HeadEnd()

    def feed(self, data: bytes) -> None:
        """Take over what was received."""
        self._buffer += data

    @property
    def has_bytes(self) -> bool:
        """Say whether bytes are left: of the next request, say."""
        return bool(self._buffer)

    def next_head(self) -> Head | None:
        """Return the next head, None when more bytes are needed. Raises BadRequest."""
        end = self._end.find(self._buffer)
        if end < 0:
            return None
        data = bytes(self._buffer[:end])
        del self._buffer[: end + len(HEAD_END)]
        self._end = HeadEnd()
        try:
            return parse_head(data)
        except BadRequest:
            raise
        except ProtocolError as error:
            raise BadRequest(400, str(error)) from error

    def take(self, body: Body) -> bool:
        """Hand the body its part of the bytes; say whether it is whole. Raises BadRequest."""
        return body.take(self._buffer)

    def rest(self) -> bytes:
        """Return and forget what is left, for another protocol after an upgrade."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


# Answers


def encode_answer(answer: Answer, *, close: bool = True, is_head: bool = False) -> bytes:
    """Return a whole answer; to a HEAD request one without its body. Raises ProtocolError."""
    fields = answer.fields
    has_body = answer.status >= 200 and answer.status not in (204, 304)
    if has_body:
        fields = (*fields, ("Content-Length", str(len(answer.body))))
    if close and not any(name.lower() == "connection" for name, _ in fields):
        fields = (*fields, ("Connection", "close"))
    reason = REASONS.get(answer.status, "Unknown")
    head = encode_head(f"HTTP/1.1 {answer.status} {reason}", fields)
    return head + answer.body if has_body and not is_head else head
