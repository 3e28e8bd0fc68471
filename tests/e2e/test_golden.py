"""The golden exchanges of spec/wire.md, replayed byte for byte against a running node.

What a client sends is sent exactly as recorded; what the node sends may have further keys, but
every recorded one, and where we add none the very length of the recorded frame.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rawwire import CONTROL, DATA
from tests.support import Home, RawConnection, wait_until

ANY: Any = type("Any", (), {"__eq__": lambda self, other: True, "__hash__": None})()

LAUNCH_BOB = b'{"type":"Launch","command":["cat"],"working_dir":"/tmp","name":"bob","tags":["t1"]}'


def send(home: Home, header: str, body: bytes) -> RawConnection:
    """Send a recorded frame: five header bytes in hex, then the JSON."""
    connection = home.connect()
    connection.send_raw(bytes.fromhex(header) + body)
    return connection


def exchange(home: Home, header: str, body: bytes) -> list[tuple[int, bytes]]:
    """Send a recorded frame and return every answer up to the node's close."""
    with send(home, header, body) as connection:
        return connection.read_rest()


def send_message(home: Home, body: str) -> RawConnection:
    """Send a recorded message whose header was not written down."""
    return send(home, f"00 {len(body):08x}", body.encode())


def ask(home: Home, body: str) -> Any:
    """Return the single answer to a recorded message; the node must close after it."""
    with send_message(home, body) as connection:
        ((kind, payload),) = connection.read_rest()
    assert kind == CONTROL
    return json.loads(payload)


