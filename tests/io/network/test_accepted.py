"""Which accepted grant is shown for a session of another node (spec/network-auth.md 9)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.credentials.grants import LISTEN, READ
from codewire.errors import RelayRefused, RelayUnreachable
from codewire.network.accepted import Accepted, find_accepted
from codewire.network.answers import Grant
from codewire.wire.peers import Locator
from tests.unit.credentials.issuer import NOW, Issuer, rfc3339

URL = "https://relay.example"
PLANNER = Locator("dev-1", name="planner")


class Relay:
    """What is configured of a relay, and what that says of grants."""

    url, network = URL, "proj"

    def __init__(self) -> None:
        self.said: dict[str, Grant | Exception] = {}
        self.asked: list[str] = []

    def as_user(self) -> Any:
        return SimpleNamespace(grant=self._grant)

    def _grant(self, network: str, grant_id: str) -> Grant:
        self.asked.append(grant_id)
        found = self.said.get(grant_id, Grant(id=grant_id))
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accepted:
    monkeypatch.setattr("time.time_ns", lambda: NOW)
    return Accepted(str(tmp_path))


def accept(accepted: Accepted, jti: str, url: str = URL, **claims: Any) -> str:
    both = {"verbs": [READ, LISTEN], "expires_at": rfc3339(600), **claims}
    return str(accepted.accept(Issuer().token("observer", jti=jti, **both), NOW, url)["token"])


def find(accepted: Accepted, relay: Relay, verb: str = READ, place: Locator = PLANNER) -> str:
    found = find_accepted(accepted, relay, "dev-1", place, verb)  # type: ignore[arg-type]
    return "" if found is None else str(found["grant_id"])


def test_the_one_that_holds_longest_is_shown(accepted: Accepted, relay: Relay) -> None:
    accept(accepted, "og_1")
    accept(accepted, "og_2", expires_at=rfc3339(900))
    accept(accepted, "og_3", expires_at=rfc3339(700))
    assert find(accepted, relay) == "og_2" and relay.asked == ["og_2"]


def test_only_what_fits_is_shown(accepted: Accepted, relay: Relay) -> None:
    accept(accepted, "og_1", network_id="other")
    accept(accepted, "og_2", target_node="dev-2")
    accept(accepted, "og_3", session_name="coder")
    accept(accepted, "og_4", session_name=None, session_id=1)
    accept(accepted, "og_5", verbs=[LISTEN])
    accept(accepted, "og_6", url="https://elsewhere.example")
    assert find(accepted, relay) == "" and relay.asked == []
    assert find(accepted, relay, LISTEN) == "og_5"
    assert find(accepted, relay, READ, Locator("dev-1", 1)) == "og_4"


def test_what_is_over_is_forgotten_and_the_next_one_shown(accepted: Accepted, relay: Relay) -> None:
    for number in range(1, 5):
        accept(accepted, f"og_{number}", expires_at=rfc3339(1000 - number))
    relay.said = {
        "og_1": Grant(id="og_1", revoked_at=rfc3339(0)),
        "og_2": RelayRefused("no", 404, "access grant not found"),
        "og_3": RelayRefused("no", 403, "membership required"),
    }
    assert find(accepted, relay) == "og_4"
    assert [one["grant_id"] for one in accepted.all(NOW)] == ["og_4"]


@pytest.mark.parametrize(
    "error", [RelayUnreachable("gone"), RelayRefused("busy", 503, "try again")]
)
def test_what_cannot_be_looked_up_counts(
    accepted: Accepted, relay: Relay, error: Exception
) -> None:
    accept(accepted, "og_1")
    relay.said["og_1"] = error
    assert find(accepted, relay) == "og_1"
    assert len(accepted.all(NOW)) == 1
