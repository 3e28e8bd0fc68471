"""The public half of a network's keys: what a verifier needs (spec/network-auth.md 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewire.errors import CredentialError
from codewire.wire.timestamps import format_nanos, parse_timestamp

ALGORITHM = "Ed25519"
VERSION = 1
# A verifier fetches a new one so long before the old one ends.
REFRESH_SECONDS = 30
# One that signs, one to come, those whose tokens have not ended: far more than there ever are.
MAX_KEYS = 1000


@dataclass(frozen=True, slots=True)
class BundleKey:
    """One public key, base64url as in the JSON."""

    key_id: str
    algorithm: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What tokens of one network are checked by, until `expires_at` (nanoseconds)."""

    network_id: str
    issuer: str
    keys: tuple[BundleKey, ...]
    version: int
    expires_at: int

    def key(self, kid: str) -> BundleKey | None:
        """Return the key of this name."""
        return next((key for key in self.keys if key.key_id == kid), None)

    def is_fresh(self, now: int) -> bool:
        """Say whether it may be used without asking for a newer one."""
        return now < self.expires_at - REFRESH_SECONDS * 1_000_000_000

    def to_json(self) -> dict[str, Any]:
        """Return the object that the relay answers."""
        return {
            "network_id": self.network_id,
            "issuer": self.issuer,
            "keys": [
                {"key_id": key.key_id, "algorithm": key.algorithm, "public_key": key.public_key}
                for key in self.keys
            ],
            "version": self.version,
            "expires_at": format_nanos(self.expires_at),
        }

    @staticmethod
    def from_json(value: object) -> Bundle:
        """Return the bundle in a relay's answer; keys that are none are left out.

        Raises CredentialError.
        """
        if not isinstance(value, dict):
            raise CredentialError("the relay's verifier bundle is no object")
        network_id, keys = value.get("network_id"), value.get("keys")
        if not isinstance(network_id, str) or not isinstance(keys, list):
            raise CredentialError("the relay's verifier bundle has no network_id or no keys")
        try:
            expires_at = parse_timestamp(value.get("expires_at"))
        except ValueError as error:
            raise CredentialError(f"the relay's verifier bundle: expires_at: {error}") from error
        found = tuple(key for item in keys[:MAX_KEYS] if (key := _read_key(item)))
        issuer, version = value.get("issuer"), value.get("version")
        return Bundle(
            network_id,
            issuer if isinstance(issuer, str) else "",
            found,
            version if isinstance(version, int) else VERSION,
            expires_at,
        )


def issuer_name(network_id: str) -> str:
    """Return what an issuer calls itself; nobody compares it."""
    return f"relay:{network_id}"


def _read_key(value: object) -> BundleKey | None:
    if not isinstance(value, dict):
        return None
    kid, algorithm, key = (value.get(name) for name in ("key_id", "algorithm", "public_key"))
    if isinstance(kid, str) and isinstance(algorithm, str) and isinstance(key, str):
        return BundleKey(kid, algorithm, key)
    return None
