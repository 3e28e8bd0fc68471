"""Random secrets: made, compared in constant time, looked up by their hash.

A store that leaks then holds nothing that opens a door: each secret has at least 140 random bits,
so its plain SHA-256 cannot be guessed back.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from hmac import compare_digest

from codewire.credentials.encoding import encode

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ID_BYTES = 16


def token_hash(token: str) -> str:
    """Return the lowercase hex SHA-256 of a token without the white space around it."""
    return sha256(token.strip().encode("utf-8", "surrogatepass")).hexdigest()


def equal(a: str, b: str) -> bool:
    """Say whether two texts are the same, in a time that tells nothing but their lengths."""
    return compare_digest(a.encode("utf-8", "surrogatepass"), b.encode("utf-8", "surrogatepass"))


def new_hex(size: int = 32) -> str:
    """Return `size` random bytes as hex."""
    return secrets.token_hex(size)


def new_word(length: int) -> str:
    """Return `length` letters and digits, each as likely as any other."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def new_id(prefix: str) -> str:
    """Return `prefix` and 22 base64url characters of 16 random bytes."""
    return prefix + encode(secrets.token_bytes(ID_BYTES))
