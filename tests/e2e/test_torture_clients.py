"""Clients that misbehave harm nobody but themselves (design, P2 and P10)."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import struct
import threading
import time

import pytest

from tests.follower import Probe
from tests.processes import cpu_seconds, open_descriptors, resident_kilobytes, thread_count
from tests.support import Home, wait_until

# What any other client may wait meanwhile. A node that waits for a bad one waits for good; one on
# a machine that does other things too may take a second or two (figures are in bench/).
PATIENCE = 8.0
# A loop that spins takes all of a processor, or its share of a busy one.
SPINNING = 0.25

MAX_PAYLOAD = 16 << 20

ODD_VALUES = [
    "-1",
    "1e30",
    "1e999",
    "NaN",
    "1.5",
    "1.0",
    "null",
    "[]",
    "[1]",
    "{}",
    '"x"',
    "true",
    "4294967296",
    "18446744073709551616",
    "9" * 400,
]

NUMERIC_FIELDS = [
    ("Attach", ["id", "history_lines", "from_offset"]),
    ("Logs", ["id", "tail", "from_offset"]),
    ("WatchSession", ["id", "history_lines", "tail", "from_offset"]),
    ("GetStatus", ["id"]),
    ("SendInput", ["id"]),
    ("Kill", ["id"]),
    ("Resize", ["id", "cols", "rows"]),
    ("Wait", ["id", "timeout_seconds"]),
    ("Subscribe", ["id", "subscription_id"]),
    ("Launch", ["cols", "rows"]),
]


def control(text: str | bytes) -> bytes:
    """Return a control frame with any text at all in it."""
    payload = text.encode() if isinstance(text, str) else text
    return struct.pack(">BI", 0, len(payload)) + payload


def answers_then_closes(home: Home, data: bytes) -> str:
    """Send bytes; return the Error that the node answers with, at most, before it closes."""
    with home.connect() as connection:
        try:
            connection.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had seen enough
        frames = connection.read_rest()
    assert len(frames) <= 1, frames
    message = json.loads(frames[0][1]) if frames else {"type": "Error", "message": ""}
    assert message["type"] == "Error", message
    return str(message["message"])


BAD_FRAMES = [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame payload too large"),
    (b"\0\xff\xff\xff\xff", "frame payload too large: 4294967295 bytes"),
    (b"\1\xff\xff\xff\xff", "frame payload too large: 4294967295 bytes"),
    (struct.pack(">BI", 0, MAX_PAYLOAD + 1), "frame payload too large: 16777217 bytes"),
    (struct.pack(">BI", 7, 3) + b"abc", "unknown frame type: 0x07"),
    (struct.pack(">BI", 1, 3) + b"abc", "expected control message"),
    (control(""), "invalid JSON"),
    (control('{"type":'), "invalid JSON"),
    (control("[" * 100_000), "invalid JSON"),
    (control('{"type":"ListSessions"} x'), "invalid JSON"),
    (control("[1]"), "not a JSON object"),
    (control('"ListSessions"'), "not a JSON object"),
    (control("{}"), "unknown request type: "),
    (control("null"), "unknown request type: "),
    (control('{"type":5}'), "type must be a string"),
    (control('{"type":"Nope"}'), "unknown request type: Nope"),
    (control(b'\xff\xfe{"type":"ListSessions"}'), "invalid JSON"),
    (control('{"type":"Launch","command":"ls"}'), "command must be"),
    (control('{"type":"Launch","command":[]}'), "command must not be empty"),
    (control('{"type":"SendInput","id":1,"data":"***"}'), "base64"),
]


def test_bad_frames(node: Home) -> None:
    """Each is answered in words, then closed, while another client is served."""
    probe = Probe(node.socket)
    for data, words in BAD_FRAMES:
        answer = answers_then_closes(node, data)
        assert words in answer, (data[:60], answer)
    assert probe.stop() < PATIENCE


def test_the_largest_frame_is_read(node: Home) -> None:
    padding = "x" * (MAX_PAYLOAD - 40)
    frame = control(json.dumps({"type": "ListSessions", "pad": padding}))
    assert MAX_PAYLOAD - 10 < len(frame) - 5 <= MAX_PAYLOAD
    with node.connect() as connection:
        connection.send_raw(frame)
        assert connection.receive_control()["type"] == "SessionList"


def test_unfinished_frames_wait_and_cost_nothing(node: Home) -> None:
    probe = Probe(node.socket)
    unfinished = [
        b"",
        b"\0",
        b"\0\0\0",
        struct.pack(">BI", 0, 100),
        b"\0\0\xff\xff\xff" + b" " * 999,
    ]
    with contextlib.ExitStack() as connections:
        for data in unfinished * 20:
            connections.enter_context(node.connect()).send_raw(data)
        assert probe.stop() < PATIENCE
        assert cpu_used(node.worker_pid)[0] < SPINNING, "waiting for the rest burns CPU"
        # The rest may come late.
        late = connections.enter_context(node.connect())
        for byte in control('{"type":"ListSessions"}'):
            late.send_raw(bytes([byte]))
        assert late.receive_control()["type"] == "SessionList"
    wait_until(lambda: open_descriptors(node.worker_pid) < 60, 30, "their descriptors are closed")


def cpu_used(*pids: int) -> list[float]:
    """Return the processor time in seconds that each process takes in one of leisure."""
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(1)
    return [cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]


def test_clients_that_never_read(node: Home) -> None:
    """Big answers and endless streams to clients that take nothing."""
    number = node.launch("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' y; exec cat")
    wait_until(lambda: node.session(number)["output_bytes"] >= 3_000_000, 20, "it has printed")
    with contextlib.ExitStack() as connections:
        for kind in ("Attach", "Logs", "WatchSession") * 2:
            connection = connections.enter_context(node.connect())
            connection.send_control({"type": kind, "id": number, "follow": True})
        once = connections.enter_context(node.connect())
        once.send_control({"type": "Logs", "id": number})
        probe = Probe(node.socket)
        wait_until(lambda: probe.answers > 50, 20, "others are served")
        assert probe.stop() < PATIENCE
        assert node.request({"type": "Kill", "id": number})["type"] == "Killed"
    wait_until(lambda: node.session(number)["attached_count"] == 0, 30, "they are let go")


def test_random_frames(node: Home) -> None:
    """10,000 of them, seeded, over 300 connections; the worker lives and others are served."""
    node.launch("cat")
    worker = node.worker_pid
    probe = Probe(node.socket)
    dice = random.Random(20260401)
    for number in range(300):
        with node.connect(timeout=0.05) as connection:
            try:
                connection.send_raw(b"".join(random_frame(dice) for _ in range(34)))
                if number % 2:
                    connection.read_rest()
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
    assert probe.stop() < PATIENCE
    assert node.worker_pid == worker, "the worker was replaced"
    wait_until(lambda: open_descriptors(worker) < 60, 30, "their descriptors are closed")


REQUEST_TYPES = [
    "ListSessions",
    "Attach",
    "Kill",
    "KillByTags",
    "Resize",
    "Detach",
    "Logs",
    "SendInput",
    "GetStatus",
    "WatchSession",
    "Subscribe",
    "Unsubscribe",
    "Wait",
    "MsgSend",
    "MsgRead",
    "KVSet",
    "KVGet",
    "NodeStatus",
    "Launch",
    "Nope",
]
FIELD_NAMES = [
    "id",
    "tail",
    "history_lines",
    "from_offset",
    "cols",
    "rows",
    "timeout_seconds",
    "follow",
    "strip_ansi",
    "data",
    "tags",
    "command",
    "name",
    "event_types",
    "condition",
    "working_dir",
    "env",
    "include_history",
    "stdin_data",
    "key",
]


def random_frame(dice: random.Random) -> bytes:
    """Return a frame: noise, JSON of any shape, or a request with odd fields."""
    choice = dice.random()
    if choice < 0.15:
        return dice.randbytes(dice.randrange(1, 60))
    if choice < 0.3:
        kind = dice.choice([0, 1, 1, dice.randrange(256)])
        payload = dice.randbytes(dice.choice([0, 1, 20, 3000]))
        return struct.pack(">BI", kind, len(payload)) + payload
    values = [-1, 0, 1, 2, 1e30, None, [], {}, "x", "", True, ["x"], [1], 2**32, "AA==", 0.5]
    fields = {name: dice.choice(values) for name in dice.sample(FIELD_NAMES, dice.randrange(8))}
    # A command that cannot be found: launching is not what is tested here.
    fields.pop("command", None)
    text = json.dumps({"type": dice.choice(REQUEST_TYPES), **fields})
    if choice < 0.4:
        text = text[: dice.randrange(len(text))]
    return control(text)


def test_odd_numbers_in_every_numeric_field(node: Home) -> None:
    number = node.launch("cat")
    worker = node.worker_pid
    probe = Probe(node.socket)
    refused = 0
    for kind, fields in NUMERIC_FIELDS:
        for field, value in itertools.product(fields, ODD_VALUES):
            others = {"type": kind, **OTHER_FIELDS.get(kind, {"id": number})}
            others.pop(field, None)
            text = json.dumps(others)[:-1] + f', "{field}": {value}}}'
            with node.connect() as connection:
                connection.send_raw(control(text))
                if not is_fine(field, value):
                    assert connection.receive_control()["type"] == "Error", text
                    refused += 1
    assert refused > 250
    assert probe.stop() < PATIENCE
    assert node.worker_pid == worker
    assert [session["id"] for session in node.request({"type": "ListSessions"})["sessions"]] == [1]
    assert node.session(number)["status"] == "running"


OTHER_FIELDS: dict[str, dict[str, object]] = {
    "Kill": {},
    "Launch": {"command": ["no-such-program"], "working_dir": "/"},
    "Wait": {"id": 999},
}


def is_fine(field: str, value: str) -> bool:
    """Say whether a value is odd only at first sight: null is absent, three fields are u64."""
    large = field in ("from_offset", "timeout_seconds", "subscription_id")
    return value == "null" or (large and value == "4294967296")


def test_odd_sizes_inside_an_attachment_are_ignored(node: Home) -> None:
    number = node.launch("/bin/sh", "-c", "while read line; do stty size; done")
    with node.connect() as connection:
        assert connection.request({"type": "Attach", "id": number})["type"] == "Attached"
        for value in ODD_VALUES:
            connection.send_raw(control(f'{{"type":"Resize","cols":{value},"rows":{value}}}'))
            connection.send_raw(control(f'{{"type":"Resize","cols":100,"rows":{value}}}'))
        connection.send_raw(control('{"type":"Resize","cols":0,"rows":0}'))
        connection.send_raw(control('{"type":"Resize","cols":100}'))
        connection.send_raw(control("no JSON"))
        connection.send_data(b"\n")
        assert b"24 80\r\n" in connection.read_output_until(b"80\r\n")
        connection.send_control({"type": "Resize", "cols": 101, "rows": 33})
        connection.send_data(b"\n")
        assert b"33 101\r\n" in connection.read_output_until(b"101\r\n")


ROUNDS, ATTACHMENTS = 4, 2500
WARM_UP = 500
# A leak of 200 bytes an attachment.
ROUND_KILOBYTES = 512


@pytest.mark.timeout(400)
@pytest.mark.alone
def test_attaching_and_detaching_for_ever_costs_nothing(node: Home) -> None:
    number = node.launch("/bin/sh", "-c", "echo hello; exec cat")
    wait_until(lambda: node.session(number).get("output_bytes"), 30, "it has printed")
    attach_and_detach(node, number, WARM_UP)
    worker = node.worker_pid
    wait_until(lambda: node.session(number)["attached_count"] == 0, 30, "all are detached")
    descriptors, threads = settled(worker)
    grown = []
    for _ in range(ROUNDS):
        memory = resident_kilobytes(worker)
        attach_and_detach(node, number, ATTACHMENTS)
        wait_until(lambda: node.session(number)["attached_count"] == 0, 30, "all are detached")
        wait_until(lambda: open_descriptors(worker) <= descriptors, 30, "descriptors flat")
        wait_until(lambda: thread_count(worker) <= threads, 30, "threads flat")
        grown.append(resident_kilobytes(worker) - memory)
    # What leaks does so in every round; more clients at a time than ever before come but once.
    assert min(grown) < ROUND_KILOBYTES, grown
    assert open_descriptors(node.keeper_pid) < 40


def settled(pid: int) -> tuple[int, int]:
    """Return (descriptors, threads) once two looks 100 ms apart agree."""
    previous = (-1, -1)

    def is_steady() -> bool:
        nonlocal previous
        time.sleep(0.1)
        now = (open_descriptors(pid), thread_count(pid))
        steady, previous = now == previous, now
        return steady

    wait_until(is_steady, 30, "a steady worker")
    return previous


def attach_and_detach(home: Home, number: int, times: int) -> None:
    """Attach and detach from four threads at once, each round in one write."""
    attach = json.dumps({"type": "Attach", "id": number, "include_history": True})
    both = control(attach) + control('{"type":"Detach"}')
    errors: list[object] = []

    def run() -> None:
        for _ in range(times // 4):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(20)
            sock.connect(home.socket)
            sock.sendall(both)
            received = bytearray()
            while data := sock.recv(4096):
                received += data
            sock.close()
            if b'"Detached"' not in received:
                errors.append(bytes(received))

    runners = [threading.Thread(target=run) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert not errors, (len(errors), errors[:3])


def test_ends_of_files_never_spin(node: Home) -> None:
    """Half-closed clients of every stream, and a terminal that nobody has open any more."""
    number = node.launch("cat")
    deaf = node.launch("/bin/sh", "-c", "exec <&- >&- 2>&-; exec sleep 1000")
    requests = [
        {"type": "Attach", "id": number},
        {"type": "Logs", "id": number, "follow": True},
        {"type": "WatchSession", "id": number},
        {"type": "Subscribe"},
        {"type": "Wait", "id": number},
        {"type": "Wait", "tags": ["none"]},
        {"type": "Attach", "id": deaf},
    ]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(node.connect()) for _ in [*requests, "", ""]]
        for connection, request in zip(connections, requests, strict=False):
            connection.send_control(request)
            if request["type"] not in ("Wait", "WatchSession"):
                connection.receive()
        for connection in connections:
            connection.sock.shutdown(socket.SHUT_WR)
        assert max(cpu_used(node.worker_pid, node.keeper_pid)) < SPINNING
        # Those that outlive a half-close still answer: spec/wire.md 2.
        node.request({"type": "Kill", "id": number})
        assert json.loads(connections[4].read_rest()[-1][1])["type"] == "WaitResult"
        assert json.loads(connections[1].read_rest()[-1][1])["done"] is True
