"""base64url without padding (RFC 4648 5), strict: one text for each value and no other.

Python's decoders skip what they do not know, which would give one token many spellings.
"""

from __future__ import annotations

import binascii

ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_TO_PLAIN = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")


def encode(data: bytes) -> str:
    """Return base64url without `=`."""
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=")
    return text.translate(_TO_URL).decode("ascii")


def decode(text: str) -> bytes:
    """Return what `text` encodes.

    Raises ValueError for padding, white space, other characters, and bits that mean nothing.
    """
    raw = text.encode("utf-8", "replace")
    for at, byte in enumerate(raw):
        if byte not in ALPHABET:
            raise ValueError(f"illegal base64 data at input byte {at}")
    try:
        data = binascii.a2b_base64(raw.translate(_TO_PLAIN) + b"=" * (-len(raw) % 4))
    except binascii.Error as error:
        raise ValueError(f"illegal base64 data at input byte {len(raw)}") from error
    if encode(data) != text:
        raise ValueError(f"illegal base64 data at input byte {len(raw)}")
    return data
