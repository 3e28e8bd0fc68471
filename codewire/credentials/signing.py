"""An issuer's key: signing with Ed25519, which needs `cryptography` (extra `relay`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.credentials.bundle import ALGORITHM, BundleKey
from codewire.credentials.encoding import encode
from codewire.credentials.extras import needs_relay

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32


class SigningKey:
    """A named key made from 32 random bytes; the seed never shows in a repr."""

    __slots__ = ("_private", "kid", "public_key")

    def __init__(self, kid: str, seed: bytes) -> None:
        """Raises ValueError for a seed of another size, ConfigError without `cryptography`."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.kid = kid
        self._private = _private_key(seed)
        self.public_key: bytes = self._private.public_key().public_bytes_raw()

    def sign(self, payload: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._private.sign(payload)

    def to_bundle(self) -> BundleKey:
        """Return the public half."""
        return BundleKey(self.kid, ALGORITHM, encode(self.public_key))

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


def _private_key(seed: bytes) -> Ed25519PrivateKey:
    with needs_relay("signing credentials"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    return Ed25519PrivateKey.from_private_bytes(seed)
