"""A verifier of our own making, which shares nothing with codewire/credentials.

Written from the published format alone (spec/network-auth.md 2, 3): it says good or bad, not why.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PREFIXES = {"runtime": "cwrt1", "sender": "cwsd1", "observer": "cwog1"}
SKEW = datetime.timedelta(seconds=30)
LONGEST = datetime.timedelta(hours=24)
NEEDED = {
    "runtime": ("subject_kind", "subject_id"),
    "sender": ("source_node", "verbs"),
    "observer": ("target_node", "verbs", "audience_subject_kind", "audience_subject_id"),
}


class Bad(Exception):
    """No good token."""


def verify(token: str, kind: str, bundle: dict[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """Return the claims of a good token. Raises Bad."""
    match = re.fullmatch(r"(\w+)\.([\w-]+)\.([\w-]+)", token, re.ASCII)
    if match is None or match[1] != PREFIXES[kind]:
        raise Bad("format")
    payload, signature = _decode(match[2]), _decode(match[3])
    try:
        claims = json.loads(payload)
    except ValueError as error:
        raise Bad("JSON") from error
    if not isinstance(claims, dict):
        raise Bad("object")
    _check(claims, kind, bundle, now)
    for key in bundle["keys"]:
        if key["key_id"] == claims["kid"] and key["algorithm"] == "Ed25519":
            try:
                public = Ed25519PublicKey.from_public_bytes(_decode(key["public_key"]))
                public.verify(signature, payload)
            except (InvalidSignature, ValueError) as error:
                raise Bad("signature") from error
            return claims
    raise Bad("key")


def _check(
    claims: dict[str, Any], kind: str, bundle: dict[str, Any], now: datetime.datetime
) -> None:
    if claims.get("kind") != kind or claims.get("network_id") != bundle["network_id"]:
        raise Bad("kind or network")
    if any(not claims.get(name) for name in (*NEEDED[kind], "kid", "jti")):
        raise Bad("claims")
    issued, expires = _time(claims["issued_at"]), _time(claims["expires_at"])
    if not (issued - SKEW <= now <= expires + SKEW and expires - issued <= LONGEST):
        raise Bad("times")
    if now > _time(bundle["expires_at"]) + SKEW:
        raise Bad("bundle")


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise Bad("base64") from error
    # One spelling for each value.
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise Bad("base64")
    return data


def _time(text: str) -> datetime.datetime:
    # Nine digits behind the second, and Z, are more than Python 3.10 reads.
    whole = re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")
    whole = re.sub(r"\.(\d{1,5})(?=[+-])", lambda m: "." + m[1].ljust(6, "0"), whole)
    return datetime.datetime.fromisoformat(whole)
