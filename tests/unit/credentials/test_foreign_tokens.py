"""Tokens of an issuer that is not ours: good ones hold, bad ones are refused in known words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from codewire.credentials import ed25519
from codewire.credentials.claims import Claims
from codewire.credentials.envelope import (
    Bundle,
    UnknownKey,
    verify_observer,
    verify_runtime,
    verify_sender,
)
from codewire.credentials.replay import Replay, require_unused
from codewire.errors import CredentialError
from tests.unit.credentials.issuer import NOW, SECOND, TOKENS, Issuer, b64, rfc3339

VERIFY: dict[str, Callable[[str, Bundle, int], Claims]] = {
    "runtime": verify_runtime,
    "sender": verify_sender,
    "observer": verify_observer,
}
TITLES = {
    "runtime": "runtime token",
    "sender": "sender delegation",
    "observer": "observer delegation",
}
ISSUER = Issuer()
BUNDLE = Bundle.from_json(ISSUER.bundle())
# The same name, another key: what a thief of names would sign with.
IMPOSTOR = Issuer(bytes(32))


@pytest.fixture(params=["cryptography", "Python"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Check by `cryptography`, then without."""
    if request.param == "Python":
        monkeypatch.setattr(ed25519, "is_valid", ed25519.is_valid_slowly)
    name: str = request.param
    return name


@pytest.mark.parametrize("kind", TOKENS)
def test_a_good_token_holds(kind: str) -> None:
    claims = VERIFY[kind](ISSUER.token(kind), BUNDLE, NOW)
    for name, value in ISSUER.claims(kind).items():
        if name not in ("kind", "issued_at", "expires_at"):
            found = getattr(claims, name)
            assert (list(found) if isinstance(found, tuple) else found) == value
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 120 * SECOND)


Forgery = Callable[[str], str]


def resigned(kind: str) -> str:
    return IMPOSTOR.token(kind)


def changed_payload(kind: str) -> str:
    prefix, payload, signature = ISSUER.token(kind).split(".")
    claims = {**ISSUER.claims(kind), "jti": "id_2"}
    return f"{prefix}.{b64(json.dumps(claims).encode())}.{signature}"


def flipped_bit(kind: str) -> str:
    payload = json.dumps(ISSUER.claims(kind)).encode()
    signature = bytearray(ISSUER.sign(payload))
    signature[5] ^= 1
    return f"{TOKENS[kind][0]}.{b64(payload)}.{b64(bytes(signature))}"


def second_signature(kind: str) -> str:
    """S + L is another spelling of the same signature (RFC 8032 8.4)."""
    payload = json.dumps(ISSUER.claims(kind)).encode()
    signature = ISSUER.sign(payload)
    s = int.from_bytes(signature[32:], "little") + ed25519.L
    return f"{TOKENS[kind][0]}.{b64(payload)}.{b64(signature[:32] + s.to_bytes(32, 'little'))}"


def empty_signature(kind: str) -> str:
    return ISSUER.token(kind).rpartition(".")[0] + "."


def signed_text(kind: str) -> str:
    """The signature covers the bytes, not their base64."""
    payload = b64(json.dumps(ISSUER.claims(kind)).encode())
    return f"{TOKENS[kind][0]}.{payload}.{b64(ISSUER.sign(payload.encode()))}"


def claims(**changed: Any) -> Forgery:
    return lambda kind: ISSUER.token(kind, **changed)


def other_prefix(kind: str) -> str:
    other = {"runtime": "cwsd1", "sender": "cwog1", "observer": "cwrt1"}[kind]
    return f"{other}.{ISSUER.token(kind).partition('.')[2]}"


def payload(data: bytes) -> Forgery:
    return lambda kind: ISSUER.seal(TOKENS[kind][0], data)


