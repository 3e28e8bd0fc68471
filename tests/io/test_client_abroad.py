"""Letters to another node over connections that are lost: the same one again, or a clear word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.client import abroad
from codewire.client.api import Client
from codewire.client.reach.route import LocalRoute
from codewire.errors import (
    ConnectionLost,
    NodeRefused,
    NodeUnreachable,
    OutOfTime,
    RelayRefused,
    RelayUnreachable,
    RequestError,
    RequestTimedOut,
    UsageError,
)
from codewire.network import peers
from codewire.paths import DataDir

Outcome = Exception | dict[str, Any]


class Route(LocalRoute):
    """This machine's node, which is called `here`."""

    def pause(self, attempts: int) -> float:
        return 0.01


class World:
    """A sender's node, a relay and another node, that do what is next in their scripts."""

    def __init__(self, root: Path) -> None:
        self.client = Client(route=Route(DataDir(str(root))), notify=self.notify)
        self.client.ask = self.issue  # type: ignore[method-assign, assignment]
        self.notices: list[str] = []
        self.issued: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.issuing: list[Exception] = []
        self.dialling: list[Exception] = []
        self.answers: list[Outcome] = []

    def notify(self, line: str) -> None:
        self.notices.append(line)

    def issue(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.issuing:
            raise self.issuing.pop(0)
        self.issued.append(request)
        return {"from_node": "dev-1", "sender_cap": f"cap {len(self.issued)}"}

    def dial(self, *_: Any, **__: Any) -> Any:
        if self.dialling:
            raise self.dialling.pop(0)
        return _Link(self)


class _Link:
    def __init__(self, world: World) -> None:
        self.stream = object()
        self._world = world

    def __enter__(self) -> _Link:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, request: dict[str, Any], deadline: object) -> dict[str, Any]:
        self._world.letters.append(request)
        outcome = self._world.answers.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    monkeypatch.setenv("CODEWIRE_NODE_NAME", "dev-1")
    monkeypatch.setattr(abroad, "PATIENCE_SECONDS", 0.1)
    world = World(tmp_path)
    monkeypatch.setattr(peers, "dial_peer", world.dial)
    return world


LOST = ConnectionLost("lost")
SENT = {"message_id": "msg_1"}


def test_the_same_letter_again_with_another_delegation(world: World) -> None:
    world.issuing = [RequestError("no sender delegation: away", "unavailable")]
    world.dialling = [RelayUnreachable("away"), NodeUnreachable("not connected")]
    world.answers = [LOST, LOST, SENT]
    sent = world.client.msg("dev-2:@coder", "hello", sender=3, sender_node="x")
    assert (sent.message_id, sent.delivered) == ("msg_1", "inbox")
    assert {letter["op_id"] for letter in world.letters} == {world.letters[0]["op_id"]}
    assert [letter["repeat"] for letter in world.letters] == [None, True, True]
    assert len({letter["sender_cap"] for letter in world.letters}) == 3
    first = world.letters[0]
    assert first["from"] == {"node": "dev-1", "id": 3}
    assert first["to"] == {"node": "dev-2", "name": "coder"}
    assert (first["type"], first["body"], first["delivery"]) == ("MsgSend", "hello", "inbox")
    asked = {"type": "IssueSenderDelegation", "id": 3, "verb": "msg", "audience_node": "dev-2"}
    assert all(request == asked for request in world.issued)
    assert world.notices == ["[cw] no sender delegation: away; trying again"]


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda w: w.answers.append(RequestError("group policy forbids", "unauthorised")),
         RequestError),
        # What the node itself says is its last word.
        (lambda w: w.answers.append(RequestError("the disk is full", "unavailable")), RequestError),
        (lambda w: w.dialling.append(NodeRefused("not found")), NodeRefused),
        (lambda w: w.dialling.append(RelayRefused("revoked", 401)), RelayRefused),
        (lambda w: w.issuing.append(RequestError("session 9 not found", "no_such_session")),
         RequestError),
        (lambda w: w.answers.append(OutOfTime("silent")), OutOfTime),
    ],
)  # fmt: skip
def test_what_is_final_is_not_tried_again(
    world: World, prepare: Callable[[World], None], error: type[Exception]
) -> None:
    prepare(world)
    with pytest.raises(error):
        world.client.msg("dev-2:coder", "hello", sender=3)
    assert world.notices == [] and len(world.letters) <= 1


