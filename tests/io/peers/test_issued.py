"""What a relay signs, checked by a verifier that is none of ours; both say the same."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.io.network.conftest import site
from tests.io.peers.host import Host
from tests.io.peers.test_tokens import CREDENTIALS, GRANTS, IMPOSTOR, Make
from tests.io.relay.site import Site
from tests.unit.credentials.issuer import START, rfc3339
from tests.unit.credentials.verifier import Bad, verify

__all__ = ["site"]

AUTH = "/api/v1/network-auth"
# A grant that is wrong in what it says, not as a token, is for the node to refuse.
TOKENS_OF_GRANTS = GRANTS[2:8]


def test_what_a_relay_signs_holds(site: Site) -> None:
    node = site.enrol()
    grant = {"network_id": "proj", "target_node": "dev-1", "session_name": "planner",
             "audience": "user:7", "ttl": "20m"}  # fmt: skip
    sender = {"from_session_id": 3, "from_session_name": "planner", "verbs": ["msg", "reply"],
              "audience_node": "dev-2"}  # fmt: skip
    asked: list[tuple[str, str, dict[str, Any], str, int, dict[str, Any]]] = [
        ("runtime", f"{AUTH}/runtime/client?network_id=proj", {}, "", 300,
         {"subject_kind": "client", "subject_id": "admin"}),
        ("runtime", f"{AUTH}/runtime/node", {}, node, 300,
         {"subject_kind": "node", "subject_id": "dev-1"}),
        ("sender", f"{AUTH}/delegation/node", sender, node, 120,
         {**sender, "source_node": "dev-1"}),
        ("observer", "/api/v1/access-grants", grant, "", 1200,
         {"target_node": "dev-1", "session_name": "planner",
          "verbs": ["msg.read", "msg.listen"],
          "audience_subject_kind": "client", "audience_subject_id": "user:7"}),
    ]  # fmt: skip
    seen = set()
    for kind, path, body, token, seconds, wanted in asked:
        answer = site.ok("POST", path, body, **({"token": token} if token else {}))
        now = datetime.datetime.now(datetime.timezone.utc)
        bundle = site.ok("GET", f"{AUTH}/bundle?network_id=proj", token=node)
        claims = verify(answer.get("credential") or answer["delegation"], kind, bundle, now)
        assert wanted.items() <= claims.items()
        assert claims["issuer"] == "relay:proj" and claims["kid"].startswith("kid_")
        lives = [_time(claims[name]) for name in ("issued_at", "expires_at")]
        assert (lives[1] - lives[0]).total_seconds() == seconds
        seen.add(claims["jti"])
        # Two minutes after its end, or for another network, it is good no more.
        for spoilt in (
            (answer.get("credential") or answer["delegation"], kind, bundle, lives[1] + 2 * MINUTE),
            (answer.get("credential") or answer["delegation"], kind,
             {**bundle, "network_id": "other"}, now),
        ):  # fmt: skip
            with pytest.raises(Bad):
                verify(*spoilt)
    assert len(seen) == 4


MINUTE = datetime.timedelta(minutes=1)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text[:19] + "+00:00")


@pytest.mark.parametrize(
    ("kind", "make"),
    [*(("runtime", row[1]) for row in CREDENTIALS),
     *(("observer", row[1]) for row in TOKENS_OF_GRANTS)],
    ids=[row[0] for row in (*CREDENTIALS, *TOKENS_OF_GRANTS)],
)  # fmt: skip
def test_the_other_verifier_refuses_the_same(host: Host, kind: str, make: Make) -> None:
    with pytest.raises(Bad):
        verify(make(host), kind, host.issuer.bundle(), START)


@pytest.mark.parametrize("kind", ["runtime", "sender", "observer"])
def test_the_other_verifier_takes_the_same(host: Host, kind: str) -> None:
    for claims in ({}, {"issued_at": rfc3339(29)}, {"expires_at": rfc3339(-29)}):
        verify(host.token(kind, **{"issued_at": rfc3339(-60), **claims}), kind,
               host.issuer.bundle(), START)  # fmt: skip
    with pytest.raises(Bad):
        verify(IMPOSTOR.token(kind), kind, host.issuer.bundle(), START)
