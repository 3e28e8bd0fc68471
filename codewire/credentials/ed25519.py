"""Checking Ed25519 signatures (RFC 8032 5.1.7), with `cryptography` or without.

Both ways refuse the same: what `cryptography` (OpenSSL) refuses, and keys that no key generation
makes: an encoding that is not the only one of its point, and the eight points of small order, under
which anybody signs anything. Signing needs `cryptography` (issuing.py): Python's integers take a
time that depends on their values, which does not matter for what is public.
"""

from __future__ import annotations

KEY_BYTES = 32
SIGNATURE_BYTES = 64

P = (1 << 255) - 19
# The order of the group that the base point generates.
L = (1 << 252) + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SIGN_BIT = 1 << 255

# The y of the points of order 1, 2, 4 and 8: 1, -1, 0 and the two of order eight.
_Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER_Y = frozenset((0, 1, P - 1, _Y8, P - _Y8))

# A point as (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z (RFC 8032 5.1.4).
Point = tuple[int, int, int, int]

NEUTRAL: Point = (0, 1, 1, 0)


def is_valid(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is that of `message` under `public_key`. Never raises."""
    if not is_usable_key(public_key) or len(signature) != SIGNATURE_BYTES:
        return False
    # S has one representation only, else whoever sees a signature can make another (malleability).
    if int.from_bytes(signature[32:], "little") >= L:
        return False
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return is_valid_slowly(public_key, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_usable_key(public_key: bytes) -> bool:
    """Say whether 32 bytes are the encoding of a point that a key can be."""
    if len(public_key) != KEY_BYTES:
        return False
    y = int.from_bytes(public_key, "little") % SIGN_BIT
    return y < P and y not in SMALL_ORDER_Y and _decode(public_key) is not None


def is_valid_slowly(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Do what is_valid does in Python alone: some milliseconds, the same answer."""
    if not is_usable_key(public_key) or len(signature) != SIGNATURE_BYTES:
        return False
    s = int.from_bytes(signature[32:], "little")
    a = _decode(public_key)
    if s >= L or a is None:
        return False
    from hashlib import sha512

    digest = sha512(signature[:32] + public_key + message).digest()
    h = int.from_bytes(digest, "little") % L
    negative: Point = (P - a[0], a[1], a[2], P - a[3])
    # R is compared as bytes, as OpenSSL and Go do.
    return _encode(_add_multiples(s, BASE, h, negative)) == signature[:32]


def _decode(data: bytes) -> Point | None:
    """Return the point with this encoding (RFC 8032 5.1.3), None where there is none."""
    number = int.from_bytes(data, "little")
    y, sign = number % SIGN_BIT, number >> 255
    if y >= P:
        return None
    numerator, denominator = y * y - 1, D * y * y + 1
    # The candidate root (u/v)^((p+3)/8), without an inversion.
    x = numerator * pow(denominator, 3, P) % P
    x = x * pow(numerator * pow(denominator, 7, P), (P - 5) // 8, P) % P
    square = denominator * x * x % P
    if square == -numerator % P:
        x = x * SQRT_M1 % P
    elif square != numerator % P:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _encode(point: Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p: Point) -> Point:
    a, b = p[0] * p[0], p[1] * p[1]
    c, h = 2 * p[2] * p[2], a + b
    e = h - (p[0] + p[1]) ** 2
    g = a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _add_multiples(m: int, p: Point, n: int, q: Point) -> Point:
    """Return m*p + n*q, both multiples in one pass over their bits."""
    both = _add(p, q)
    result = NEUTRAL
    for at in range(max(m.bit_length(), n.bit_length()) - 1, -1, -1):
        result = _double(result)
        bits = m >> at & 1, n >> at & 1
        if bits == (1, 1):
            result = _add(result, both)
        elif bits == (1, 0):
            result = _add(result, p)
        elif bits == (0, 1):
            result = _add(result, q)
    return result


def _base() -> Point:
    y = 4 * pow(5, P - 2, P) % P
    point = _decode(y.to_bytes(KEY_BYTES, "little"))
    assert point is not None
    return point


BASE = _base()
