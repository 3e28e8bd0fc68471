"""How long a verifier's bundle is used, and when a relay is asked for another."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.credentials.bundle import Bundle
from codewire.credentials.envelope import UnknownKey, verify_runtime
from codewire.errors import RelayRefused, RelayUnreachable
from codewire.network.bundles import MAX_NETWORKS, Bundles
from tests.unit.credentials.issuer import NOW, SECOND, Issuer, rfc3339

MINUTE = 60 * SECOND


class FakeClock:
    boot = "boot"

    def __init__(self) -> None:
        self.passed = 0

    def wall_ns(self) -> int:
        return NOW + self.passed

    def steady_ns(self) -> int:
        return 7 * MINUTE + self.passed


class FakeRelay:
    """Answers bundles of the issuers it has, good for 15 minutes."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.issuers = [Issuer()]
        self.asked = 0
        self.error: Exception | None = None

    def bundle(self, network_id: str) -> Bundle:
        self.asked += 1
        if self.error is not None:
            raise self.error
        keys = [key for issuer in self.issuers for key in issuer.bundle()["keys"]]
        end = rfc3339(self.clock.passed / SECOND + 900)
        value = self.issuers[0].bundle(keys=keys, expires_at=end, network_id=network_id)
        return Bundle.from_json(value)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def relay(clock: FakeClock) -> FakeRelay:
    return FakeRelay(clock)


@pytest.fixture
def bundles(clock: Any, relay: FakeRelay) -> Bundles:
    return Bundles(relay.bundle, clock)


def test_a_bundle_is_kept_until_30_seconds_before_its_end(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    for passed, asked in ((0, 1), (869, 1), (870, 2), (871, 2)):
        clock.passed = passed * SECOND
        bundles.get("proj")
        assert relay.asked == asked


def test_what_was_said_last_is_good_to_its_end_without_the_relay(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    bundles.get("proj")
    relay.error = RelayUnreachable("gone")
    clock.passed = 900 * SECOND
    assert bundles.get("proj").network_id == "proj"
    clock.passed += 1
    with pytest.raises(RelayUnreachable, match="gone"):
        bundles.get("proj")


def test_a_relay_that_refuses_is_believed(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    """A node that was revoked verifies no more, though its old bundle still holds."""
    bundles.get("proj")
    relay.error = RelayRefused("unauthorized", 401)
    clock.passed = 880 * SECOND
    with pytest.raises(RelayRefused):
        bundles.get("proj")


def test_a_new_key_is_asked_for_once_a_minute(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    new = Issuer(bytes(32), "kid_new")
    forged = Issuer(bytes(range(1, 33)), "kid_forged")

    def verify(issuer: Issuer) -> str:
        token = issuer.token("runtime", expires_at=rfc3339(900))
        return bundles.verify(verify_runtime, token, "proj").kid

    assert verify(relay.issuers[0]) == "kid_test"
    relay.issuers.append(new)
    # Just fetched: whoever makes up keys does not have the relay asked for each.
    for _ in range(3):
        with pytest.raises(UnknownKey):
            verify(new)
    assert relay.asked == 1
    clock.passed = MINUTE
    assert verify(new) == "kid_new"
    for _ in range(3):
        with pytest.raises(UnknownKey):
            verify(forged)
    assert relay.asked == 2
    clock.passed = 2 * MINUTE
    with pytest.raises(UnknownKey):
        verify(forged)
    assert relay.asked == 3


def test_an_unknown_key_while_the_relay_is_away_is_tried_once_a_minute(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    bundles.get("proj")
    relay.error = RelayUnreachable("gone")
    clock.passed = MINUTE
    token = Issuer(bytes(32), "kid_new").token("runtime")
    for _ in range(2):
        # What is known is enough to refuse it.
        with pytest.raises(UnknownKey):
            bundles.verify(verify_runtime, token, "proj")
        assert relay.asked == 2


def test_what_was_fetched_earlier_counts_and_is_renewed_in_time(
    bundles: Bundles, relay: FakeRelay, clock: FakeClock
) -> None:
    bundles.keep(relay.bundle("proj"))
    bundles.renew("proj", 10 * MINUTE)
    bundles.verify(verify_runtime, Issuer().token("runtime"), "proj")
    assert relay.asked == 1
    clock.passed = 6 * MINUTE
    bundles.renew("proj", 10 * MINUTE)
    assert relay.asked == 2
    clock.passed = 20 * MINUTE
    bundles.get("proj")
    assert relay.asked == 2


def test_networks_are_kept_apart_and_not_without_end(bundles: Bundles, relay: FakeRelay) -> None:
    for number in range(MAX_NETWORKS + 1):
        assert bundles.get(f"n{number}").network_id == f"n{number}"
    bundles.get(f"n{MAX_NETWORKS}")
    assert relay.asked == MAX_NETWORKS + 1
    bundles.get("n0")
    assert relay.asked == MAX_NETWORKS + 2
