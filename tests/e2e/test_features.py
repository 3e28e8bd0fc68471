"""What a node says it knows, and that it does: filters, exact time-outs, optional directories."""

from __future__ import annotations

import os
import time

from codewire.wire.features import FEATURES
from tests.support import Home


def test_a_node_lists_its_features(node: Home) -> None:
    assert node.request({"type": "NodeStatus"})["features"] == list(FEATURES)


def test_lists_can_be_asked_for_in_part(node: Home) -> None:
    for name, tags in (("one", ["a"]), ("two", ["a", "b"]), ("three", [])):
        node.launch("sh", "-c", "exit 0", name=name, tags=tags)
    for number in (1, 2, 3):
        node.wait_finished(number)
    node.launch("cat", name="two")

    def listed(**fields: object) -> list[int]:
        answer = node.request({"type": "ListSessions", **fields})
        return [session["id"] for session in answer["sessions"]]

    assert listed() == listed(brief=True) == [1, 2, 3, 4]
    assert listed(name="two") == [2, 4]
    assert listed(tags=["a"]) == [1, 2]
    assert listed(tags=["b"], name="three") == [2, 3]
    assert listed(id=3) == [3]
    assert listed(name="none") == []
    (brief,) = node.request({"type": "ListSessions", "id": 2, "brief": True})["sessions"]
    assert brief == {
        "id": 2,
        "name": "two",
        "status": "completed (0)",
        "attached": False,
        "tags": ["a", "b"],
    }


def test_a_command_that_names_a_session_is_not_sent_the_others(node: Home) -> None:
    """With 250 finished sessions the whole list was 5.3 MB."""
    session = node.launch("sh", "-c", "echo " + "x" * 50_000, name="wordy")
    node.launch("cat", name="short")
    node.wait_finished(session)
    client = node.client()
    found = client.find_sessions("short", "short")
    assert [session.name for session in found] == ["short"]
    assert client.find_sessions("wordy")[0].sent.keys() == {"id", "name", "status", "attached"}
    assert node.cw("status", "short").returncode == 0


def test_time_outs_are_exact(node: Home) -> None:
    session = node.launch("cat")
    started = time.monotonic()
    answer = node.request({"type": "Wait", "id": session, "timeout_seconds": 100, "timeout_ms": 50})
    assert answer == {"type": "Error", "message": "wait timed out"}
    request = {"type": "MsgRequest", "to_id": session, "body": "?", "delivery": "inbox"}
    answer = node.request({**request, "timeout_seconds": 100, "timeout_ms": 1500})
    assert answer["message"].endswith("timed out after 1.5s")
    answer = node.request({**request, "timeout_seconds": 1, "timeout_ms": 1000})
    assert answer["message"].endswith("timed out after 1s")
    assert time.monotonic() - started < 20


def test_a_directory_that_is_elsewhere_is_no_error_where_it_is_optional(node: Home) -> None:
    request = {"type": "Launch", "command": ["pwd"], "working_dir": "/no/such/place"}
    assert "does not exist" in node.request(request)["message"]
    answer = node.request({**request, "dir_optional": True, "launch_key": "k"})
    assert answer == {
        "type": "Launched",
        "id": 1,
        "working_dir": node.path,
        "note": f"it runs in {node.path}",
    }
    node.wait_finished(1)
    assert node.log(1).decode().strip() == node.path
    # Any other fault is one, and starts nothing.
    refused = node.request({**request, "dir_optional": True, "command": ["/no/such/program"]})
    assert refused["type"] == "Error"
    here = node.request({**request, "dir_optional": True, "working_dir": os.getcwd()})
    assert here == {"type": "Launched", "id": 2}
