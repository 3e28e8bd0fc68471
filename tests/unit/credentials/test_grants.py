"""What an observer grant allows, in the words and the order of spec/network-auth.md 7.3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codewire.credentials.claims import ObserverClaims
from codewire.credentials.grants import LISTEN, READ, Place, Principal, check_grant
from codewire.errors import CredentialError

USER = Principal("client", "github:7")
PLACE = Place("proj", "dev-1", 3, "planner")
BY_NAME = ObserverClaims(
    network_id="proj", target_node="dev-1", session_name="planner", verbs=(READ,),
    audience_subject_kind="client", audience_subject_id="github:7",
)  # fmt: skip
BY_ID = replace(BY_NAME, session_name="", session_id=3)


@pytest.mark.parametrize("claims", [BY_NAME, BY_ID, replace(BY_ID, session_name="planner")])
@pytest.mark.parametrize("verb", [READ, LISTEN])
def test_a_grant_allows_its_verbs(claims: ObserverClaims, verb: str) -> None:
    check_grant(replace(claims, verbs=(READ, LISTEN)), PLACE, USER, verb)
    check_grant(replace(claims, verbs=(verb,)), PLACE, USER, verb)


def test_id_zero_is_an_id() -> None:
    check_grant(replace(BY_ID, session_id=0), PLACE._replace(session_id=0), USER, READ)
    with pytest.raises(CredentialError, match="session id mismatch"):
        check_grant(replace(BY_ID, session_id=0), PLACE, USER, READ)


@pytest.mark.parametrize(
    ("claims", "place", "principal", "words"),
    [
        (BY_NAME, PLACE._replace(network_id="o"), USER, "observer grant network mismatch"),
        (BY_NAME, PLACE._replace(node_name="o"), USER, "observer grant target node mismatch"),
        (BY_NAME, PLACE, Principal("client", "admin"), "observer grant audience mismatch"),
        (BY_NAME, PLACE, Principal("node", "github:7"), "observer grant audience mismatch"),
        (replace(BY_NAME, audience_subject_id=""), PLACE, Principal("client", ""),
         "observer grant audience mismatch"),
        (replace(BY_NAME, verbs=(LISTEN,)), PLACE, USER, "observer grant does not allow msg.read"),
        (replace(BY_NAME, verbs=()), PLACE, USER, "observer grant does not allow msg.read"),
        (BY_NAME, PLACE._replace(session_id=None, session_name=""), USER,
         "missing session locator"),
        (replace(BY_NAME, session_name=""), PLACE, USER, "missing session locator"),
        (BY_ID, PLACE._replace(session_id=4), USER, "observer grant session id mismatch"),
        (BY_ID, PLACE._replace(session_id=None), USER, "observer grant session id mismatch"),
        (BY_NAME, PLACE._replace(session_name="coder"), USER,
         "observer grant session name mismatch"),
        (BY_NAME, PLACE._replace(session_name=""), USER, "observer grant session name mismatch"),
        (replace(BY_ID, session_name="coder"), PLACE, USER, "observer grant session name mismatch"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    claims: ObserverClaims, place: Place, principal: Principal, words: str
) -> None:
    with pytest.raises(CredentialError, match=f"^{words}$"):
        check_grant(claims, place, principal, READ)
