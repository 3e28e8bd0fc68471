"""Who may write to whom: groups are tags of named sessions."""

from __future__ import annotations

import pytest

from codewire.mail.groups import groups_of, may_reach
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
    ("recipient", "sender", "is_allowed"),
    [
        (MEMBER, session("b", "group:mesh"), True),
        (MEMBER, session("", "x", "group:other"), True),
        (MEMBER, session("b", "group:third"), False),
        (MEMBER, session("b"), False),
        (MEMBER, None, False),
        (session("", "group:mesh"), None, True),
        (session("a", "group:mesh", ended=True), None, True),
        (session("a", "mesh"), None, True),
        (session("a"), MEMBER, True),
    ],
)
def test_may_reach(recipient: Session, sender: Session | None, is_allowed: bool) -> None:
    assert may_reach(recipient, sender) is is_allowed
