"""How `cw inbox` arranges what the node returns."""

from __future__ import annotations

from typing import Any

from codewire.client.messaging import unanswered
from codewire.commands.talk.messages import arrange
from codewire.wire.answers.messages import Inbox, read_messages

ME, OTHER = 1, 2


def message(body: str) -> dict[str, Any]:
    return {"type": "direct.message", "body": body, "from": OTHER, "to": ME}


def request(name: str, to: int = ME, **more: Any) -> dict[str, Any]:
    asked = {"type": "message.request", "request_id": name, "body": name, "reply_token": "rpl_x"}
    return {**asked, "from": ME if to == OTHER else OTHER, "to": to, **more}


def reply(name: str) -> dict[str, Any]:
    return {"type": "message.reply", "request_id": name, "body": f"re {name}", "from": ME, "to": 0}


def shown(*letters: dict[str, Any], waiting: list[dict[str, Any]]) -> list[tuple[str, str]]:
    arranged = arrange(Inbox(read_messages(letters), read_messages(waiting)))
    assert not any("reply_token" in letter or "open" in letter for letter in arranged)
    return [(letter["body"], letter.get("state", "")) for letter in arranged]


def test_open_requests_come_first_and_replies_follow_their_request() -> None:
    first, second, old = request("q1"), request("q2", open=True), request("q0", open=True)
    letters = (first, message("hi"), second, reply("q1"), request("q3", to=OTHER, open=True))
    assert shown(*letters, waiting=[old, second]) == [
        ("q0", "open"),
        ("q2", "open"),
        ("q1", "answered"),
        ("re q1", ""),
        ("hi", ""),
        ("q3", "open"),
    ]


def test_a_reply_without_its_request_keeps_its_place() -> None:
    assert shown(message("a"), reply("gone"), message("b"), waiting=[]) == [
        ("a", ""),
        ("re gone", ""),
        ("b", ""),
    ]


def test_a_request_that_will_not_be_answered_is_closed() -> None:
    assert shown(request("q"), waiting=[]) == [("q", "closed")]


def test_a_node_that_does_not_say_what_is_open() -> None:
    letters = [request("q1"), reply("q1"), request("q2"), request("q3", to=OTHER)]
    answer = {"type": "MsgReadResult", "messages": letters}
    assert unanswered(answer, ME) == [letters[2]]
    for letter in letters:
        letter["to_name"] = f"s{letter['to']}"
    assert unanswered(answer, "@s1") == [letters[2]]
    assert unanswered({"type": "MsgReadResult"}, ME) == []


def test_nothing_at_all() -> None:
    assert shown(waiting=[]) == []
