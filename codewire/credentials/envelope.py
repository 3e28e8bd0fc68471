"""A token: `prefix.payload.signature` (spec/network-auth.md 3), made and checked.

The checks come in the order, and with the words, that clients know. Knows nothing of whether a
token was used before (replay.py) or of what it allows.
"""

from __future__ import annotations

from codewire.credentials import ed25519
from codewire.credentials.bundle import ALGORITHM, Bundle, BundleKey
from codewire.credentials.claims import (
    MAX_SECONDS,
    SKEW_SECONDS,
    C,
    Claims,
    ObserverClaims,
    RuntimeClaims,
    SenderClaims,
    decode_claims,
    encode_claims,
    read_object,
)
from codewire.credentials.encoding import decode, encode
from codewire.credentials.signing import SigningKey
from codewire.errors import CredentialError
from codewire.wire.texts import go_quote

__all__ = [
    "Bundle",
    "BundleKey",
    "SigningKey",
    "UnknownKey",
    "mint",
    "peek",
    "peek_network",
    "verify_observer",
    "verify_runtime",
    "verify_sender",
]

SECOND = 1_000_000_000
SKEW_NS = SKEW_SECONDS * SECOND
MAX_LIFETIME_NS = MAX_SECONDS * SECOND
# A delegation with a thousand groups is far below.
MAX_TOKEN = 256 * 1024


class UnknownKey(CredentialError):
    """The bundle has no such key; one that is fetched anew may have it."""

    def __init__(self, kid: str) -> None:
        super().__init__(f"no verifier key for kid {go_quote(kid)}")
        self.kid = kid


def mint(claims: Claims, key: SigningKey) -> str:
    """Return a signed token. The claims' `kid` must be the key's."""
    payload = encode_claims(claims)
    return f"{claims.prefix}.{encode(payload)}.{encode(key.sign(payload))}"


def verify_runtime(token: str, bundle: Bundle, now: int) -> RuntimeClaims:
    """Return what a runtime token says once all of it is found right. Raises CredentialError."""
    return _verify(token, RuntimeClaims, bundle, now)


def verify_sender(token: str, bundle: Bundle, now: int) -> SenderClaims:
    """Do the same for a sender delegation."""
    return _verify(token, SenderClaims, bundle, now)


def verify_observer(token: str, bundle: Bundle, now: int) -> ObserverClaims:
    """Do the same for an observer grant, which the texts call a delegation."""
    return _verify(token, ObserverClaims, bundle, now)


def peek(token: str, kind: type[C]) -> C:
    """Return what a token says, checking its form alone: anybody can write one.

    Raises CredentialError.
    """
    return _open(token, kind)[1]


def peek_network(token: str) -> str:
    """Return the network that an unverified token of any kind names, "" if it does not parse."""
    parts = token.split(".") if len(token) <= MAX_TOKEN else []
    if len(parts) != 3:
        return ""
    try:
        claims = {name.lower(): value for name, value in read_object(decode(parts[1])).items()}
    except ValueError:
        return ""
    network = claims.get("network_id")
    return network if isinstance(network, str) else ""


def _verify(token: str, kind: type[C], bundle: Bundle, now: int) -> C:
    named, claims, payload, signature = _open(token, kind)
    _check_claims(named, claims, bundle, now)
    public_key = _find_key(claims.kid, bundle)
    if not ed25519.is_valid(public_key, signature, payload):
        raise CredentialError(f"invalid {kind.title} signature")
    return claims


def _open(token: str, kind: type[C]) -> tuple[str, C, bytes, bytes]:
    """Return the kind a token names, its claims, payload and signature."""
    parts = token.split(".") if len(token) <= MAX_TOKEN else []
    if len(parts) != 3 or parts[0] != kind.prefix:
        raise CredentialError(f"invalid {kind.title} format")
    try:
        payload, signature = decode(parts[1]), decode(parts[2])
    except ValueError as error:
        raise CredentialError(f"decoding {kind.title}: {error}") from error
    try:
        named, claims = decode_claims(payload, kind)
    except ValueError as error:
        raise CredentialError(f"parsing {kind.title}: {error}") from error
    return named, claims, payload, signature


def _check_claims(named: str, claims: Claims, bundle: Bundle, now: int) -> None:
    title = claims.title
    if named != claims.kind:
        raise CredentialError(f"unexpected {title} kind {go_quote(named)}")
    if claims.network_id != bundle.network_id:
        theirs, ours = go_quote(claims.network_id), go_quote(bundle.network_id)
        raise CredentialError(f"{title} network_id = {theirs}, want {ours}")
    if now > bundle.expires_at + SKEW_NS:
        raise CredentialError("verifier bundle expired")
    if now < claims.issued_at - SKEW_NS:
        raise CredentialError(f"{title} issued in the future")
    if now > claims.expires_at + SKEW_NS:
        raise CredentialError(f"{title} expired")
    if claims.expires_at - claims.issued_at > MAX_LIFETIME_NS:
        raise CredentialError(f"{title} is valid for more than 24h")


def _find_key(kid: str, bundle: Bundle) -> bytes:
    key = bundle.key(kid)
    if key is None:
        raise UnknownKey(kid)
    if key.algorithm != ALGORITHM:
        raise CredentialError(f"unsupported verifier algorithm {go_quote(key.algorithm)}")
    try:
        return decode(key.public_key)
    except ValueError as error:
        raise CredentialError(f"verifier key {go_quote(kid)} cannot be read: {error}") from error
