"""Public SSH keys: which are taken, and by which fingerprint they go (made by OpenSSH 9.2)."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.credentials.sshkeys import KINDS, fingerprint_of, parse_public_key
from codewire.errors import BadValue

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPHXb3Vz2V1B2kIT6WIaHW16ZxD+BSfH+8Pg3X+q0C0C"
P256 = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHEoeJIfOBJh"
    "o1+xP7fo3AJJTFGXNAoDzovnIAtRFAKCYLe6J1xSsgFzYPKym0L2/rBE8lvzPSSHtlFyAd/jgJo="
)
P384 = (
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBDDbJ3chpE+I"
    "hgo3WvlXfiJGvgjHMHlrTLpGCSTJeFDAMXNNYT8+hTl07hAWQc3t5/tKXQg5UBAIsq31hQU23GzlJOGyK1CA"
    "MvSYG/CiThgKGD68es/xgLVYUWanoJQP/g=="
)
P521 = (
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAHth5zvEPez"
    "/X0ueGn9QKQSigdEDj9LbUD8a1tpZMfEF3gzry24yEPjYiOqJjsmUhotcBqGzsuiZySRmWMauVI0fwFhwxQL"
    "cxcW9RT3xAH54aWUAp8HuGHcEMt32SVmkCMPn/8BdkWP//QS9XPjFyMq0uIo4Wv4r86IobIkdCTazZnXgQ=="
)
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDTyni1LU7q/JVpzop3mIOAcGmGn6yRFgHcc+6ITdxRuv63"
    "FW+LGbRZOABcrQsZcKMOuzFVy0QhAImJdySu3Kg4i38eRAEUqHbU4ZgH3xndXRn+WsJpV5IvyEcgHfW3ALgP"
    "Gdyyvc9rp6TEgirm4256yW3g8JLvP7RXXzacnJzdOXxGetuQn0EuMellwJw1mtYo1e+w0hI462BW/csoKcwy"
    "Tv1F7axZEf0e3ULRzsuM4QcrVJB9DY3PfRMTu4bJlQ9SMtW54B9UzYrGpiX/+Wsj2V3C4jTwHf8LO3TA0pku"
    "6aBIAr7PS0CCFcUpVlYFwqGxjR+A55Maxxpy8Pb7x9jl"
)
SK_ED25519 = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIPHXb3Vz2V1B2"
    "kIT6WIaHW16ZxD+BSfH+8Pg3X+q0C0CAAAABHNzaDo="
)
SK_P256 = (
    "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb"
    "20AAAAIbmlzdHAyNTYAAABBBHEoeJIfOBJho1+xP7fo3AJJTFGXNAoDzovnIAtRFAKCYLe6J1xSsgFzYPKym"
    "0L2/rBE8lvzPSSHtlFyAd/jgJoAAAAEc3NoOg=="
)
RSA_1024 = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDiRf/FZcdG3Ud5kw1sHCry7k6w5g9Rz3fF477sTNUm3U4R"
    "Mqv/8GPQ9dRAax49ghjVr3o2uSQ6qeL5ah0a2LYLQ6H7uP1tWz3zk7FTfnoLSb+X9KRm4v2RNR1OvdzG6Eip"
    "LA1IfjrU8P7s9t9PLKB3KuqEIvNDvQHV1DLVb/P03w=="
)

# What `ssh-keygen -l` says of each.
PRINTS = {
    ED25519: "SHA256:EKQAz+Vc45RGPfexhZyxqWtCzytR1yLEDvjFVElYPQg",
    P256: "SHA256:KgYx9VkoG5jm9Pq6DrEFSUao4AFYqACsL5p+Av/QVDE",
    P384: "SHA256:DIENs741vjae1KRiUgaqr7f9BSmK+QV/H0AeXb7hPds",
    P521: "SHA256:dDBxnH+eHIie9/pLb7gkBdlnQzAPCNWco+gWQIOxW54",
    RSA: "SHA256:B89yYVx1Rh76M9qfUa+ZOnn2XPTfRnPyqHA7v2wuqXc",
    SK_ED25519: "SHA256:9O6UDNjKtUMCPEiodgnKV8WkA4C2UPByc1jpCmu1124",
    SK_P256: "SHA256:zkisArv9F01175eq2tYfcCXpAhqb0j1UjQ3NkAoGkIE",
}


@pytest.mark.parametrize("line", PRINTS)
def test_keys_that_are_taken(line: str) -> None:
    key = parse_public_key(f"  {line} ann@laptop, the old one \n")
    assert (key.line, key.comment) == (line, "ann@laptop, the old one")
    assert key.kind == line.split()[0]
    assert key.fingerprint == fingerprint_of(line) == PRINTS[line]
    assert parse_public_key(line).comment == ""


def test_every_kind_is_tested() -> None:
    assert {line.split()[0] for line in PRINTS} == set(KINDS)


def damaged(change: str) -> str:
    kind, encoded = ED25519.split()
    blob = b64decode(encoded)
    changed = {"short": blob[:-1], "long": blob + b"\0\0\0\0", "other": blob, "empty": b""}
    kind = "ssh-rsa" if change == "other" else kind
    return f"{kind} {b64encode(changed[change]).decode()}"


def point_at_infinity() -> str:
    kind, encoded = P256.split()
    blob = b64decode(encoded)
    return f"{kind} {b64encode(blob[:-65] + bytes(65)).decode()}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a public key in one line"),
        ("hello", "not a public key in one line"),
        ("hello world", "not a public key in one line"),
        (f"{ED25519}\n{P256}", "not a public key in one line"),
        (f'command="x" {ED25519}', "not a public key in one line"),
        (f"@cert-authority * {ED25519}", "not a public key in one line"),
        ("ssh-ed25519 AAAA!", "its base64 is damaged"),
        ("ssh-ed25519 é", "its base64 is damaged"),
        (f"ssh-ed25519 {b64encode(bytes(5000)).decode()}", "longer than 4096 bytes"),
        (damaged("short"), "it is cut off"),
        (damaged("empty"), "it is cut off|base64|in one line"),
        (damaged("long"), "no usable ssh-ed25519 key"),
        (damaged("other"), "says ssh-rsa outside and something else inside"),
        (point_at_infinity(), "no usable ecdsa-sha2-nistp256 key"),
        (RSA_1024, "an RSA key must have 2048 to 16384 bits, not 1024"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "DSA keys are not taken"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificates are not taken"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "that is a private key"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        parse_public_key(text)


@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_are_a_key_or_refused(kind: str, blob: bytes) -> None:
    name = kind.encode()
    inside = len(name).to_bytes(4, "big") + name + blob
    try:
        key = parse_public_key(f"{kind} {b64encode(inside).decode()}")
    except BadValue:
        return
    assert parse_public_key(key.line) == key
