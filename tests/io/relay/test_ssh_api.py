"""What the API says of SSH: where it is, by which host key, and its users' own keys."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from codewire.credentials.sshkeys import parse_public_key
from codewire.credentials.vault import Vault
from codewire.errors import ConfigError
from codewire.relay.http.limits import SSH_KEYS
from codewire.relay.http.routes.ssh import MAX_KEYS
from codewire.relay.ssh.hostkey import FILE_NAME, host_key, public_line, take_over
from codewire.relay.store.database import Database, open_database
from tests.io.relay.desk import Desk
from tests.unit.credentials.test_sshkeys import ED25519, P256, RSA, RSA_1024

# As an older relay (codewire in Go) writes it.
OLDER = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
"""
# Both halves are RFC 8032's (7.1, test 1).
OLDER_PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
ED25519_PRINT = "SHA256:EKQAz+Vc45RGPfexhZyxqWtCzytR1yLEDvjFVElYPQg"
OTHER_PRINT = "SHA256:KgYx9VkoG5jm9Pq6DrEFSUao4AFYqACsL5p+Av/QVDE"


# Where it is


def test_a_relay_without_ssh_says_so(desk: Desk) -> None:
    assert desk.ask("GET", "/api/v1/ssh") == (404, "this relay serves no SSH\n")
    assert desk.ask("GET", "/api/v1/ssh", token="")[0] == 401


def test_where_it_is(desk: Desk) -> None:
    desk.service.ssh_host_key, desk.service.ssh_port = ED25519, 2200
    found = desk.ok("GET", "/api/v1/ssh")
    at = {"host": "relay.example", "port": 2200, "host_key": ED25519}
    at["fingerprint"] = ED25519_PRINT
    assert found == {**at, "key_count": 0}
    token = desk.enrol()
    assert desk.ok("GET", "/api/v1/ssh", token=token) == {**at, "user": "proj/dev-1"}
    desk.service.settings = replace(desk.settings, ssh_public="ssh.example:22")
    assert desk.ok("GET", "/api/v1/ssh")["host"] == "ssh.example"
    assert desk.ok("GET", "/api/v1/ssh")["port"] == 22
    desk.service.settings = replace(desk.settings, ssh_public="ssh.example")
    assert desk.ok("GET", "/api/v1/ssh")["port"] == 2200


# Keys


def add(desk: Desk, key: str, token: str, **more: str) -> tuple[int, object]:
    body = {"public_key": key, **more}
    return desk.ask("POST", "/api/v1/ssh-keys", body, token=token)


def test_keys_are_their_owners(desk: Desk) -> None:
    ann, bob = desk.login("oidc:ann"), desk.login("oidc:bob")
    status, made = add(desk, f"{ED25519} ann@laptop", ann)
    assert (status, made["name"], made["public_key"]) == (200, "ann@laptop", ED25519)  # type: ignore[index]
    desk.now += 1
    assert add(desk, P256, ann, name="work")[0] == 200
    listed = desk.ok("GET", "/api/v1/ssh-keys", token=ann)
    assert [key["name"] for key in listed] == ["ann@laptop", "work"]
    assert desk.ok("GET", "/api/v1/ssh-keys", token=bob) == []
    path = f"/api/v1/ssh-keys?fingerprint={OTHER_PRINT.replace('+', '%2B')}"
    assert desk.ask("DELETE", path, token=bob) == (404, "no such SSH key\n")
    assert desk.ask("DELETE", path, token=ann)[0] == 204
    assert desk.ask("DELETE", path, token=ann)[0] == 404
    assert len(desk.ok("GET", "/api/v1/ssh-keys", token=ann)) == 1
    # A node has none, and nobody without a login.
    for token, said in ((desk.enrol(), 401), ("", 401)):
        assert desk.ask("GET", "/api/v1/ssh-keys", token=token)[0] == said
        assert add(desk, RSA, token)[0] == said


