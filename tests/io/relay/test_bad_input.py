"""Whatever is sent to the API: an answer of its document, never a failure of ours.

Every field of every endpoint gets what it must not have: other types, control characters, what is
too long, other networks' ids. The document is checked by schemathesis, which made none of it.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from codewire.relay.http.api import ENDPOINTS
from codewire.relay.http.endpoint import Endpoint
from codewire.relay.http.openapi import describe
from codewire.wire.http import Answer
from tests.io.relay.desk import ADMIN, Desk

LONG = "x" * 70_000
SCALARS: list[Any] = [
    "", " ", "proj", "other", "dev-1", "mesh", "bindings", "admin", "\0", "a\nb", "\x1b[2J", "\x7f",
    "é", "\u202e", "😀", "\ud800", "..", "/", "%2F", "a" * 65, "a" * 300, LONG, "oidc:x", "user:",
    "relay.networkauth", "1h", "-1h", "25h", "1000h", "0", "9" * 300, "1e9h", "true", "maybe",
    0, -1, 1, 1 << 31, 1 << 32, 1 << 63, 10**30, 1.5, -0.0, True, False, None,
    [], ["msg"], [""], ["read"] * 100, [1], {}, {"a": {"b": []}}, [[[]]],
]  # fmt: skip
NASTY_BODIES = [
    b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}", b"\xff\xfe", b"[" * 20_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"network_id":NaN}', b'{"network_id":"proj"}garbage',
    b'{"network_id":"\xc3\x28"}', b'\xef\xbb\xbf{"network_id":"proj"}', b"\0" * 100,
    b'{"NETWORK_ID":"proj","network_id":null}',
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("relay"))
    desk.service.limiter.check = lambda *_: None  # type: ignore[method-assign]
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def tokens(desk: Desk) -> list[str]:
    node = desk.enrol()
    desk.ok("POST", "/api/v1/groups", {"network_id": "proj", "name": "mesh"})
    member = desk.login("oidc:member", "proj")
    stranger = desk.login("oidc:stranger", "other")
    return [ADMIN, ADMIN, node, member, stranger, "", "wrong"]


DOCUMENTED = {
    id(e): {int(s) for s in describe([e], "")["paths"][e.path][e.method.lower()]["responses"]}
    for e in ENDPOINTS
}


class Chance:
    """Draws requests. One seed is one series of them, whatever else runs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self) -> Any:
        if self.random.random() < 0.8:
            return self.random.choice(SCALARS)
        length = self.random.randrange(12)
        return "".join(
            chr(self.random.choice((9, 32, 65, 233, 0x2028, 0xD7FF))) for _ in range(length)
        )

    def text(self) -> str:
        value = self.value()
        return value if isinstance(value, str) else json.dumps(value)

    def escaped(self) -> str:
        return quote(self.text()[:3000], safe="", errors="surrogatepass")

    def some(self, names: Any) -> list[str]:
        return [name for name in names if self.random.random() < 0.6]

    def target(self, endpoint: Endpoint) -> str:
        parts = [
            self.escaped() or "x" if p.startswith("{") else p for p in endpoint.path.split("/")
        ]
        pairs = [f"{name}={self.escaped()}" for name in self.some(endpoint.query)]
        # Mostly a network that is there, so that the fields behind it are looked at.
        if self.random.random() < 0.6:
            pairs.insert(0, "network_id=proj")
        return f"{'/'.join(parts)}?{'&'.join(pairs)}"

    def body(self, endpoint: Endpoint) -> bytes:
        if endpoint.body is None:
            return b"x" if endpoint.raw_limit else b""
        if self.random.random() < 0.1:
            return self.random.choice(NASTY_BODIES)
        fields = {name: self.value() for name in self.some(endpoint.body.fields)}
        if "network_id" in endpoint.body.fields and self.random.random() < 0.6:
            fields["network_id"] = "proj"
        return json.dumps(fields).encode()


# Each example asks every endpoint: ten thousand requests and more.
@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=240, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 1 << 40))
def test_an_answer_of_the_document(desk: Desk, tokens: list[str], seed: int) -> None:
    chance = Chance(seed)
    for endpoint in ENDPOINTS:
        target, body = chance.target(endpoint), chance.body(endpoint)
        token = chance.random.choice(tokens)
        fields = {name: chance.text()[:500] for name in endpoint.fields}
        answer = desk.answer(endpoint.method, target, body, token=token, **fields)
        if isinstance(answer, Answer):
            known = DOCUMENTED[id(endpoint)] | {413, 404, 405, 307}
            assert answer.status in known, (endpoint.path, target[:300], body[:300], answer)


@pytest.mark.parametrize("body", NASTY_BODIES)
def test_bodies_that_are_none(desk: Desk, tokens: list[str], body: bytes) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.body is not None:
            path = endpoint.path.replace("{name}", "mesh")
            status, said = desk.ask(endpoint.method, path, body)
            assert status < 500, (path, body[:100], said)


def test_nothing_is_logged_as_a_failure(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        for value in SCALARS:
            desk.ask("POST", "/api/v1/networks", {"network_id": value})
    assert not caplog.records
