"""QR codes: whole ones as an independent encoder (qrcode 8, all masks) made them."""

from __future__ import annotations

from hashlib import sha256

import pytest

from codewire.term.qr import encode, half_blocks

INVITE = "https://relay.example.com/join?invite=CW-INV-abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("a", 21, "83c3bc15f95a6752"),
        (INVITE, 37, "eb51150be6c7466f"),
        ("x" * 100, 41, "ed7b0b88018f7197"),
        ("y" * 150, 49, "107daa2e317d9eda"),
        ("z" * 213, 57, "df25030f0e4b7ab9"),
    ],
)
def test_a_code_is_what_others_make_of_it(text: str, size: int, digest: str) -> None:
    assert len(encode(text.encode())) == size
    assert sha256(half_blocks(text).encode()).hexdigest()[:16] == digest


def test_what_fits_on_no_screen_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        half_blocks("z" * 214)
