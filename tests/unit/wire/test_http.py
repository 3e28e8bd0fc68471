"""HTTP messages: h11 as the judge of what we accept, and the odd shapes that we refuse."""

from __future__ import annotations

from typing import NamedTuple

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.http import (
    MAX_BODY,
    MAX_HEAD,
    Answer,
    BadRequest,
    Body,
    RequestReader,
    check_request,
    encode_answer,
    parse_head,
    plain,
)


class Read(NamedTuple):
    """A request as both sides can say it."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the data cut at these places."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def ours(parts: list[bytes], limit: int = MAX_BODY) -> list[Read]:
    """Return the whole requests we read. Raises BadRequest."""
    reader, found, body, head = RequestReader(), [], None, None
    for part in parts:
        reader.feed(part)
        while True:
            if body is None:
                head = reader.next_head()
                if head is None:
                    break
                body = Body(check_request(head), limit)
            if not reader.take(body):
                break
            assert head is not None
            found.append(Read(head.start[0], head.start[1], head.fields, bytes(body.data)))
            body = None
    return found


def theirs(parts: list[bytes], count: int) -> list[Read]:
    """Return the first `count` requests as h11 reads them. Raises h11.RemoteProtocolError."""
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=4 * MAX_HEAD)
    found: list[Read] = []
    head, body = None, bytearray()
    for part in [*parts, None]:
        if part is not None:
            judge.receive_data(part)
        while len(found) < count:
            event = judge.next_event()
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.Request):
                head, body = event, bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                found.append(_judged(head, bytes(body)))
                if len(found) < count:
                    judge.send(h11.Response(status_code=204, headers=[]))
                    judge.send(h11.EndOfMessage())
                    judge.start_next_cycle()
            else:
                raise AssertionError(f"h11 says {event!r}")
    return found


def _judged(head: h11.Request, body: bytes) -> Read:
    fields: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Read(head.method.decode(), head.target.decode(), fields, body)


CHUNK = st.binary(min_size=1, max_size=20).map(lambda data: b"%x\r\n%s\r\n" % (len(data), data))
BODIES = st.one_of(
    st.just(b"\r\n"),
    st.binary(max_size=40).map(lambda data: b"Content-Length: %d\r\n\r\n%s" % (len(data), data)),
    st.lists(CHUNK, max_size=4).map(
        lambda chunks: b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"
    ),
    st.lists(CHUNK, max_size=2).map(
        lambda chunks: (
            b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"00;a=b\r\nX-T: 1\r\n\r\n"
        )
    ),
)
STARTS = st.tuples(
    st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"M-SEARCH"]),
    st.sampled_from([b"/", b"/a%2Fb?c=d", b"http://h/x", b"/~u;v=1"]),
).map(lambda parts: b"%s %s HTTP/1.1\r\nHost: h\r\n" % parts)
EXTRAS = st.lists(
    st.sampled_from(
        [b"A: 1\r\n", b"a:2 \t\r\n", b"B:\r\n", b"Cookie: \xe9; x\r\n", b"X:  y z \r\n"]
    ),
    max_size=3,
).map(b"".join)
WELL_FORMED = st.lists(st.tuples(STARTS, EXTRAS, BODIES).map(b"".join), min_size=1, max_size=3).map(
    b"".join
)

# What people put in to be read in two ways.
ODDITIES = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"+",
    b"_",
    b"\x0b",
    b"\x0c",
]
ODDITIES += [b"\x7f", b"\xff", b"0", b"chunked", b"x", b"Content-Length: 3\r\n", b"Host: i\r\n"]
ODDITIES += [
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Host:\r\n",
    b"HTTP/1.0",
]
CUTS = st.lists(st.integers(0, 1 << 16), max_size=6)


@settings(max_examples=100, deadline=None)
@given(WELL_FORMED, CUTS)
def test_what_is_well_formed_is_read_alike(data: bytes, cuts: list[int]) -> None:
    found = ours(pieces(data, cuts))
    assert found
    assert found == theirs([data], len(found))
    assert found == ours([data]) == ours([data[i : i + 1] for i in range(len(data))])


@settings(max_examples=300, deadline=None)
@given(
    WELL_FORMED,
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(ODDITIES), st.booleans()), max_size=3),
    CUTS,
)
@example(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", [(44, b"+", False)], [])
def test_what_we_accept_h11_accepts_and_reads_alike(
    data: bytes, changes: list[tuple[int, bytes, bool]], cuts: list[int]
) -> None:
    for place, oddity, replaces in changes:
        place %= len(data) + 1
        data = data[:place] + oddity + data[place + (len(oddity) if replaces else 0) :]
    results = []
    for parts in (pieces(data, cuts), [data]):
        try:
            results.append(ours(parts))
        except BadRequest as error:
            results.append([str(error.status)])  # type: ignore[list-item]
    assert results[0] == results[1], "the pieces it comes in make no difference"
    try:
        found = ours([data])
    except BadRequest:
        return
    # h11 ends after a request of HTTP/1.0, and so do we.
    ended = [n for n, read in enumerate(found, 1) if _is_last(data, read)]
    found = found[: ended[0]] if ended else found
    assert found == theirs([data], len(found))


def _is_last(data: bytes, read: Read) -> bool:
    """Say whether a connection may have to end after this request."""
    return b"HTTP/1.0" in data or "close" in read.fields.get("connection", "")


def request(*lines: bytes, start: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: h") -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *lines, b"", b""])


ODD = {
    "two lengths": (request(b"Content-Length: 2", b"Content-Length: 3"), 400),
    "the same length twice": (request(b"Content-Length: 2", b"Content-Length: 2"), 400),
    "a list of lengths": (request(b"Content-Length: 2, 2"), 400),
    "a sign": (request(b"Content-Length: +2"), 400),
    "a minus": (request(b"Content-Length: -2"), 400),
    "an underscore": (request(b"Content-Length: 0_2"), 400),
    "hexadecimal": (request(b"Content-Length: 0x2"), 400),
    "a blank in a length": (request(b"Content-Length: 1 2"), 400),
    "an empty length": (request(b"Content-Length:"), 400),
    "a digit of another script": (request(b"Content-Length: \xb2"), 400),
    "an endless length": (request(b"Content-Length: " + b"9" * 30), 413),
    "a large length": (request(b"Content-Length: 1048577"), 413),
    "a blank before the colon": (request(b"Content-Length : 2"), 400),
    "xchunked": (request(b"Transfer-Encoding: xchunked"), 501),
    "gzip, chunked": (request(b"Transfer-Encoding: gzip, chunked"), 501),
    "gzip and chunked": (request(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), 501),
    "chunked twice": (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 501),
    "Chunked": (request(b"Transfer-Encoding: Chunked"), 501),
    "an empty coding": (request(b"Transfer-Encoding:"), 501),
    "both framings": (request(b"Content-Length: 2", b"Transfer-Encoding: chunked"), 400),
    "chunks in 1.0": (request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"), 400),
    "NUL in a value": (request(b"X: a\0b"), 400),
    "NUL in a name": (request(b"X\0: a"), 400),
    "bare CR": (request(b"X: a\rb"), 400),
    "bare LF": (request(b"X: a\nY: b"), 400),
    "bare LFs only": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "folded": (request(b"X: a", b" b"), 400),
    "folded first": (request(b" X: a", host=b""), 400),
    "no colon": (request(b"X"), 400),
    "no name": (request(b": x"), 400),
    "no host": (request(host=b""), 400),
    "an empty host": (request(host=b"Host:"), 400),
    "two hosts": (request(b"Host: i"), 400),
    "two hosts, one empty": (request(b"Host:"), 400),
    "two hosts in 1.0": (request(b"Host: i", start=b"GET / HTTP/1.0"), 400),
    "a path for a host": (request(host=b"Host: h/../x"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2.0": (request(start=b"GET / HTTP/2.0"), 505),
    "HTTP/1.2": (request(start=b"GET / HTTP/1.2"), 505),
    "http/1.1": (request(start=b"GET / http/1.1"), 400),
    "two blanks": (request(start=b"GET  / HTTP/1.1"), 400),
    "a blank in the target": (request(start=b"GET /a b HTTP/1.1"), 400),
    "a control in the target": (request(start=b"GET /\x01 HTTP/1.1"), 400),
    "a Latin letter in the target": (request(start=b"GET /\xe9 HTTP/1.1"), 400),
    "a target without a slash": (request(start=b"GET x HTTP/1.1"), 400),
    "a star": (request(start=b"GET * HTTP/1.1"), 400),
    "no method": (request(start=b" / HTTP/1.1"), 400),
    "a method with a colon": (request(start=b"G:T / HTTP/1.1"), 400),
    "an empty line first": (b"\r\n" + request(), 400),
    "TLS": (b"\x16\x03\x01\x02\x00", 400),
    "20 KB of head": (request(b"X: " + b"y" * 20_000), 431),
    "20 KB of names": (request(*(b"X%d: y" % n for n in range(2500))), 431),
    "5 MB of head": (b"GET / HTTP/1.1\r\nX: " + b"y" * (5 << 20), 431),
    "5 MB of start line": (b"GET /" + b"y" * (5 << 20), 431),
}
CHUNKED = request(b"Transfer-Encoding: chunked")
ODD_CHUNKS = {
    "a sign": (b"+2\r\nab\r\n", 400),
    "0x": (b"0x2\r\nab\r\n", 400),
    "an underscore": (b"0_2\r\nab\r\n", 400),
    "a blank before": (b" 2\r\nab\r\n", 400),
    "a blank behind": (b"2 \r\nab\r\n", 400),
    "no size": (b"\r\nab", 400),
    "no size but an extension": (b";a\r\nab", 400),
    "bare LF": (b"2\nab\n0\n\n\r\n", 400),
    "too short": (b"3\r\nab\r\n", 400),
    "too long": (b"1\r\nab\r\n", 400),
    "CR alone behind the data": (b"2\r\nab\rx", 400),
    "seventeen digits": (b"0" * 16 + b"2\r\nab", 400),
    "a large size": (b"100001\r\n", 413),
    "an enormous size": (b"f" * 16 + b"\r\n", 413),
    "NUL in an extension": (b"2;a=\0\r\nab\r\n", 400),
    "an endless extension": (b"2;" + b"a" * 5000, 400),
    "too many extensions": (b"1;" + b"a" * 4000 + b"\r\nx\r\n", 431),
    "a folded trailer": (b"0\r\nX: a\r\n b\r\n\r\n", 400),
    "a length in the trailer": (b"0\r\nContent-Length: 2\r\n\r\n", 400),
    "a host in the trailer": (b"0\r\nHost: i\r\n\r\n", 400),
    "too many trailers": (b"0\r\n" + b"X: yyyyyyyyyy\r\n" * 2000, 431),
}


@pytest.mark.parametrize(("data", "status"), ODD.values(), ids=ODD.keys())
def test_odd_requests_are_refused(data: bytes, status: int) -> None:
    steps = [1 << 23] if len(data) > 100_000 else [1, 7, 4096, 1 << 23]
    for step in steps:
        with pytest.raises(BadRequest) as caught:
            ours([data[start : start + step] for start in range(0, len(data), step)])
        assert caught.value.status == status, step


@pytest.mark.parametrize(("data", "status"), ODD_CHUNKS.values(), ids=ODD_CHUNKS.keys())
def test_odd_chunks_are_refused(data: bytes, status: int) -> None:
    data = CHUNKED + (data * 5 if data.startswith(b"1;") else data)
    for step in (1, 7, 1 << 20):
        with pytest.raises(BadRequest) as caught:
            ours([data[start : start + step] for start in range(0, len(data), step)])
        assert caught.value.status == status, step


@pytest.mark.parametrize("step", [1, 4096, 1 << 20])
def test_a_head_may_be_just_so_large(step: int) -> None:
    room = MAX_HEAD - len(request(b"X: ")) + 4
    for size, is_taken in ((room, True), (room + 1, False)):
        data = request(b"X: " + b"y" * size)
        parts = [data[start : start + step] for start in range(0, len(data), step)]
        if is_taken:
            assert len(ours(parts)) == 1
        else:
            with pytest.raises(BadRequest):
                ours(parts)


def test_a_body_may_be_just_so_large() -> None:
    assert ours([request(b"Content-Length: 4") + b"abcd"], limit=4)[0].body == b"abcd"
    assert ours([CHUNKED + b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"], limit=4)[0].body == b"abcd"
    for data in (request(b"Content-Length: 5"), CHUNKED + b"2\r\nab\r\n3\r\n"):
        with pytest.raises(BadRequest) as caught:
            ours([data], limit=4)
        assert caught.value.status == 413


def test_requests_of_1_0_need_no_host() -> None:
    assert ours([request(start=b"GET / HTTP/1.0", host=b"")])[0].target == "/"


def test_options_may_be_those_of_the_server() -> None:
    assert ours([request(start=b"OPTIONS * HTTP/1.1")])[0].target == "*"


@pytest.mark.parametrize(
    ("start", "field", "keeps"),
    [
        (b"GET / HTTP/1.1", b"X: y", True),
        (b"GET / HTTP/1.1", b"Connection: x, Close", False),
        (b"GET / HTTP/1.0", b"Connection: keep-alive", False),
    ],
)
def test_who_may_ask_again(start: bytes, field: bytes, keeps: bool) -> None:
    assert parse_head(start + b"\r\n" + field).keeps_alive == keeps


@pytest.mark.parametrize(
    ("answer", "close", "method"),
    [
        (plain(404, "no"), True, b"GET"),
        (plain(200, "yes"), False, b"HEAD"),
        (Answer(204), False, b"GET"),
        (Answer(304, fields=(("ETag", "1"),)), False, b"GET"),
        (Answer(200, b"\0" * 1000, (("Content-Type", "x/y"),)), False, b"POST"),
        (Answer(299), True, b"GET"),
    ],
)
def test_h11_reads_our_answers(answer: Answer, close: bool, method: bytes) -> None:
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method=method, target=b"/", headers=[("Host", "h")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(encode_answer(answer, close=close, is_head=method == b"HEAD"))
    head = judge.next_event()
    assert isinstance(head, h11.Response)
    assert head.status_code == answer.status
    body = b""
    while isinstance(event := judge.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert body == (b"" if method == b"HEAD" else answer.body)
    assert (judge.their_state is h11.MUST_CLOSE) == close


def test_an_answer_gains_no_fields() -> None:
    with pytest.raises(ProtocolError):
        encode_answer(plain(302, "", (("Location", "/\r\nSet-Cookie: a"),)))
