"""An issuer of our own making, which shares nothing with codewire/credentials.

It signs what it is told to, right or wrong, as the published format says (spec/network-auth.md 3).
"""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

START = datetime.datetime(2026, 4, 3, 10, 0, tzinfo=datetime.timezone.utc)
NOW = 1_775_210_400_000_000_000
SECOND = 1_000_000_000

# kind: (prefix, claims)
TOKENS: dict[str, tuple[str, dict[str, Any]]] = {
    "runtime": ("cwrt1", {"kind": "runtime", "subject_kind": "client", "subject_id": "github:7"}),
    "sender": (
        "cwsd1",
        {"kind": "sender", "source_node": "dev-1", "from_session_name": "planner",
         "source_groups": ["mesh"], "verbs": ["msg"], "audience_node": "dev-2"},
    ),
    "observer": (
        "cwog1",
        {"kind": "observer", "target_node": "dev-1", "session_name": "planner",
         "verbs": ["msg.read"], "audience_subject_kind": "client",
         "audience_subject_id": "github:7"},
    ),
}  # fmt: skip


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def rfc3339(seconds: float) -> str:
    """Return the time `seconds` after NOW."""
    return (START + datetime.timedelta(seconds=seconds)).isoformat()


class Issuer:
    """A key and its name."""

    def __init__(self, seed: bytes = bytes(range(32)), kid: str = "kid_test") -> None:
        self.kid = kid
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def claims(self, kind: str, /, **changed: Any) -> dict[str, Any]:
        """Return claims that hold at NOW; what is changed to None is left out."""
        found = {
            "network_id": "proj",
            **TOKENS[kind][1],
            "issuer": "relay:proj",
            "kid": self.kid,
            "issued_at": rfc3339(0),
            "expires_at": rfc3339(120),
            "jti": "id_1",
            **changed,
        }
        return {name: value for name, value in found.items() if value is not None}

    def token(self, kind: str, /, **changed: Any) -> str:
        payload = json.dumps(self.claims(kind, **changed)).encode()
        return self.seal(TOKENS[kind][0], payload)

    def seal(self, prefix: str, payload: bytes) -> str:
        return f"{prefix}.{b64(payload)}.{b64(self._key.sign(payload))}"

    def sign(self, payload: bytes) -> bytes:
        return self._key.sign(payload)

    def bundle(self, **changed: Any) -> dict[str, Any]:
        """Return a verifier bundle as a relay answers it."""
        key = {"key_id": self.kid, "algorithm": "Ed25519", "public_key": b64(self.public)}
        return {
            "network_id": "proj", "issuer": "relay:proj", "keys": [key], "version": 1,
            "expires_at": rfc3339(900), **changed,
        }  # fmt: skip