DAY = 86400
SIGNATURE = "invalid {T} signature"
REFUSED: list[tuple[str, Forgery, str]] = [
    # Forged
    ("signed by another key of the same name", resigned, SIGNATURE),
    ("another payload under the signature", changed_payload, SIGNATURE),
    ("one bit of the signature", flipped_bit, SIGNATURE),
    ("a second signature made of the first", second_signature, SIGNATURE),
    ("no signature", empty_signature, SIGNATURE),
    ("a signature of the text", signed_text, SIGNATURE),
    ("a key that is not in the bundle", claims(kid="kid_other"),
     'no verifier key for kid "kid_other"'),
    ("no key named", claims(kid=None), 'no verifier key for kid ""'),
    # Skewed
    ("issued ahead", claims(issued_at=rfc3339(31)), "{T} issued in the future"),
    ("issued ahead in another zone", claims(issued_at="2026-04-03T09:00:00-02:00"),
     "{T} issued in the future"),
    # Expired
    ("expired", claims(expires_at=rfc3339(-31), issued_at=rfc3339(-60)), "{T} expired"),
    ("without an end", claims(expires_at=None), "{T} expired"),
    ("good for more than a day", claims(expires_at=rfc3339(DAY + 1)),
     "{T} is valid for more than 24h"),
    ("good for a year", claims(expires_at=rfc3339(365 * DAY)), "{T} is valid for more than 24h"),
    ("without a beginning", claims(issued_at=None), "{T} is valid for more than 24h"),
    # Foreign
    ("of another network", claims(network_id="other"), '{T} network_id = "other", want "proj"'),
    ("of no network", claims(network_id=None), '{T} network_id = "", want "proj"'),
    ("of another kind inside", claims(kind="other"), 'unexpected {T} kind "other"'),
    ("of another kind outside", other_prefix, "invalid {T} format"),
    # Malformed
    ("a year that is none", claims(expires_at="soon"), "parsing {T}: not an RFC 3339 timestamp"),
    ("no object", payload(b"[]"), "parsing {T}: not an object"),
    ("no JSON", payload(b"{"), "parsing {T}: .*"),
    ("no UTF-8", payload(b'{"jti":"\xff"}'), "parsing {T}: .*"),
    ("nested deeply", payload(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
     "parsing {T}: nested too deeply"),
    ("a number for a text", payload(b'{"network_id":7}'), "parsing {T}: network_id is no string"),
    ("half a character", payload(b'{"network_id":"\\ud800"}'), "parsing {T}: network_id is no .*"),
    ("empty", lambda kind: "", "invalid {T} format"),
    ("two parts", lambda kind: ISSUER.token(kind).rpartition(".")[0], "invalid {T} format"),
    ("four parts", lambda kind: ISSUER.token(kind) + ".x", "invalid {T} format"),
    ("huge", lambda kind: ISSUER.token(kind, jti="x" * 300_000), "invalid {T} format"),
    ("padded", lambda kind: ISSUER.token(kind) + "=", "decoding {T}: illegal base64 .*"),
    ("a line break", lambda kind: ISSUER.token(kind) + "\n", "decoding {T}: illegal base64 .*"),
    ("plain base64", lambda kind: TOKENS[kind][0] + ".+/.x", "decoding {T}: illegal base64 .*"),
]  # fmt: skip


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize(("name", "forge", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_token_is_refused(kind: str, name: str, forge: Forgery, words: str) -> None:
    with pytest.raises(CredentialError, match=f"^{words.format(T=TITLES[kind])}$") as caught:
        VERIFY[kind](forge(kind), BUNDLE, NOW)
    assert caught.value.code == "unauthorised"


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize(
    ("issued", "expires", "holds"),
    [(30, 120, True), (30.001, 120, False), (-120, -30, True), (-120, -30.001, False),
     (0, DAY, True), (-DAY, 0, True)],
)  # fmt: skip
def test_clocks_may_differ_by_30_seconds(
    kind: str, issued: float, expires: float, holds: bool
) -> None:
    token = ISSUER.token(kind, issued_at=rfc3339(issued), expires_at=rfc3339(expires))
    try:
        VERIFY[kind](token, BUNDLE, NOW)
    except CredentialError:
        assert not holds
    else:
        assert holds


def test_a_bundle_ends_30_seconds_late() -> None:
    token = ISSUER.token("runtime", expires_at=rfc3339(3600))
    end = NOW + 930 * SECOND
    assert verify_runtime(token, BUNDLE, end)
    with pytest.raises(CredentialError, match="^verifier bundle expired$"):
        verify_runtime(token, BUNDLE, end + 1)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"algorithm": "RSA"}, 'unsupported verifier algorithm "RSA"'),
        ({"public_key": "***"}, 'verifier key "kid_test" cannot be read: .*'),
        ({"public_key": "AAAA"}, "invalid runtime token signature"),
        ({"public_key": 7}, 'no verifier key for kid "kid_test"'),
    ],
)
def test_a_bundle_with_a_bad_key(key: dict[str, Any], words: str) -> None:
    (good,) = ISSUER.bundle()["keys"]
    bundle = Bundle.from_json(ISSUER.bundle(keys=[{**good, **key}]))
    with pytest.raises(CredentialError, match=f"^{words}$"):
        verify_runtime(ISSUER.token("runtime"), bundle, NOW)


def test_an_unknown_key_is_told_apart() -> None:
    with pytest.raises(UnknownKey) as caught:
        verify_runtime(Issuer(kid="kid_new").token("runtime"), BUNDLE, NOW)
    assert caught.value.kid == "kid_new"


def test_old_and_new_keys_verify_side_by_side() -> None:
    new = Issuer(bytes(reversed(range(32))), "kid_new")
    bundle = Bundle.from_json(ISSUER.bundle(keys=[*ISSUER.bundle()["keys"], *new.bundle()["keys"]]))
    for issuer in (ISSUER, new):
        assert verify_runtime(issuer.token("runtime"), bundle, NOW).kid == issuer.kid


@pytest.mark.parametrize("kind", ["runtime", "sender"])
def test_a_replayed_token_is_refused(kind: str) -> None:
    replay = Replay()
    token = ISSUER.token(kind)
    require_unused(replay, VERIFY[kind](token, BUNDLE, NOW), NOW)
    # As long as it verifies, whatever its envelope looks like.
    for later in (NOW, NOW + 150 * SECOND):
        again = VERIFY[kind](token, BUNDLE, later)
        with pytest.raises(CredentialError, match=f"^{kind} credential replay detected$"):
            require_unused(replay, again, later)
    with pytest.raises(CredentialError, match="^credential replay key is incomplete$"):
        require_unused(replay, VERIFY[kind](ISSUER.token(kind, jti=None), BUNDLE, NOW), NOW)


def test_keys_of_any_case_unknown_ones_and_null_are_as_in_go() -> None:
    found = ISSUER.claims("sender")
    found = {name.upper(): value for name, value in found.items()}
    found |= {"unknown": {"a": [1]}, "audience_node": None, "FROM_SESSION_ID": 4294967295}
    claims = verify_sender(ISSUER.seal("cwsd1", json.dumps(found).encode()), BUNDLE, NOW)
    assert (claims.source_node, claims.audience_node) == ("dev-1", "dev-2")
    assert claims.from_session_id == 4294967295


@pytest.mark.parametrize("number", [-1, 1 << 32, 1.0, True, "3"])
def test_a_session_id_is_of_32_bits(number: Any) -> None:
    with pytest.raises(CredentialError, match="session_id is no session id"):
        verify_observer(ISSUER.token("observer", session_id=number), BUNDLE, NOW)