def test_a_key_that_is_there_stays_as_it_is(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ann, bob = desk.login("oidc:ann"), desk.login("oidc:bob")
    first = add(desk, ED25519, ann, name="a")
    desk.now += 5
    assert add(desk, ED25519, ann, name="b") == first
    said = [record.getMessage() for record in caplog.records if "SSH key" in record.getMessage()]
    assert said == [f"SSH key {ED25519_PRINT} of oidc:ann added from 192.0.2.1"]
    # It may be somebody else's, too: nothing says that it is not.
    assert add(desk, ED25519, bob)[0] == 200
    desk.service.ssh_host_key = RSA
    assert desk.ok("GET", "/api/v1/ssh", token=ann)["key_count"] == 1


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "public_key required"),
        ("hello", "not a public key"),
        (RSA_1024, "2048 to 16384 bits, not 1024"),
        (f"{ED25519}\n{P256}", "control characters"),
        ("ssh-ed25519 " + "A" * 9000, "at most 8192 characters"),
    ],
)
def test_what_is_no_key_is_refused(desk: Desk, key: str, text: str) -> None:
    status, said = add(desk, key, desk.login("oidc:ann"))
    assert status == 400 and text in str(said)


def key_number(number: int) -> str:
    from base64 import b64encode

    name = b"ssh-ed25519"
    blob = len(name).to_bytes(4, "big") + name + b"\0\0\0\x20" + number.to_bytes(32, "big")
    return f"ssh-ed25519 {b64encode(blob).decode()}"


def test_how_many_there_may_be(desk: Desk) -> None:
    desk.service.limiter.hit = lambda *_: None  # type: ignore[method-assign]
    ann = desk.login("oidc:ann")
    assert {add(desk, key_number(n), ann)[0] for n in range(MAX_KEYS)} == {200}
    assert add(desk, key_number(MAX_KEYS), ann)[0] == 409
    assert add(desk, key_number(0), ann)[0] == 200
    assert add(desk, key_number(MAX_KEYS), desk.login("oidc:bob"))[0] == 200


def test_how_often_they_may_be_changed(desk: Desk) -> None:
    ann = desk.login("oidc:ann")
    found = [add(desk, "hello", ann)[0] for _ in range(SSH_KEYS.calls + 1)]
    assert found == [400] * SSH_KEYS.calls + [429]


# The host key


def database(directory: Path) -> Database:
    return open_database("", str(directory), Vault.open(str(directory / "secret.key")))


def test_the_host_key_is_one_for_all_relays_and_sealed(tmp_path: Path) -> None:
    store = database(tmp_path)
    first = host_key(store, str(tmp_path))
    # Another relay on this store has another directory.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / FILE_NAME).write_text(OLDER)
    assert host_key(store, str(elsewhere)) == first
    assert first.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert parse_public_key(public_line(first)).kind == "ssh-ed25519"
    store.close()
    again = database(tmp_path)
    assert host_key(again, str(tmp_path)) == first
    again.close()
    rows = sqlite3.connect(tmp_path / "relay.db").execute("select data from secrets").fetchall()
    assert len(rows) == 2
    assert not any(b"PRIVATE" in row[0] for row in rows)
    assert not (tmp_path / FILE_NAME).exists()


def test_an_older_relays_host_key_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(OLDER)
    store = database(tmp_path)
    assert host_key(store, str(tmp_path)) == OLDER
    assert public_line(OLDER) == OLDER_PUBLIC
    # From then on it is in the store.
    (tmp_path / FILE_NAME).unlink()
    assert host_key(store, str(tmp_path)) == OLDER
    store.close()


def test_an_import_brings_the_key_that_clients_know(tmp_path: Path) -> None:
    store = database(tmp_path)
    fresh = host_key(store, str(tmp_path))
    older = tmp_path / "older"
    older.mkdir()
    assert not take_over(store, str(older))
    assert host_key(store, str(tmp_path)) == fresh
    (older / FILE_NAME).write_text(OLDER)
    assert take_over(store, str(older))
    assert host_key(store, str(tmp_path)) == OLDER
    store.close()


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 20000, "rsa", "passphrase"])
def test_a_file_that_is_no_such_key_is_refused(tmp_path: Path, data: bytes | str) -> None:
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    pem, pkcs8 = forms.Encoding.PEM, forms.PrivateFormat.PKCS8
    if data == "rsa":
        key = rsa.generate_private_key(65537, 1024)
        data = key.private_bytes(pem, pkcs8, forms.NoEncryption())
    elif data == "passphrase":
        lock = forms.BestAvailableEncryption(b"x")
        data = ed25519.Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, lock)
    assert isinstance(data, bytes)
    (tmp_path / FILE_NAME).write_bytes(data)
    store = database(tmp_path)
    with pytest.raises(ConfigError, match=f"SSH host key {tmp_path}/{FILE_NAME}: "):
        host_key(store, str(tmp_path))
    (tmp_path / FILE_NAME).unlink()
    assert host_key(store, str(tmp_path))
    store.close()
