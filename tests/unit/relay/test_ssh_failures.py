"""How long a refused SSH login waits."""

from __future__ import annotations

import pytest

from codewire.relay.http.limits import MAX_KEYS
from codewire.relay.ssh.failures import COUNTED, Failures

ANN = "192.0.2.1"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def delays(failures: Failures, number: int, address: str = ANN) -> list[float]:
    return [failures.delay(address) for _ in range(number)]


def test_from_the_sixth_on_they_wait_longer_and_longer(clock: Clock) -> None:
    assert delays(Failures(clock), 11) == [0, 0, 0, 0, 0, 1, 2, 4, 8, 8, 8]


def test_each_address_counts_for_itself(clock: Clock) -> None:
    failures = Failures(clock)
    delays(failures, 20)
    assert delays(failures, 6, "192.0.2.2") == [0, 0, 0, 0, 0, 1]


def test_an_ipv6_address_counts_as_its_network(clock: Clock) -> None:
    failures = Failures(clock)
    found = [failures.delay(f"2001:db8::{n:x}") for n in range(1, 8)]
    assert found == [0, 0, 0, 0, 0, 1, 2]
    assert failures.delay("2001:db8:0:1::1") == 0


def test_a_minute_is_forgotten(clock: Clock) -> None:
    failures = Failures(clock)
    delays(failures, 8)
    clock.now += 59.9
    assert failures.delay(ANN) == 8
    clock.now += 0.2
    # One of the last minute, and this one.
    assert failures.delay(ANN) == 0
    clock.now += 61
    assert delays(failures, 6) == [0, 0, 0, 0, 0, 1]


def test_one_every_eleven_seconds_waits_and_one_every_thirteen_does_not(clock: Clock) -> None:
    fast, slow = Failures(clock), Failures(clock)
    found = []
    for _ in range(20):
        found.append(fast.delay(ANN))
        clock.now += 11
    assert found[5:] == [1.0] * 15
    for _ in range(20):
        assert slow.delay(ANN) == 0
        clock.now += 13


def test_memory_is_bounded(clock: Clock) -> None:
    failures = Failures(clock)
    delays(failures, 100)
    for n in range(MAX_KEYS):
        failures.delay(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(failures._times) == MAX_KEYS
    assert max(map(len, failures._times.values())) <= COUNTED
    # The one that was quiet for longest went.
    assert failures.delay(ANN) == 0
