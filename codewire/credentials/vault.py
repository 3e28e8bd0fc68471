"""Secrets that must be shown or used again, sealed with AES-256-GCM under a key in a file.

The key lies beside the database, not in it: a copy of the database alone opens nothing. Needs
`cryptography` (extra `relay`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from codewire.credentials.extras import needs_relay
from codewire.errors import ConfigError, CredentialError
from codewire.files import read_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
# NIST SP 800-38D: random nonces of 96 bits are good for 2^32 sealings under one key.
NONCE_BYTES = 12
# Before each sealed value, so that a later format can be told from this one.
FORMAT = b"\x01"


class Vault:
    """Seals and opens. Any thread may call; the key never shows in a repr."""

    __slots__ = ("_cipher", "path")

    def __init__(self, key: bytes, path: str = "") -> None:
        """Raises ValueError for a key of another size, ConfigError without `cryptography`."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a secret key has {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = _cipher(key)
        self.path = path

    @staticmethod
    def open(path: str) -> Vault:
        """Return the vault of the key file at `path`, which is made when there is none.

        Of several who make it at a time all get the same. Raises ConfigError.
        """
        try:
            if not os.path.lexists(path):
                _create(path, secrets.token_bytes(KEY_BYTES))
            key = _read_key(path)
        except OSError as error:
            raise ConfigError(f"secret key file {path}: {error.strerror}") from error
        return Vault(key, path)

    def seal(self, data: bytes, context: str) -> bytes:
        """Return `data` sealed; it opens under the same `context` only ("invites.token")."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return FORMAT + nonce + self._cipher.encrypt(nonce, data, context.encode())

    def open_sealed(self, sealed: bytes, context: str) -> bytes:
        """Return what was sealed. Raises CredentialError for another key, context or a damage."""
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != FORMAT or len(nonce) < NONCE_BYTES:
            raise CredentialError(f"{context}: not a sealed value of this version")
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(nonce, rest, context.encode())
        except InvalidTag as error:
            key = f"{self.path} is not its key" if self.path else "this is not its key"
            raise CredentialError(f"{context}: sealed with another secret key: {key}") from error

    def __repr__(self) -> str:
        return f"Vault({self.path!r})"


def _cipher(key: bytes) -> AESGCM:
    with needs_relay("sealing secrets"):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    return AESGCM(key)


def _read_key(path: str) -> bytes:
    key = read_regular(path, KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"secret key file {path} must have exactly {KEY_BYTES} bytes, not {len(key)} or more: "
            "restore the file this relay made"
        )
    if os.stat(path).st_mode & 0o077:
        raise ConfigError(f"secret key file {path} can be read by others: chmod 600 {path}")
    return key


def _create(path: str, key: bytes) -> None:
    """Write a new key file, whole and on the disk before it has its name; never over another."""
    temporary = f"{path}.{os.getpid()}.{secrets.token_hex(4)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(fd, key)
            os.fsync(fd)
        finally:
            os.close(fd)
        # link(2) fails where there is a file by now: then that one counts.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        _sync_directory(os.path.dirname(path) or ".")
    finally:
        os.unlink(temporary)


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
