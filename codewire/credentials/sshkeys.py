"""Public SSH keys in OpenSSH's one-line form: checked, named by their fingerprint. No cryptography.

The form is in sshd(8) "AUTHORIZED_KEYS FILE FORMAT", the blobs in RFC 4253 6.6, RFC 5656 3.1,
RFC 8709 4 and OpenSSH's PROTOCOL.u2f.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import NamedTuple

from codewire.errors import BadValue

# OpenSSH's fingerprints have no padding.
PREFIX = "SHA256:"
MAX_BLOB = 4096
MAX_COMMENT = 128
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 16384

CURVE_BYTES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
ED25519_BYTES = 32
ED25519, RSA, ECDSA = "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
KINDS = (
    ED25519,
    *(ECDSA + curve for curve in CURVE_BYTES),
    RSA,
    SK_ED25519,
    SK_ECDSA,
)

NOT_A_KEY = 'not a public key in one line ("ssh-ed25519 AAAA…")'


class PublicKey(NamedTuple):
    """A public key; `line` is its kind and base64, without the comment."""

    kind: str
    line: str
    fingerprint: str
    comment: str


def parse_public_key(text: str) -> PublicKey:
    """Return the key in a line such as ~/.ssh/id_ed25519.pub has.

    Raises BadValue for what is none, has options before it, or is of a kind or size that is not
    taken.
    """
    if "PRIVATE KEY" in text:
        raise BadValue("that is a private key: keep it to yourself and give the .pub file")
    words = text.split(None, 2)
    if len(words) < 2 or len(text.strip().splitlines()) != 1:
        raise BadValue(NOT_A_KEY)
    kind, encoded = words[:2]
    if kind not in KINDS:
        raise BadValue(_why_not(kind))
    blob = _decoded(encoded)
    _check(kind, blob)
    line = f"{kind} {b64encode(blob).decode()}"
    comment = words[2].strip() if len(words) > 2 else ""
    return PublicKey(kind, line, fingerprint_of(line), comment)


def fingerprint_of(line: str) -> str:
    """Return the fingerprint of a good key in one line, as ssh-keygen -l says it."""
    digest = sha256(b64decode(line.split()[1])).digest()
    return PREFIX + b64encode(digest).decode().rstrip("=")


def _why_not(kind: str) -> str:
    if kind.endswith("-cert-v01@openssh.com"):
        return "certificates are not taken: give the plain public key"
    if kind == "ssh-dss":
        return "DSA keys are not taken: make a new one (ssh-keygen -t ed25519)"
    return NOT_A_KEY


def _decoded(encoded: str) -> bytes:
    try:
        blob = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadValue(f"{NOT_A_KEY}: its base64 is damaged") from error
    if len(blob) > MAX_BLOB:
        raise BadValue(f"the key is longer than {MAX_BLOB} bytes")
    return blob


def _check(kind: str, blob: bytes) -> None:
    """Raise BadValue unless the blob is a key of this kind and nothing more."""
    fields = _fields(blob)
    if fields[0] != kind.encode():
        raise BadValue(f"the key says {kind} outside and something else inside")
    shapes = {ED25519: _is_ed25519, SK_ED25519: _is_ed25519, RSA: _is_rsa}
    if not shapes.get(kind, _is_ecdsa)(fields[1:], kind in (SK_ED25519, SK_ECDSA)):
        raise BadValue(f"the key is no usable {kind} key")


def _fields(blob: bytes) -> list[bytes]:
    """Return the strings (RFC 4251 5) that a blob is made of. Raises BadValue."""
    fields, at = [], 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        fields.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(blob) or not fields:
        raise BadValue(f"{NOT_A_KEY}: it is cut off")
    return fields


def _is_ed25519(fields: list[bytes], is_token: bool) -> bool:
    return len(fields) == 1 + is_token and len(fields[0]) == ED25519_BYTES and all(fields)


def _is_ecdsa(fields: list[bytes], is_token: bool) -> bool:
    if len(fields) != 2 + is_token or not all(fields):
        return False
    # 4: a point that is not compressed (SEC 1, 2.3.3).
    return len(fields[1]) == CURVE_BYTES.get(fields[0].decode("latin-1")) and fields[1][0] == 4


def _is_rsa(fields: list[bytes], is_token: bool) -> bool:
    if len(fields) != 2:
        return False
    exponent, modulus = (int.from_bytes(field, "big") for field in fields)
    bits = modulus.bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise BadValue(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {bits}")
    return exponent > 2 and exponent % 2 == 1 and modulus % 2 == 1
