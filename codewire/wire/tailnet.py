"""Identities and addresses of the mesh, and the map of where its relays are (spec/peer.md 3, 4).

Pure arithmetic, the same on every side: whoever knows a principal knows its address.
"""

from __future__ import annotations

from typing import Any

PREFIX = bytes.fromhex("fd7a115ca1e0")
ZERO_ID = "00000000-0000-0000-0000-000000000000"


def stable_id(network: str, kind: str, name: str) -> str:
    """Return the id of a principal that listens.

    >>> stable_id("project-alpha", "node", "dev-1")
    'e5cd85cd-6358-532f-b1de-b7b6d89ae695'
    """
    from hashlib import sha256

    text = "\0".join((network.strip(), kind.strip(), name.strip()))
    raw = bytearray(sha256(text.encode()).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x50
    raw[8] = (raw[8] & 0x3F) | 0x80
    return id_text(bytes(raw))


def dialer_id(random: bytes) -> str:
    """Return an id for who only dials, from 16 random bytes: version 4, never a stable one."""
    raw = bytearray(random)
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    return id_text(bytes(raw))


def id_text(raw: bytes) -> str:
    """Return 16 bytes in the form of a UUID (RFC 9562 4)."""
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def is_dialer_id(text: str) -> bool:
    """Say whether a text is an id of version 4 in lower case."""
    digits = text.replace("-", "")
    if len(digits) != 32 or not set("0123456789abcdef").issuperset(digits):
        return False
    return text == id_text(bytes.fromhex(digits)) and text[14] == "4"


def address_of(identity: str) -> str:
    """Return the one address of an id, as a /128.

    >>> address_of("e5cd85cd-6358-532f-b1de-b7b6d89ae695")
    'fd7a:115c:a1e0:e5cd:85cd:6358:532f:b1de/128'
    """
    from ipaddress import IPv6Address

    raw = PREFIX + bytes.fromhex(identity.replace("-", ""))[:10]
    return f"{IPv6Address(raw)}/128"


def derp_map(host: str, port: int, is_encrypted: bool) -> dict[str, Any]:
    """Return the map that names this relay alone."""
    node: dict[str, Any] = {
        "Name": "1a",
        "RegionID": 1,
        "HostName": host,
        "DERPPort": port,
        "STUNPort": -1,
    }
    if not is_encrypted:
        node["InsecureForTests"] = True
    region = {
        "RegionID": 1,
        "RegionCode": "cw",
        "RegionName": "Codewire Embedded",
        "Nodes": [node],
    }
    return {"Regions": {"1": region}}
