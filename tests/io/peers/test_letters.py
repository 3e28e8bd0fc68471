"""What sessions of other nodes send: once, by the rules of groups, answered by the recipient."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from codewire.errors import CodewireError, RequestError, RequestTimedOut
from codewire.mail import mailbox
from codewire.mail.party import here
from tests.io.peers.host import PATIENCE, Host
from tests.processes import wait_until


def inbox(host: Host, number: int = 2) -> list[dict[str, Any]]:
    return host.office.box.read(host.session(number), 0).messages


def bodies(host: Host) -> list[str]:
    return [letter["body"] for letter in inbox(host)]


class Asking:
    """A request on a connection of its own, and what came of it."""

    def __init__(self, host: Host, **changed: Any) -> None:
        token = host.delegation(verbs=["request"])
        self.link = host.link()
        self._request = host.send(token, type="MsgRequest", timeout_seconds=60, **changed)
        self.outcome: Any = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.link.ask(self._request)
        except CodewireError as error:
            self.outcome = error
        finally:
            self.link.stream.close()

    def wait(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.outcome


def asked(host: Host, count: int = 1) -> str:
    """Return the id of the last of so many requests."""
    wait_until(lambda: len(inbox(host)) == count, PATIENCE)
    return str(inbox(host)[-1]["request_id"])


def test_the_sender_is_a_session_elsewhere(host: Host) -> None:
    answer = host.ask(host.send(host.delegation()))
    [letter] = inbox(host)
    assert letter["message_id"] == answer["message_id"]
    assert (letter["from"], letter["from_name"]) == (0, "dev-2:planner")
    assert "delivered" not in answer
    nameless = host.delegation(from_session_id=7, from_session_name=None)
    host.ask(host.send(nameless, **{"from": {"node": "dev-2", "id": 7}}))
    assert inbox(host)[-1]["from_name"] == "dev-2:7"


def test_what_is_sent_again_is_there_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "RETRY_SECONDS", -1.0)
    first = host.ask(host.send(host.delegation(), op_id="op_a"))
    assert host.ask(host.send(host.delegation(), op_id="op_a"))["message_id"] == first["message_id"]
    # Another worker, long after it began, knows it when it is told that it may.
    host.office.box._receipts.clear()
    again = host.ask(host.send(host.delegation(), op_id="op_a", repeat=True))
    assert again["message_id"] == first["message_id"]
    assert bodies(host) == ["hello"]
    # Another one's is another.
    host.ask(host.send(host.delegation(), op_id="op_b", repeat=True))
    stranger = host.delegation(source_node="dev-3")
    place = {"from": {"node": "dev-3", "name": "planner"}}
    host.ask(host.send(stranger, op_id="op_a", repeat=True, **place))
    assert [letter["from_name"] for letter in inbox(host)] == [
        "dev-2:planner", "dev-2:planner", "dev-3:planner",
    ]  # fmt: skip


def test_members_of_a_group_hear_from_members(host: Host) -> None:
    host.session(2).record.tags = ["group:mesh"]
    host.ask(host.send(host.delegation(source_groups=["mesh", "x"])))
    for kind, verb in (("MsgSend", "msg"), ("MsgRequest", "request")):
        token = host.delegation(verbs=[verb], source_groups=["other"])
        with pytest.raises(RequestError) as refused:
            host.ask(host.send(token, type=kind))
        assert str(refused.value) == f"group policy forbids {verb} delivery to this session"
        assert refused.value.code == "unauthorised"
    assert bodies(host) == ["hello"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"delivery": "shout"}, 'unknown delivery mode "shout"'),
        ({"body": "x" * 65537}, "message body too large"),
    ],
)
def test_the_rules_are_those_of_local_ones(host: Host, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        host.ask(host.send(host.delegation(), **changed))
    assert bodies(host) == []


def test_a_flag_that_is_none_ends_the_connection(host: Host) -> None:
    from codewire.wire.control import control_frame
    from tests.io.peers.test_rpc import closes_unanswered

    message = {**host.send(host.delegation()), "op_id": "1", "repeat": "yes"}
    assert closes_unanswered(host.link().stream, control_frame(message))


def test_a_request_is_answered_by_its_recipient_alone(host: Host) -> None:
    asking = Asking(host)
    request_id = asked(host)
    requests = host.office.box.requests
    with pytest.raises(RequestError, match="may only be replied to by session 2"):
        requests.reply(request_id, "stolen", here(host.session(1)), "", "")
    # Session 2 of another node is not session 2 of this one.
    for node, number in (("dev-2", 2), ("dev-1", 1)):
        token = host.delegation(
            source_node=node, verbs=["reply"], from_session_id=number, from_session_name=None
        )
        reply = {"type": "MsgReply", "from": {"node": node, "id": number}, "sender_cap": token,
                 "request_id": request_id, "body": "stolen"}  # fmt: skip
        with pytest.raises(RequestError) as refused:
            host.ask(reply)
        assert "may only be replied to by session 2" in str(refused.value)
        assert refused.value.code == "unauthorised"
    assert requests.reply(request_id, "yes", here(host.session(2)), "", "")
    answer = asking.wait()
    assert (answer["type"], answer["reply_body"]) == ("MsgRequestResult", "yes")
    assert answer["from"] == {"id": 2, "name": "coder"}
    assert answer["request_id"] == request_id


def test_its_own_node_may_bring_the_reply(host: Host) -> None:
    asking = Asking(host)
    request_id = asked(host)
    own = {"source_node": "dev-1", "verbs": ["reply"], "from_session_id": 2}
    reply = {
        "type": "MsgReply", "from": {"node": "dev-1", "id": 2}, "request_id": request_id,
        "body": "done", "op_id": "op_r",
    }  # fmt: skip
    for _ in range(2):
        token = host.delegation(**own, from_session_name="coder")
        assert host.ask({**reply, "sender_cap": token})["request_id"] == request_id
    assert asking.wait()["reply_body"] == "done"
    assert bodies(host) == ["hello", "done"]


def test_a_request_outlives_its_connection(host: Host) -> None:
    """Sent again with its op_id it is the same one, answered or not, and there is one."""
    first = Asking(host, op_id="op_q")
    request_id = asked(host)
    first.link.stream.shutdown()
    first.wait()
    second = Asking(host, op_id="op_q", repeat=True)
    wait_until(lambda: _waits(host, request_id), PATIENCE)
    host.office.box.requests.reply(request_id, "late", here(host.session(2)), "", "")
    assert second.wait()["reply_body"] == "late"
    third = Asking(host, op_id="op_q", repeat=True)
    assert third.wait()["reply_body"] == "late"
    assert bodies(host) == ["hello", "late"]


def _waits(host: Host, request_id: str) -> bool:
    pending = host.office.box.requests._pending.find(request_id)
    return pending is not None and len(pending.wakers) == 1


def test_a_request_that_nobody_answers_in_time(host: Host) -> None:
    token, began = host.delegation(verbs=["request"]), time.monotonic()
    with pytest.raises(RequestTimedOut, match="^request req_.* timed out after 1s$") as late:
        host.ask(host.send(token, type="MsgRequest", timeout_seconds=1))
    assert late.value.request_id == asked(host) and time.monotonic() - began >= 1
    assert host.office.box.read(host.session(2), 0).open_requests
