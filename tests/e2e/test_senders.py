"""Who is taken for a message's sender: a session's identity is its node and its number."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from codewire.wire.answers.messages import Message
from tests.support import CW, Home, wait_until

FOREIGN = "f" * 24


def last(home: Home, session_id: int) -> Message:
    return home.client().read_messages(session_id).messages[-1]


def test_a_session_knows_its_node_and_is_the_sender(node: Home) -> None:
    to = node.launch("cat", name="to")
    words = shlex.join([*CW, "msg", "to", "from inside"])
    sender = node.launch("sh", "-c", f'echo "<$CW_NODE_ID>"; {words}; exec cat', name="planner")
    wait_until(lambda: b"from inside" in node.log(to), 20, "the message is typed")
    assert b"[Codewire message from planner]" in node.log(to)
    assert f"<{node.node_id()}>".encode() in node.log(sender)
    assert last(node, to).from_id == sender
    before = node.node_id()
    node.kill_worker()
    assert node.node_status() and node.node_id() == before


@pytest.mark.parametrize(
    ("from_node", "is_believed"), [(FOREIGN, False), ("", False), (None, True), ("own", True)]
)
def test_what_a_client_says_of_its_session(
    node: Home, from_node: str | None, is_believed: bool
) -> None:
    """A foreign number is nobody's; one without a node only counts if the client descends."""
    sender, to = node.launch("cat", name="planner"), node.launch("cat", name="to")
    home = node.node_id() if from_node == "own" else from_node
    request = {"type": "MsgSend", "id": sender, "to_id": to, "body": "hi", "delivery": "both"}
    answer = node.request({**request, "from_node": home, "auto": True})
    assert answer.get("delivered") == (None if is_believed else "inbox")
    assert last(node, to).from_id == (sender if is_believed else 0)
    if is_believed:
        wait_until(lambda: b"message from planner" in node.log(to), 20, "it is typed")
    else:
        # Nobody's text goes into the inbox alone, unless somebody says where it is to go.
        assert node.log(to) == b""
        node.request({**request, "from_node": home})
        wait_until(lambda: b"message from the user" in node.log(to), 20, "it is typed")


def test_the_command_in_a_session_of_another_node(home: Home) -> None:
    home.cw("launch", "planner", "--", "cat")
    home.cw("launch", "to", "--", "cat")
    foreign = {"CW_SESSION_ID": "1", "CW_NODE_ID": FOREIGN}
    done = home.cw("msg", "to", "hi", env=foreign)
    assert done.returncode == 0, done.stderr
    assert last(home, 2).from_id == 0 and home.log(2) == b""
    done = home.cw("attach", "1", env=foreign)
    assert "this is session 1" not in done.stderr
    older = home.cw("msg", "to", "hi", env={"CW_SESSION_ID": "1"})
    assert older.returncode == 0 and last(home, 2).from_id == 0


def test_an_older_session_is_known_by_its_descent(node: Home) -> None:
    to = node.launch("cat", name="to")
    words = shlex.join([*CW, "msg", "to", "as before"])
    sender = node.launch("sh", "-c", f"unset CW_NODE_ID; {words}; exec cat", name="planner")
    wait_until(lambda: b"message from planner" in node.log(to), 20, "the message is typed")
    assert last(node, to).from_id == sender


def test_errors_say_why_in_a_word(node: Home) -> None:
    node.launch("cat", name="taken")
    launch = {"type": "Launch", "command": ["cat"], "working_dir": "/", "name": "taken"}
    requests: list[tuple[dict[str, Any], str | None]] = [
        ({"type": "GetStatus", "id": 9}, "no_such_session"),
        ({"type": "MsgSend", "to_name": "nobody", "body": "x"}, "no_such_session"),
        (launch, "name_taken"),
        ({**launch, "name": "", "working_dir": "/none"}, "no_directory"),
        ({"type": "KVSet", "key": "k" * 5000}, "too_large"),
        ({"type": "GetStatus"}, "bad_request"),
        ({"type": "GetStatus", "id": -1}, "bad_request"),
        ({"type": "Wait", "id": 1, "timeout_ms": 1, "codes": True}, "timed_out"),
        ({"type": "Nope", "codes": True}, "unknown_request"),
        # As upstream's recorded answers have it.
        ({"type": "Wait", "id": 1, "timeout_ms": 1}, None),
        ({"type": "Nope"}, None),
    ]
    for request, code in requests:
        answer = node.request(request)
        assert (answer["type"], answer.get("code")) == ("Error", code), request
