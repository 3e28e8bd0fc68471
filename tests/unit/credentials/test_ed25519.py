"""Ed25519 in Python alone and by `cryptography`: RFC 8032's vectors, and the same answer always."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.credentials import ed25519
from codewire.credentials.ed25519 import L, P, is_usable_key, is_valid, is_valid_slowly

Check = Callable[[bytes, bytes, bytes], bool]
WAYS = pytest.mark.parametrize("check", [is_valid, is_valid_slowly])

# RFC 8032 7.1, TEST 1, 2, 3 and SHA(abc): public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


@WAYS
@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(check: Check, key: str, message: str, signature: str) -> None:
    data = bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message)
    assert check(*data)
    assert not check(data[0], data[1], data[2] + b"x")


@WAYS
def test_a_signature_has_one_spelling(check: Check) -> None:
    signature = KEY.sign(b"m")
    assert check(PUBLIC, signature, b"m")
    s = int.from_bytes(signature[32:], "little")
    for other in (s + L, s + 2 * L, L - s):
        again = signature[:32] + other.to_bytes(32, "little")
        assert not check(PUBLIC, again, b"m")


def small_order() -> list[bytes]:
    """Return every encoding of the eight points of small order, the odd ones too."""
    found = []
    for y in (*ed25519.SMALL_ORDER_Y, P, P + 1):
        for sign in (0, 1 << 255):
            if y < 1 << 255:
                found.append((y | sign).to_bytes(32, "little"))
    return found


def test_the_small_order_list_is_what_it_says() -> None:
    """Each decodes, eight times the point is the neutral one (x = 0, Y = Z), and there are five."""
    assert len(ed25519.SMALL_ORDER_Y) == 5
    for y in ed25519.SMALL_ORDER_Y:
        point = ed25519._decode(y.to_bytes(32, "little"))
        assert point is not None
        for _ in range(3):
            point = ed25519._double(point)
        assert point[0] == 0
        assert point[1] == point[2]


@WAYS
@pytest.mark.parametrize("key", small_order())
def test_a_key_under_which_anything_is_signed_is_none(check: Check, key: bytes) -> None:
    """With the neutral point as key, R = s*B fits any message."""
    assert not is_usable_key(key)
    neutral = (1).to_bytes(32, "little")
    for signature in (neutral + bytes(32), bytes(64), key + bytes(32)):
        assert not check(key, signature, b"any message")


@WAYS
@pytest.mark.parametrize(
    ("key", "signature"),
    [(b"", bytes(64)), (bytes(31), bytes(64)), (PUBLIC + b"x", bytes(64)), (PUBLIC, b""),
     (PUBLIC, bytes(63)), (PUBLIC, bytes(65)), (b"\xff" * 32, bytes(64)),
     ((2).to_bytes(32, "little"), bytes(64))],
)  # fmt: skip
def test_what_is_no_key_or_no_signature_is_false(
    check: Check, key: bytes, signature: bytes
) -> None:
    assert check(key, signature, b"") is False


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
@settings(max_examples=60)
def test_what_is_signed_verifies_both_ways(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert is_valid(public, signature, message)
    assert is_valid_slowly(public, signature, message)


@given(
    st.sampled_from(["key", "signature", "message"]), st.integers(0, 511), st.binary(max_size=40)
)
@settings(max_examples=150)
def test_one_bit_off_is_judged_the_same(where: str, bit: int, message: bytes) -> None:
    parts = {"key": PUBLIC, "signature": KEY.sign(message), "message": message or b"m"}
    data = bytearray(parts[where])
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    parts[where] = bytes(data)
    values = parts["key"], parts["signature"], parts["message"]
    assert not is_valid(*values)
    assert not is_valid_slowly(*values)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
@settings(max_examples=100)
def test_any_bytes_are_judged_the_same(key: bytes, signature: bytes) -> None:
    assert is_valid(key, signature, b"m") == is_valid_slowly(key, signature, b"m")
