"""Who may write to whom: groups are tags of named sessions."""

from __future__ import annotations

import pytest

from codewire.mail.groups import bindings_by_tags, groups_of, may_reach
from codewire.network.answers import Binding
from codewire.session.life import State
from codewire.session.records.record import Record
from codewire.session.session import Session


@pytest.mark.parametrize(
    ("tags", "groups"),
    [
        ([], set()),
        (["worker", "group"], set()),
        (["group:mesh"], {"mesh"}),
        ([" group: mesh ", "group:mesh", "group:other"], {"mesh", "other"}),
        (["group:", "group:  ", "Group:x", "xgroup:y"], set()),
    ],
)
def test_groups_of(tags: list[str], groups: set[str]) -> None:
    assert groups_of(tags) == groups


def session(name: str, *tags: str, ended: bool = False) -> Session:
    record = Record(id=1, argv=["x"], working_dir="/", created_ns=0, name=name, tags=list(tags))
    made = Session(record, "", "")
    if ended:
        made.life.state = State.CLOSED
    return made


MEMBER = session("a", "group:mesh", "group:other")


@pytest.mark.parametrize(
    ("recipient", "groups", "is_allowed"),
    [
        (MEMBER, {"mesh"}, True),
        (MEMBER, {"other", "x"}, True),
        (MEMBER, {"third"}, False),
        (MEMBER, set(), False),
        (session("", "group:mesh"), set(), True),
        (session("a", "group:mesh", ended=True), set(), True),
        (session("a", "mesh"), set(), True),
        (session("a"), {"mesh"}, True),
    ],
)
def test_tags_bind_a_running_named_session(
    recipient: Session, groups: set[str], is_allowed: bool
) -> None:
    assert may_reach(bindings_by_tags(recipient), frozenset(groups)) is is_allowed


@pytest.mark.parametrize(
    ("policies", "groups", "is_allowed"),
    [
        ({"mesh": "internal-only"}, set(), False),
        ({"mesh": "open"}, set(), True),
        ({"mesh": "internal-only", "other": "open"}, {"third"}, True),
        ({"mesh": "internal-only", "other": "internal-only"}, {"other"}, True),
        # What a later relay may say is no "open".
        ({"mesh": "secret"}, {"third"}, False),
    ],
)
def test_policies(policies: dict[str, str], groups: set[str], is_allowed: bool) -> None:
    bindings = [Binding(group, policy, "observe-only") for group, policy in policies.items()]
    assert may_reach(bindings, frozenset(groups)) is is_allowed