def includes(answer: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Say whether the answer has every recorded key with its value."""
    return all(key in answer and recorded[key] == answer[key] for key in recorded)


@pytest.fixture
def bob(node: Home) -> Home:
    """A node after exchange 2."""
    answers = exchange(node, "00 00 00 00 53", LAUNCH_BOB)
    assert answers == [(CONTROL, b'{"type":"Launched","id":1}')]
    return node


def test_1_an_empty_list(node: Home) -> None:
    ((kind, payload),) = exchange(node, "00 00 00 00 17", b'{"type":"ListSessions"}')
    assert kind == CONTROL
    assert len(payload) == 0x24
    assert json.loads(payload) == {"type": "SessionList", "sessions": []}


def test_2_3_launch_and_list(bob: Home) -> None:
    (info,) = ask(bob, '{"type":"ListSessions"}')["sessions"]
    recorded = {
        "id": 1,
        "name": "bob",
        "prompt": "cat",
        "working_dir": "/tmp",
        "created_at": ANY,
        "status": "running",
        "attached": False,
        "pid": ANY,
        "output_size_bytes": 0,
        "tags": ["t1"],
        "output_lines": 0,
        "output_bytes": 0,
        "attached_count": 0,
    }
    added = {"state": "idle", "state_since": ANY, "idle_seconds": ANY, "last_event_at": ANY}
    assert info == {**recorded, **added}


def test_4_attach_type_resize_detach(bob: Home) -> None:
    with send(
        bob, "00 00 00 00 2f", b'{"type":"Attach","id":1,"include_history":true}'
    ) as connection:
        assert includes(connection.receive_control(), {"type": "Attached", "id": 1})
        connection.send_raw(bytes.fromhex("01 00 00 00 03") + b"hi\r")
        assert connection.read_output_until(b"hi\r\nhi\r\n") == b"hi\r\nhi\r\n"
        connection.send_raw(
            bytes.fromhex("00 00 00 00 2c") + b'{"type":"Resize","id":1,"cols":80,"rows":23}'
        )
        connection.send_raw(bytes.fromhex("00 00 00 00 18") + b'{"type":"Detach","id":1}')
        assert connection.read_rest() == [(CONTROL, b'{"type":"Detached","id":1}')]


def test_5_6_input_and_the_last_lines(bob: Home) -> None:
    answers = exchange(bob, "00 00 00 00 29", b'{"type":"SendInput","id":1,"data":"aGkK"}')
    assert answers == [(CONTROL, b'{"type":"InputSent","bytes":3}')]
    wait_until(lambda: _tail(bob).get("data") == "hi\r\nhi\r\n", 30, "the echo is logged")
    assert includes(_tail(bob, 1), {"type": "LogData", "data": "hi\r\n", "done": True})


def _tail(home: Home, lines: int = 2) -> Any:
    body = f'{{"type":"Logs","id":1,"follow":false,"tail":{lines}}}'
    assert len(body) == 0x2E
    return ask(home, body)


def test_7_8_11_events_of_a_message_and_a_kill(bob: Home) -> None:
    watching = send_message(bob, '{"type":"WatchSession","id":1}')
    attached = send_message(bob, '{"type":"Attach","id":1}')
    assert includes(attached.receive_control(), {"type": "Attached", "id": 1})
    subscribed = send_message(
        bob, '{"type":"Subscribe","id":1,"event_types":["session.status","direct.message"]}'
    )
    assert subscribed.receive() == (CONTROL, b'{"type":"SubscribeAck","subscription_id":0}')
    sent = ask(bob, '{"type":"MsgSend","to_name":"bob","body":"hey","delivery":"inbox"}')
    assert includes(sent, {"type": "MsgSent", "status": ANY, "message_id": ANY})
    assert sent["message_id"].startswith("msg_")
    data = {
        "message_id": sent["message_id"],
        "from": 0,
        "to": 1,
        "to_name": "bob",
        "body": "hey",
    }
    event = subscribed.receive_control()
    assert includes(event, {"type": "Event", "subscription_id": 0, "session_id": 1, "event": ANY})
    assert includes(event["event"], {"timestamp": ANY, "type": "direct.message", "data": data})

    assert includes(ask(bob, '{"type":"Kill","id":1}'), {"type": "Killed", "id": 1})

    status = {"from": "running", "to": "completed", "exit_code": -1, "duration_ms": ANY}
    event = subscribed.receive_control()
    assert includes(event["event"], {"type": "session.status", "data": status})
    done = watching.receive_control()
    assert includes(done, {"type": "WatchUpdate", "done": True, "status": "killed"})
    assert "output" not in done
    assert attached.read_rest() == [(CONTROL, b'{"type":"Error","message":"session killed"}')]
    for connection in (watching, attached, subscribed):
        connection.close()


def test_9_a_request_and_its_reply(bob: Home) -> None:
    listening = send_message(bob, '{"type":"MsgListen"}')
    assert listening.receive_control() == {"type": "MsgListenAck"}
    asking = send_message(
        bob,
        '{"type":"MsgRequest","to_id":1,"body":"ok?","timeout_seconds":60,"delivery":"inbox"}',
    )
    data = listening.receive_control()["event"]["data"]
    answer = ask(
        bob,
        json.dumps(
            {
                "type": "MsgReply",
                "body": "yes",
                "request_id": data["request_id"],
                "reply_token": data["reply_token"],
            }
        ),
    )
    assert includes(answer, {"type": "MsgReplySent", "request_id": data["request_id"]})
    ((_, payload),) = asking.read_rest()
    recorded = {
        "type": "MsgRequestResult",
        "request_id": data["request_id"],
        "reply_body": "yes",
        "from_id": 1,
        "from_name": "bob",
    }
    assert includes(json.loads(payload), recorded)
    listening.close()
    asking.close()


def test_10_keys(node: Home) -> None:
    assert ask(node, '{"type":"KVSet","key":"k","value":"djE=","ttl":"60s"}') == {"type": "KVSetOK"}
    assert ask(node, '{"type":"KVGet","key":"k"}') == {"type": "KVGetResult", "value": "djE="}
    assert ask(node, '{"type":"KVGet","key":"no"}') == {"type": "KVGetResult"}
    entries = [{"key": "k", "value": "djE=", "expires_at": ANY}]
    assert ask(node, '{"type":"KVList"}') == {"type": "KVListResult", "entries": entries}


def test_12_13_refusals(bob: Home) -> None:
    ask(bob, '{"type":"Kill","id":1}')
    ((_, payload),) = exchange(bob, "00 00 00 00 18", b'{"type":"Attach","id":1}')
    assert len(payload) == 0x35
    assert json.loads(payload) == {"type": "Error", "message": "session 1 is not running"}
    ((_, payload),) = exchange(bob, "00 00 00 00 0f", b'{"type":"Nope"}')
    assert len(payload) == 0x37
    assert json.loads(payload) == {"type": "Error", "message": "unknown request type: Nope"}


def test_frames_cut_anywhere_and_pipelined_requests(node: Home) -> None:
    frame = bytes.fromhex("00 00 00 00 17") + b'{"type":"ListSessions"}'
    for cut in range(1, len(frame)):
        with node.connect() as connection:
            connection.send_raw(frame[:cut])
            connection.send_raw(frame[cut:])
            assert connection.receive_control() == {"type": "SessionList", "sessions": []}
    with node.connect() as connection:
        connection.send_raw(frame * 3)
        assert [kind for kind, _ in connection.read_rest()] == [CONTROL] * 3
    with node.connect() as connection:
        connection.send_frame(DATA, b"x")
        ((_, payload),) = connection.read_rest()
        assert json.loads(payload)["type"] == "Error"
