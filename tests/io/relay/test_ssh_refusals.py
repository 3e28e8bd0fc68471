"""What counts as a failure, and that only refusals wait: the relay's side of a login."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import Unavailable
from codewire.wire.control import decode_control
from tests.io.relay.test_ssh_logins import ED25519, OWNER, P256, Place

gateway = pytest.importorskip("codewire.relay.ssh.gateway")
ANN, BOB = "192.0.2.1", "192.0.2.2"


class Failures:
    """Notes who failed; each is held back until the test says otherwise."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    def delay(self, address: str) -> float:
        self.addresses.append(address)
        return 0.0


class Counter:
    """The relay's side of the gateway, and the lines to it."""

    def __init__(self, place: Place) -> None:
        self.failures = Failures()
        listener = socket.create_server(("127.0.0.1", 0))
        self.gateway = gateway.Gateway(listener, "", place.store, None, None, self.failures)
        self._listener = listener

    def log_in(self, address: str = ANN, user: str = "proj/dev-1", **shown: str) -> dict[str, Any]:
        """Return what a login is answered, {} for nothing."""
        near, far = socket.socketpair()
        question = {"type": "Login", "user": user, "address": address, **shown}
        client, ours = gateway.Line(near), gateway.Line(far)
        try:
            client.send_control(question)
            serving = threading.Thread(target=self.gateway._serve, args=(ours,))
            serving.start()
            client.set_timeout(20.0)
            frame = client.receive()
            serving.join(20)
            return decode_control(frame[1]) if frame is not None else {}
        finally:
            client.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def counter(place: Place) -> Iterator[Counter]:
    counter = Counter(place)
    yield counter
    counter.close()


def test_wrong_passwords_are_counted_by_address(counter: Counter) -> None:
    for address in (ANN, BOB, ANN):
        assert counter.log_in(address, password="wrong") == {"type": "Refused"}
    assert counter.failures.addresses == [ANN, BOB, ANN]


def test_right_passwords_never_wait(counter: Counter, place: Place) -> None:
    assert counter.log_in(password="wrong")["type"] == "Refused"
    found = counter.log_in(password=place.node_token)
    assert found["type"] == "Admitted"
    assert counter.failures.addresses == [ANN]


def test_unknown_keys_are_no_failures(counter: Counter, place: Place) -> None:
    place.add_key(ED25519, OWNER)
    for _ in range(8):
        assert counter.log_in(key=P256) == {"type": "Refused"}
    assert counter.log_in(key=ED25519)["type"] == "Admitted"
    assert counter.failures.addresses == []


def test_a_store_that_is_away_is_nobodys_failure(
    counter: Counter, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(fn: Any) -> Any:
        raise Unavailable("the database is away")

    monkeypatch.setattr(place.store, "read", read)
    assert counter.log_in(password="wrong") in ({}, {"type": "Refused"})
    assert counter.failures.addresses == []
