"""The peer RPC itself: frames, requests one by one, and what ends a connection (spec/peer.md 1)."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from codewire.errors import ConnectionLost, ProtocolError, RequestError
from codewire.io.messagesocket import MessageStream
from codewire.io.streams import FrameStream
from codewire.io.websockets import WebSocketStream
from codewire.node.peers import serving
from codewire.wire.control import control_frame
from codewire.wire.frames import CONTROL, DATA, encode_frame
from tests.io.peers.host import PATIENCE, Host
from tests.processes import wait_until


def closes_unanswered(stream: FrameStream, data: bytes) -> bool:
    stream._sock.sendall(data)
    try:
        return stream.receive() is None
    finally:
        stream.close()


@pytest.mark.parametrize(
    "data",
    [
        encode_frame(CONTROL, b"no JSON"),
        encode_frame(CONTROL, b"[]"),
        encode_frame(DATA, b"{}"),
        b"\x02\0\0\0\0",
        b"\0\xff\xff\xff\xff",
        # Larger than any hello, from somebody who has not said who he is.
        b"\0" + (serving.MAX_HELLO + 1).to_bytes(4, "big"),
    ],
)
def test_what_is_no_frame_or_no_message_ends_it_before_the_hello(host: Host, data: bytes) -> None:
    assert closes_unanswered(host.connect(), data)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "Unknown", "op_id": "1"},
        {"op_id": "1"},
        {"type": ["MsgRead"], "op_id": "1"},
        {"type": "MsgRead"},
        {"type": "MsgRead", "op_id": ""},
        {"type": "MsgRead", "op_id": 7},
        {"type": "MsgRead", "op_id": "x" * 201},
        {"type": "MsgRead", "op_id": "1", "session": "planner"},
        {"type": "MsgRead", "op_id": "1", "tail": "50"},
        {"type": "MsgRead", "op_id": "1", "tail": True},
        {"type": "MsgRead", "op_id": "1", "tail": 1 << 64},
        {"type": "MsgSend", "op_id": "1", "body": 7},
        {"type": "AuthHello", "runtime_credential": "again"},
    ],
)
def test_what_is_no_request_ends_it_without_an_answer(host: Host, message: dict[str, Any]) -> None:
    assert closes_unanswered(host.link().stream, control_frame(message))


@pytest.mark.parametrize(
    "message",
    [
        {"type": "AuthHello"},
        {"type": "AuthHello", "runtime_credential": ""},
        {"type": "AuthHello", "runtime_credential": 7},
        {"type": "MsgRead", "op_id": "1"},
        {},
    ],
)
def test_a_malformed_hello_is_answered(host: Host, message: dict[str, Any]) -> None:
    stream = host.connect()
    stream.send_control(message)
    frame = stream.receive()
    assert frame is not None
    assert json.loads(frame[1]) == {"type": "Error", "error": "peer authentication failed"}
    assert stream.receive() is None
    stream.close()


@pytest.mark.parametrize(
    ("locator", "words"),
    [
        ({"id": 1, "name": "planner"}, "session locator cannot include both id and name"),
        ({}, "session locator requires id or name"),
        ({"node": "dev-1"}, "session locator requires id or name"),
        ({"node": "dev-9", "id": 1}, 'session targets node "dev-9", not "dev-1"'),
        ({"id": -1}, "invalid session locator"),
        ({"id": 1 << 32}, "invalid session locator"),
        ({"id": True}, "invalid session locator"),
        ({"name": 7}, "invalid session locator"),
        ({"name": "x" * 2000}, "invalid session locator"),
    ],
)
def test_a_bad_locator_is_refused_and_the_connection_goes_on(
    host: Host, locator: dict[str, Any], words: str
) -> None:
    with host.link() as link:
        for request in (host.read(host.token("observer"), session=locator),
                        host.send(host.delegation(), to=locator)):  # fmt: skip
            with pytest.raises(RequestError) as refused:
                link.ask(request)
            assert str(refused.value) == words
        assert link.ask(host.read(host.token("observer")))["type"] == "MsgReadResult"


def test_who_is_not_there_is_not_written_to(host: Host) -> None:
    with host.link() as link:
        with pytest.raises(RequestError, match="^session 9 not found$"):
            link.ask(host.send(host.delegation(), to={"id": 9}))
        with pytest.raises(RequestError, match='^no session named "nosuch"$'):
            link.ask(host.send(host.delegation(), to={"name": "nosuch"}))
        grant = host.token("observer", session_name="nosuch")
        with pytest.raises(RequestError, match='^no session named "nosuch"$'):
            link.ask(host.read(grant, session={"name": "nosuch"}))


def test_an_inbox_is_read_as_far_as_it_is_asked_for(host: Host) -> None:
    for number in range(60):
        host.office.box.send(host.office.draft(f"n{number}"))
    grant = host.token("observer")
    with host.link() as link:
        for tail, wanted in ((None, 50), (3, 3), (0, 60), (-1, 60), (1 << 40, 60)):
            answer = link.ask(host.read(grant, tail=tail))
            bodies = [letter["body"] for letter in answer["messages"]]
            assert bodies == [f"n{number}" for number in range(60 - wanted, 60)]


def test_nobody_who_looks_gets_what_it_takes_to_answer(host: Host) -> None:
    grant = host.token("observer")
    link = host.link()
    listening = link.follow({**host.read(grant), "type": "MsgListen"})
    acknowledged = next(listening)
    assert acknowledged["type"] == "MsgListenAck"
    assert acknowledged["session"] == {"node": "dev-1", "id": 1}
    request, _ = host.office.box.requests.ask(host.office.draft("why?"), 60, threading.Event())
    event = next(listening)
    assert (event["type"], event["session"]) == ("Event", {"node": "dev-1", "id": 1})
    assert event["event"]["type"] == "message.request"
    assert event["event"]["data"]["request_id"] == request.id
    answer = host.ask(host.read(grant))
    assert [letter["request_id"] for letter in answer["messages"]] == [request.id]
    for shown in (event, answer):
        assert "reply_token" not in json.dumps(shown) and request.token not in json.dumps(shown)
    link.stream.close()


def test_bytes_may_come_in_any_pieces(host: Host) -> None:
    ours, theirs = socket.socketpair()
    server = WebSocketStream(theirs, is_server=True)
    host.served.append(threading.Thread(target=host.peers.serve_messages, args=(server,)))
    host.served[-1].start()
    ours.settimeout(PATIENCE)
    client = WebSocketStream(ours, is_server=False)
    hello = control_frame({"type": "AuthHello", "runtime_credential": host.token("runtime")})
    request = control_frame({"op_id": "1", **host.read(host.token("observer"))})
    # Header and payload apart, as Go's writer does; byte by byte; two frames in one.
    client.send_data(hello[:5])
    client.send_data(hello[5:])
    for index in range(len(request)):
        client.send_data(request[index : index + 1])
    client.send_data(b"")
    client.send_data(request + request)
    stream = MessageStream(client)
    kinds = []
    for _ in range(4):
        frame = stream.receive()
        assert frame is not None
        kinds.append(json.loads(frame[1])["type"])
    assert kinds == ["AuthAck", *["MsgReadResult"] * 3]
    stream.close()


def test_a_text_message_ends_it(host: Host) -> None:
    ours, theirs = socket.socketpair()
    server = WebSocketStream(theirs, is_server=True)
    host.served.append(threading.Thread(target=host.peers.serve_messages, args=(server,)))
    host.served[-1].start()
    ours.settimeout(PATIENCE)
    client = WebSocketStream(ours, is_server=False)
    client.send_control({"type": "AuthHello"})
    assert client.receive() is None and client.close_code == 1003
    client.close()


def test_strangers_wait_for_a_while_only_and_are_not_many(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HELLO_SECONDS", 0.5)
    stream = host.connect()
    # However busily.
    is_over = threading.Event()

    def drip() -> None:
        stream._sock.sendall(b"\0\0\4\0\0")
        while not is_over.wait(0.02):
            try:
                stream._sock.sendall(b" ")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    assert stream.receive() is None
    is_over.set()
    dripping.join(PATIENCE)
    monkeypatch.undo()
    places = host.peers.strangers = serving.Places(2, 1)
    first, second = host.connect("10.0.0.1"), host.connect("10.0.0.1")
    # One has the only place, the other is turned away; another address has one of its own.
    wait_until(lambda: first.may_receive() or second.may_receive(), PATIENCE, "one is away")
    assert host.connect("10.0.0.2").may_receive() is False
    wait_until(lambda: places._taken.total() == 2, PATIENCE, "both places are taken")
    assert host.connect("10.0.0.3").receive() is None
    # Whom the relay has let in is no stranger.
    host.link()
    for stream in (first, second):
        stream.close()
    wait_until(lambda: places._taken["10.0.0.1"] == 0, PATIENCE, "it is free again")


def test_an_answer_of_another_request_is_not_taken_for_ours(host: Host) -> None:
    ours, theirs = socket.socketpair()
    from codewire.network.peers import PeerLink

    other = FrameStream(theirs)
    other.send_control({"type": "MsgReadResult", "op_id": "not yours"})
    with (
        PeerLink("dev-1", FrameStream(ours)) as link,
        pytest.raises(ProtocolError, match="another"),
    ):
        link.ask({"type": "MsgRead"})
    other.close()


def test_a_node_that_ends_the_connection_is_said_to(host: Host) -> None:
    with host.link() as link, pytest.raises(ConnectionLost, match="node dev-1 closed"):
        link.ask({"type": "Nonsense"})
