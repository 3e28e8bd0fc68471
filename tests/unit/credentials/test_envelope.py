"""Our own tokens and bundles: the published example, and that the other side's are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.credentials.bundle import Bundle, BundleKey, issuer_name
from codewire.credentials.claims import (
    Claims,
    ObserverClaims,
    RuntimeClaims,
    SenderClaims,
    decode_claims,
    encode_claims,
)
from codewire.credentials.encoding import decode, encode
from codewire.credentials.envelope import (
    mint,
    peek,
    peek_network,
    verify_observer,
    verify_runtime,
    verify_sender,
)
from codewire.credentials.signing import SigningKey
from codewire.errors import ConfigError, CredentialError
from codewire.wire.timestamps import MAX_NS, MIN_NS, parse_timestamp
from tests.unit.credentials.issuer import NOW, SECOND, Issuer

# spec/network-auth.md 3, Test vector
GOLDEN = (
    "cwrt1.eyJraW5kIjoicnVudGltZSIsIm5ldHdvcmtfaWQiOiJwcm9qZWN0LWFscGhhIiwic3ViamVjdF9raW5kIjoibm9kZ"
    "SIsInN1YmplY3RfaWQiOiJkZXYtMSIsImlzc3VlciI6InJlbGF5OnByb2plY3QtYWxwaGEiLCJraWQiOiJraWRfdGVzdCIs"
    "Imlzc3VlZF9hdCI6IjIwMjYtMDQtMDNUMTA6MDA6MDBaIiwiZXhwaXJlc19hdCI6IjIwMjYtMDQtMDNUMTA6MDU6MDBaIiwi"
    "anRpIjoicnRfdGVzdCJ9.MPxjBZ5dO72sNiYhgtMm9tVgmKGfVx1lzvxSfrvZ5XDDHLmVh5tQtGN_JO-fIUp3Wix9TwyINdf"
    "Gzdip4xyuAQ"
)
GOLDEN_CLAIMS = RuntimeClaims(
    network_id="project-alpha",
    subject_kind="node",
    subject_id="dev-1",
    issuer="relay:project-alpha",
    kid="kid_test",
    issued_at=parse_timestamp("2026-04-03T10:00:00Z"),
    expires_at=parse_timestamp("2026-04-03T10:05:00Z"),
    jti="rt_test",
)
KEY = SigningKey("kid_test", bytes(range(32)))


def bundle_of(network: str) -> Bundle:
    return Bundle(network, issuer_name(network), (KEY.to_bundle(),), 1, NOW + 900 * SECOND)


def test_the_published_example_is_what_we_mint_and_accept() -> None:
    assert encode(KEY.public_key) == "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
    assert mint(GOLDEN_CLAIMS, KEY) == GOLDEN
    assert verify_runtime(GOLDEN, bundle_of("project-alpha"), NOW) == GOLDEN_CLAIMS


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TIME = st.integers(MIN_NS, MAX_NS)
NUMBER = st.none() | st.integers(0, (1 << 32) - 1)
TEXTS = st.lists(TEXT, max_size=4).map(tuple)
COMMON = {"network_id": TEXT, "issuer": TEXT, "kid": TEXT, "issued_at": TIME, "expires_at": TIME,
          "jti": TEXT}  # fmt: skip
ANY = st.one_of(
    st.builds(RuntimeClaims, **COMMON, subject_kind=TEXT, subject_id=TEXT),
    st.builds(SenderClaims, **COMMON, source_node=TEXT, from_session_id=NUMBER,
              from_session_name=TEXT, source_groups=TEXTS, verbs=TEXTS, audience_node=TEXT),
    st.builds(ObserverClaims, **COMMON, target_node=TEXT, session_id=NUMBER, session_name=TEXT,
              verbs=TEXTS, audience_subject_kind=TEXT, audience_subject_id=TEXT),
)  # fmt: skip


@given(ANY)
def test_claims_come_back_as_they_were(claims: Claims) -> None:
    assert decode_claims(encode_claims(claims), type(claims)) == (claims.kind, claims)


@given(st.binary(max_size=300))
def test_any_payload_is_claims_or_a_value_error(payload: bytes) -> None:
    try:
        decode_claims(payload, ObserverClaims)
    except ValueError:
        pass


@given(st.text(max_size=300))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(CredentialError, match="^(invalid|decoding|parsing) "):
        verify_sender(text, bundle_of("proj"), NOW)
    assert peek_network(text) == ""


def test_id_zero_is_an_id_and_no_id_is_none() -> None:
    claims = SenderClaims(network_id="n", from_session_id=0, verbs=("msg",))
    assert b'"from_session_id":0' in encode_claims(claims)
    assert b"from_session_name" not in encode_claims(claims)
    assert b"audience_node" not in encode_claims(claims)
    assert b"session_id" not in encode_claims(ObserverClaims(network_id="n"))


def test_a_network_is_read_from_any_token_unverified() -> None:
    assert peek_network(GOLDEN) == "project-alpha"
    assert peek_network(Issuer(bytes(32)).token("observer", network_id="é")) == "é"
    assert peek_network(Issuer().token("observer", network_id=7)) == ""


def test_an_observer_grant_is_read_unverified() -> None:
    claims = peek(Issuer(bytes(32)).token("observer"), ObserverClaims)
    assert (claims.target_node, claims.session_name) == ("dev-1", "planner")
    with pytest.raises(CredentialError, match="format"):
        peek(GOLDEN, ObserverClaims)


def test_our_observer_grant_verifies() -> None:
    claims = ObserverClaims(
        network_id="proj", issuer="relay:proj", kid=KEY.kid, issued_at=NOW,
        expires_at=NOW + SECOND, jti="og_1", target_node="dev-1", session_id=3,
        verbs=("msg.read", "msg.listen"), audience_subject_kind="client",
        audience_subject_id="admin",
    )  # fmt: skip
    assert verify_observer(mint(claims, KEY), bundle_of("proj"), NOW) == claims


def test_a_bundle_comes_back_as_it_was() -> None:
    bundle = bundle_of("proj")
    assert Bundle.from_json(bundle.to_json()) == bundle
    assert bundle.to_json() == {
        "network_id": "proj",
        "issuer": "relay:proj",
        "keys": [
            {
                "key_id": "kid_test",
                "algorithm": "Ed25519",
                "public_key": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
            }
        ],
        "version": 1,
        "expires_at": "2026-04-03T10:15:00Z",
    }
    assert bundle.is_fresh(NOW + 869 * SECOND)
    assert not bundle.is_fresh(NOW + 870 * SECOND)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"network_id": "n"}, {"network_id": 1, "keys": []},
     {"network_id": "n", "keys": [], "expires_at": "never"}, {"network_id": "n", "keys": {}}],
)  # fmt: skip
def test_an_answer_that_is_no_bundle_is_told(value: object) -> None:
    with pytest.raises(CredentialError, match="^the relay's verifier bundle"):
        Bundle.from_json(value)


def test_keys_of_a_bundle_that_are_none_are_left_out() -> None:
    good = {"key_id": "k", "algorithm": "Ed25519", "public_key": "AA"}
    keys = [None, 7, {}, {**good, "key_id": None}, good]
    bundle = Bundle.from_json(
        {"network_id": "n", "keys": keys, "expires_at": "2026-04-03T10:00:00Z"}
    )
    assert bundle.keys == (BundleKey("k", "Ed25519", "AA"),)


# base64url


@given(st.binary(max_size=100))
def test_base64_comes_back(data: bytes) -> None:
    assert decode(encode(data)) == data


@given(st.text(st.sampled_from("AQgw_-+/= \n"), max_size=8))
def test_a_value_has_one_spelling(text: str) -> None:
    try:
        assert encode(decode(text)) == text
    except ValueError:
        pass


@pytest.mark.parametrize("text", ["A", "AAAAA", "AB", "AA=", "A A", "AA\n", "++++", "é", "\ud800"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="illegal base64 data at input byte"):
        decode(text)


# Keys


def test_a_key_shows_its_name_alone() -> None:
    assert repr(KEY) == "SigningKey('kid_test')"
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey("k", b"short")


def test_signing_without_cryptography_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = "cryptography.hazmat.primitives.asymmetric.ed25519"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigError, match=r"needs .*'cryptography'.*pip install 'codewire\[relay\]'"
    ):
        SigningKey("k", bytes(32))
    # Checking does without.
    assert verify_runtime(GOLDEN, bundle_of("project-alpha"), NOW) == GOLDEN_CLAIMS