def test_a_node_that_was_sent_nothing_is_not_looked_for_long(world: World) -> None:
    world.dialling = [NodeUnreachable("not connected")] * 1000
    with pytest.raises(NodeUnreachable, match="^not connected$"):
        world.client.msg("dev-2:coder", "hello", sender=3)
    assert world.letters == []


def test_it_is_said_when_it_is_not_known_what_became_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What no inbox keeps would be typed twice.
    world.answers = [LOST]
    with pytest.raises(ConnectionLost, match="lost; it is not known whether it was done"):
        world.client.msg("dev-2:coder", "hello", sender=3, delivery="pty")
    assert len(world.letters) == 1
    monkeypatch.setattr(abroad, "PROMPT_TOTAL_SECONDS", 0.2)
    world.answers = [LOST]
    world.dialling = []
    monkeypatch.setattr(world, "dialling", _After(world, NodeUnreachable("gone")))
    with pytest.raises(ConnectionLost, match="gone; it is not known whether it was done"):
        world.client.msg("dev-2:coder", "hello", sender=3)


def test_a_refusal_after_that_does_not_hide_it(world: World) -> None:
    world.answers = [LOST]
    refused = RequestError("session 3 is not running", "not_running")
    issuing = _After(world, refused)
    world.issuing = issuing
    with pytest.raises(ConnectionLost, match="3 is not running; it is not known whether"):
        world.client.msg("dev-2:coder", "hello", sender=3)
    world.issuing = []
    world.answers = [OutOfTime("silent")]
    with pytest.raises(OutOfTime, match="silent; it is not known whether it was done"):
        world.client.msg("dev-2:coder", "hello", sender=3)


class _After(list):  # type: ignore[type-arg]
    """What dialling comes to once something was sent."""

    def __init__(self, world: World, error: Exception) -> None:
        super().__init__()
        self._sent = len(world.letters)
        self._world, self._error = world, error

    def __bool__(self) -> bool:
        return len(self._world.letters) > self._sent

    def pop(self, _: Any = 0) -> Exception:
        return self._error


def test_a_request_keeps_to_its_time(world: World) -> None:
    world.answers = [LOST, {"request_id": "req_1", "reply_body": "yes",
                            "from": {"id": 2, "name": "coder"}}]  # fmt: skip
    reply = world.client.request("dev-2:2", "ready?", sender=3, timeout_seconds=30)
    assert (reply.reply_body, reply.from_name, reply.from_id) == ("yes", "dev-2:coder", 0)
    assert [letter["timeout_seconds"] for letter in world.letters] == [30, 30]
    assert world.letters[0]["to"] == {"node": "dev-2", "id": 2}
    world.answers = [OutOfTime("silent")]
    with pytest.raises(RequestTimedOut, match="timed out after 2s: silent"):
        world.client.request("dev-2:2", "ready?", sender=3, timeout_seconds=2)


def test_a_request_whose_time_is_over_has_timed_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abroad, "PATIENCE_SECONDS", 30.0)
    world.dialling = [RelayUnreachable("away")] * 1000
    with pytest.raises(RequestTimedOut, match="timed out after 0.2s: away"):
        world.client.request("dev-2:2", "ready?", sender=3, timeout_seconds=0.2)


def test_what_cannot_be_sent_is_not(world: World) -> None:
    for ref in (":coder", "dev-2:", "dev-2:a:b"):
        with pytest.raises(UsageError, match="invalid session locator"):
            world.client.msg(ref, "x", sender=3)
    with pytest.raises(UsageError, match="is written to by a session"):
        world.client.msg("dev-2:coder", "x")
    with pytest.raises(UsageError, match="cannot be forced"):
        world.client.msg("dev-2:coder", "x", sender=3, force=True)
    with pytest.raises(UsageError, match="delivery must be one of"):
        world.client.msg("dev-2:coder", "x", sender=3, delivery="shout")
    assert world.issued == []
