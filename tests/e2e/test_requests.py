"""Requests and replies between sessions: each is answered once, or said why not."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from codewire.errors import RequestError, RequestTimedOut
from tests.e2e.test_messages import (
    Asking,
    lines,
    mail_file,
    open_requests,
    sleeper,
    wait_for_request,
)
from tests.support import Home, wait_until


@pytest.mark.smoke
def test_request_and_reply(node: Home) -> None:
    a, b = sleeper(node, "planner"), sleeper(node, "coder")
    client = node.client()
    with node.connect() as listener:
        listener.request({"type": "MsgListen", "id": a})
        asking = Asking(client, b, "ready?", sender=a, delivery="inbox")
        seen = listener.receive_control()["event"]
        assert seen["type"] == "message.request" and seen["data"]["reply_token"].startswith("rpl_")
        request_id = seen["data"]["request_id"]
        for fields, text in (
            ({}, "missing sender identity or reply_token"),
            ({"id": 0, "reply_token": " "}, "missing sender identity or reply_token"),
            ({"id": a}, f'request "{request_id}" may only be replied to by session {b}'),
            ({"reply_token": "rpl_x"}, f'invalid reply token for request "{request_id}"'),
            ({"request_id": "", "id": b}, "missing request_id"),
            ({"request_id": "req_x", "id": b}, 'no pending request with ID "req_x"'),
        ):
            reply = {"type": "MsgReply", "request_id": request_id, "body": "no", **fields}
            assert node.request(reply)["message"] == text
        accepted = node.request(
            {
                "type": "MsgReply",
                "request_id": request_id,
                "body": "yes",
                "reply_token": seen["data"]["reply_token"],
            }
        )
        assert accepted == {"type": "MsgReplySent", "request_id": request_id}
        answer = asking.result()
        assert answer.reply_body == "yes" and answer.request_id == request_id
        assert (answer.from_id, answer.from_name) == (b, "coder")
        told = listener.receive_control()["event"]
        assert told["type"] == "message.reply"
        assert told["data"] == {
            "request_id": request_id,
            "from": b,
            "from_name": "coder",
            "body": "yes",
        }
    again = {"type": "MsgReply", "request_id": request_id, "body": "again", "id": b}
    assert node.request(again)["message"] == f'no pending request with ID "{request_id}"'
    for session in (a, b):
        kinds = [message.type for message in client.read_messages(session).messages]
        assert kinds == ["message.request", "message.reply"]
    assert not open_requests(client, b)


def test_a_request_nobody_waits_for_stays_open(node: Home) -> None:
    a, b = sleeper(node, "a"), sleeper(node, "b")
    client = node.client()
    with pytest.raises(RequestTimedOut, match=r"^request req_\S+ timed out after 3s$") as caught:
        client.request(b, "slow?", sender=a, timeout_seconds=3, delivery="inbox")
    (waiting,) = open_requests(client, b)
    assert waiting.request_id == caught.value.request_id and waiting.caller_gone
    assert client.reply(waiting.request_id, "at last", sender=b).note
    assert client.read_messages(a).messages[-1].body == "at last"


def test_a_caller_that_hangs_up_is_marked_gone(node: Home) -> None:
    b = sleeper(node, "b")
    client = node.client()
    with node.connect() as caller:
        caller.send_control({"type": "MsgRequest", "to_id": b, "body": "?"})
        assert not wait_for_request(client, b).caller_gone
    wait_until(lambda: open_requests(client, b)[0].caller_gone, 30, "the caller is gone")


def test_a_recipient_that_ends_fails_its_requests(node: Home) -> None:
    b = sleeper(node, "b")
    client = node.client()
    asking = Asking(client, b, "?")
    request_id = wait_for_request(client, b).request_id
    client.kill(b)
    assert asking.failure().startswith(f"session {b} is not running: it ended before it replied")
    assert client.read_messages(b).open_requests == ()
    with pytest.raises(RequestError, match="no pending request"):
        client.reply(request_id, "late", sender=b)


def test_an_abandoned_request_ends_with_its_recipient(node: Home) -> None:
    a, b = sleeper(node, "a"), sleeper(node, "b")
    client = node.client()
    for _ in range(2):
        with pytest.raises(RequestTimedOut) as caught:
            client.request(b, "?", sender=a, timeout_seconds=3, delivery="inbox")
    client.kill(b)
    assert not any(letter.open for letter in client.read_messages(a).messages)
    assert client.read_messages(b).open_requests == ()
    with pytest.raises(RequestError, match="no pending request"):
        client.reply(caught.value.request_id, "late", sender=b)


def test_a_request_outlives_workers(node: Home) -> None:
    a, b = sleeper(node, "a"), sleeper(node, "b")
    client = node.client()
    asking = Asking(client, b, "?", sender=a, delivery="inbox", timeout_seconds=60)
    request_id = wait_for_request(client, b).request_id
    node.kill_worker()
    wait_until(lambda: not open_requests(client, b)[0].caller_gone, 30, "the caller is back")
    node.kill_worker()
    client.reply(request_id, "still here", sender=b)
    assert asking.result().reply_body == "still here"
    assert len(lines(node, b)) == len(lines(node, a)) == 2


def test_a_request_outlives_the_node_of_its_caller(node: Home) -> None:
    """The keeper and the worker go, orderly; sessions end with them, and so do their requests."""
    a = sleeper(node, "a")
    with pytest.raises(RequestTimedOut) as caught:
        node.client().request(a, "?", timeout_seconds=3)
    assert node.stop_node() == 0
    node.start_node()
    client = node.client()
    assert client.read_messages(a).messages[0].request_id == caught.value.request_id
    assert client.read_messages(a).open_requests == ()


def test_a_reply_is_kept_for_a_caller_that_lost_its_worker(node: Home) -> None:
    b = sleeper(node, "b")
    question = {"type": "MsgRequest", "to_id": b, "body": "?", "request_key": "key"}
    client = node.client()
    with node.connect() as caller:
        caller.send_control(question)
        request_id = wait_for_request(client, b).request_id
    reply = {
        "type": "MsgReply",
        "request_id": request_id,
        "id": b,
        "body": "yes",
        "request_key": "r",
    }
    for _ in range(2):
        assert node.request(reply)["type"] == "MsgReplySent"
        node.kill_worker()
        answer = node.request(question)
        assert (answer["type"], answer["reply_body"]) == ("MsgRequestResult", "yes")
    assert len(lines(node, b)) == 2


def test_what_was_journalled_last_is_finished_after_a_kill(node: Home) -> None:
    a, b = sleeper(node, "a"), sleeper(node, "b")
    client = node.client()
    asking = Asking(client, b, "?", sender=a, delivery="inbox")
    request_id = wait_for_request(client, b).request_id
    client.reply(request_id, "yes", sender=b)
    asking.result()
    # As if the worker had been killed after the journal line, before the inboxes.
    for session in (a, b):
        text = mail_file(node, session).read_text().splitlines(keepends=True)
        mail_file(node, session).write_text(text[0])
    node.kill_worker()
    for session in (a, b):
        kinds = [message.type for message in client.read_messages(session).messages]
        assert kinds == ["message.request", "message.reply"]


@pytest.mark.smoke
def test_200_requests_among_50_sessions_while_the_worker_is_killed_twice(node: Home) -> None:
    sessions = [sleeper(node, f"s{number}") for number in range(50)]
    client = node.client()
    answered: list[str] = []

    def answer_all() -> None:
        def look(session: int) -> None:
            for request in open_requests(client, session):
                client.reply(request.request_id, f"re {request.body}", sender=session)
                answered.append(request.request_id)

        with ThreadPoolExecutor(4) as pool:
            while len(answered) < 200:
                list(pool.map(look, sessions))

    asking = [
        Asking(
            client,
            sessions[number % 50],
            f"question {number}",
            sender=sessions[(number * 7 + 1) % 50],
            timeout_seconds=90,
            delivery="inbox",
        )
        for number in range(200)
    ]
    answering = threading.Thread(target=answer_all, daemon=True)
    answering.start()
    for limit in (40, 120):
        wait_until(lambda limit=limit: len(answered) >= limit, 60, f"{limit} are answered")
        node.kill_worker()
    for number, thread in enumerate(asking):
        thread.join(90)
        assert thread.result().reply_body == f"re question {number}"
    answering.join(20)
    assert node.node_status()["worker_restarts"] == 2
    requests, replies = Counter[str](), Counter[str]()
    for session in sessions:
        for event in lines(node, session):
            data = event["data"]
            if event["type"] == "message.request" and data["to"] == session:
                requests[data["request_id"]] += 1
            elif event["type"] == "message.reply" and data["from"] == session:
                replies[data["request_id"]] += 1
    assert len(requests) == 200 and set(requests.values()) == {1}
    assert replies == requests
