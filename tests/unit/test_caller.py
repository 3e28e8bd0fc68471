"""Who may do what, and which session a caller runs in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.client.inside import as_sender, is_own_session, own_session
from codewire.client.reach.route import LocalRoute
from codewire.errors import RequestError
from codewire.io.processes import ancestors
from codewire.node.caller import ALL_VERBS, Caller, Kind, authorise, calling_session
from codewire.paths import DataDir
from codewire.session.registry import Registry
from codewire.session.session import Session
from codewire.wire.requests import VERBS
from tests.unit.session.records import running


def test_a_local_user_may_do_everything() -> None:
    for verb in VERBS:
        authorise(Caller(Kind.LOCAL, "user"), verb, None)


def test_others_may_do_what_they_were_given() -> None:
    reader = Caller(Kind.TOKEN, "10.0.0.1", verbs=frozenset(("read",)))
    authorise(reader, "read", 3)
    for verb in sorted(ALL_VERBS - {"read"}):
        with pytest.raises(RequestError, match=f"10.0.0.1 may not {verb} on session 3") as caught:
            authorise(reader, verb, 3)
        assert caught.value.code == "unauthorised"


def registry(*leaders: int) -> Registry:
    found = Registry(DataDir("/nowhere"))
    for number, pid in enumerate(leaders, 1):
        record = running(number)
        record.pid = pid
        found.add(Session(record, "", ""))
    return found


def test_a_session_is_found_from_the_descent_of_the_process() -> None:
    caller = Caller(Kind.LOCAL, "user", pid=os.getpid)
    assert calling_session(caller, registry(1 << 30)) is None
    inner = calling_session(caller, registry(os.getppid(), os.getpid()))
    assert inner is not None and inner.id == 2
    outer = calling_session(caller, registry(os.getppid(), 1 << 30))
    assert outer is not None and outer.id == 1
    assert calling_session(Caller(Kind.TOKEN, "10.0.0.1"), registry(os.getpid())) is None


def test_a_chain_of_parents_ends(tmp_path: Path) -> None:
    def add(pid: int, parent: int) -> None:
        (tmp_path / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 30]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a b) {' '.join(fields)}")

    add(10, 11)
    add(11, 10)
    add(12, 1)
    assert len(list(ancestors(10, str(tmp_path)))) == 64
    assert list(ancestors(12, str(tmp_path))) == [12]
    assert list(ancestors(99, str(tmp_path))) == [99]
    assert list(ancestors(0, str(tmp_path))) == []


@pytest.fixture
def route(tmp_path: Path) -> LocalRoute:
    (tmp_path / "node-id").write_text("here\nplace 1\n")
    return LocalRoute(DataDir(str(tmp_path)))


@pytest.mark.parametrize(
    ("number", "home", "found"),
    [
        ("", "", (None, None)),
        ("0", "here", (None, None)),
        ("x", "here", (None, None)),
        ("3", "here", (3, "here")),
        ("3", "", (3, "")),
        ("3", "elsewhere", (None, None)),
    ],
)
def test_what_a_process_says_of_itself(
    route: LocalRoute,
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    home: str,
    found: tuple[int | None, str | None],
) -> None:
    monkeypatch.setenv("CW_SESSION_ID", number)
    monkeypatch.setenv("CW_NODE_ID", home)
    assert own_session(route) == found
    assert as_sender(route) == {"sender": found[0], "sender_node": found[1]}
    # The number alone proves nothing; in doubt it is believed.
    assert is_own_session(route, 3, leader=1 << 30) == (found == (3, "here"))
    assert is_own_session(route, 3, leader=os.getppid()) == (found[0] == 3)
    assert is_own_session(route, 3, leader=0) == (found[0] == 3)
    assert not is_own_session(route, 4, leader=os.getpid())
