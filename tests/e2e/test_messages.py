"""Messages, requests and replies between sessions: nothing lost, nothing twice."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from codewire.client import Client
from codewire.errors import RequestError
from codewire.wire.answers.events import Event
from codewire.wire.answers.messages import Message, Reply
from tests.support import Home, wait_until


def mail_file(home: Home, session_id: int) -> Path:
    return Path(home.data_dir, "sessions", str(session_id), "messages.jsonl")


def lines(home: Home, session_id: int, kind: str = "") -> list[dict[str, Any]]:
    """Return the events in a session's messages.jsonl."""
    events = [json.loads(line) for line in mail_file(home, session_id).read_text().splitlines()]
    return [event for event in events if kind in ("", event["type"])]


def sleeper(home: Home, name: str, **fields: Any) -> int:
    return home.launch("sleep", "600", name=name, **fields)


def open_requests(client: Client, session: int) -> tuple[Message, ...]:
    return client.read_messages(session).open_requests


def wait_for_request(client: Client, session: int) -> Message:
    """Return the first request that is open in an inbox, once there is one."""
    return wait_until(lambda: open_requests(client, session), 30, "a request is there")[0]


class Asking(threading.Thread):
    """A request in a thread of its own: `answer` or `error` once it has ended."""

    def __init__(self, client: Client, *args: Any, **options: Any) -> None:
        super().__init__(daemon=True)
        self.answer: Reply | None = None
        self.error: Exception | None = None
        self._call = lambda: client.request(*args, **options)
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._call()
        except RequestError as error:
            self.error = error

    def result(self) -> Reply:
        self.join(30)
        assert not self.is_alive() and self.error is None, self.error
        assert self.answer is not None
        return self.answer

    def failure(self) -> str:
        self.join(30)
        assert not self.is_alive() and self.error is not None, self.answer
        return str(self.error)


# Messages


def test_a_message_is_in_both_inboxes_and_told_once(node: Home) -> None:
    a, b = sleeper(node, "planner"), sleeper(node, "coder")
    with node.connect() as everyone, node.connect() as one, node.connect() as subscriber:
        assert everyone.request({"type": "MsgListen"}) == {"type": "MsgListenAck"}
        assert one.request({"type": "MsgListen", "id": a}) == {"type": "MsgListenAck"}
        subscriber.request({"type": "Subscribe", "event_types": ["direct.message"]})
        sent = node.request({"type": "MsgSend", "id": a, "to_name": "@coder", "body": "hé <&>"})
        assert sent["type"] == "MsgSent" and sent["message_id"].startswith("msg_")
        last = node.request({"type": "MsgSend", "id": b, "to_id": a, "body": "last"})
        for connection in (everyone, one, subscriber):
            frames = [connection.receive_control(), connection.receive_control()]
            ids = [frame["event"]["data"]["message_id"] for frame in frames]
            assert ids == [sent["message_id"], last["message_id"]]
            assert ("subscription_id" in frames[0]) == (connection is subscriber)
    expected = {
        "message_id": sent["message_id"],
        "timestamp": sent["status"],
        "from": a,
        "from_name": "planner",
        "to": b,
        "to_name": "coder",
        "body": "hé <&>",
        "type": "direct.message",
    }
    for request in ({"id": a}, {"id": b}, {"to_name": "coder"}):
        answer = node.request({"type": "MsgRead", **request})
        assert answer["messages"][0] == expected
    assert lines(node, a) == lines(node, b)


def test_a_message_to_oneself_is_kept_once(node: Home) -> None:
    a = sleeper(node, "a")
    node.request({"type": "MsgSend", "id": a, "to_id": a, "body": "note"})
    assert len(lines(node, a)) == 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "either to_id or to_name required"),
        ({"to_name": "@"}, "either to_id or to_name required"),
        ({"to_id": 77}, "recipient session 77 not found"),
        ({"to_name": "ghost"}, 'no session named "ghost"'),
        ({"to_id": 1, "id": 99}, "sender session 99 not found"),
        ({"to_id": 1, "delivery": "auto"}, 'unknown delivery mode "auto": use inbox, pty or both'),
        ({"to_id": 1, "body": "x" * 65537}, "message body too large: 65537 bytes (at most 65536)"),
        ({"to_id": 1, "body": "é" * 32769}, "message body too large: 65538 bytes (at most 65536)"),
        ({"to_id": 2}, "session 2 is not running"),
        ({"to_id": 2, "delivery": "pty"}, "session 2 is not running"),
        ({"to_id": 3}, "group policy forbids {} delivery to this session"),
        ({"to_id": 3, "id": 1}, "group policy forbids {} delivery to this session"),
    ],
)
@pytest.mark.parametrize("kind", ["MsgSend", "MsgRequest"])
def test_refused_at_once(crowd: Home, kind: str, fields: dict[str, Any], text: str) -> None:
    answer = crowd.request({"type": kind, "body": "x", **fields})
    expected = text.format("msg" if kind == "MsgSend" else "request")
    assert answer["type"] == "Error" and answer["message"].startswith(expected), answer
    assert not lines(crowd, 1)


@pytest.fixture(scope="module")
def crowd() -> Any:
    """A node with session 1 running, 2 finished, 3 and 4 in a group, and 5 in it without a name."""
    home = Home()
    try:
        home.start_node()
        sleeper(home, "one")
        home.wait_finished(home.launch("true"))
        sleeper(home, "three", tags=["x", " group: mesh "])
        sleeper(home, "four", tags=["group:other", "group:mesh"])
        home.launch("sleep", "600", tags=["group:mesh"])
        yield home
    finally:
        home.close()


@pytest.mark.parametrize(("sender", "recipient"), [(4, 3), (5, 3), (0, 5), (3, 1)])
def test_groups_let_members_talk(crowd: Home, sender: int, recipient: int) -> None:
    answer = crowd.request(
        {"type": "MsgSend", "id": sender, "to_id": recipient, "body": "x", "delivery": "inbox"}
    )
    assert answer["type"] == "MsgSent", answer
    mail_file(crowd, 1).write_text("")


def test_a_body_of_64_kib_and_foreign_lines_of_any_length(node: Home) -> None:
    a = sleeper(node, "a")
    body = "\x01" * 65536
    node.request({"type": "MsgSend", "to_id": a, "body": body})
    with mail_file(node, a).open("a") as file:
        huge = {"message_id": "m", "from": 0, "to": a, "body": "y" * (6 << 20)}
        file.write(json.dumps({"timestamp": "t", "type": "direct.message", "data": huge}) + "\n")
        file.write('{"type":"direct.message","data":7}\nnot json\n\n{"timestamp":"torn')
    node.request({"type": "MsgSend", "to_id": a, "body": "after"})
    messages = node.request({"type": "MsgRead", "id": a, "tail": 0})["messages"]
    assert [message["body"] for message in messages] == [body, "after"]


def test_tail_and_what_is_too_much_for_one_answer(node: Home) -> None:
    a = sleeper(node, "a")
    for number in range(60):
        node.request({"type": "MsgSend", "to_id": a, "body": f"{number:02} " + "z" * 50})
    bodies = [m["body"][:2] for m in node.request({"type": "MsgRead", "id": a})["messages"]]
    assert bodies == [f"{number:02}" for number in range(10, 60)]
    answer = node.request({"type": "MsgRead", "id": a, "tail": 3})
    assert [m["body"][:2] for m in answer["messages"]] == ["57", "58", "59"]
    assert len(node.request({"type": "MsgRead", "id": a, "tail": 0})["messages"]) == 60
    for number in range(80):
        node.request({"type": "MsgSend", "to_id": a, "body": f"{number:02}" + "w" * 65000})
    answer = node.request({"type": "MsgRead", "id": a, "tail": 0})
    assert answer["cut"] is True and answer["messages"][-1]["body"].startswith("79")


def test_a_finished_session_can_still_be_read(node: Home) -> None:
    a = sleeper(node, "a")
    node.request({"type": "MsgSend", "to_id": a, "body": "kept"})
    node.request({"type": "Kill", "id": a})
    assert node.stop_node() == 0
    node.start_node()
    answer = node.request({"type": "MsgRead", "to_name": "a"})
    assert [message["body"] for message in answer["messages"]] == ["kept"]
    assert node.request({"type": "MsgRead"})["message"] == "session id or name required"
    assert node.request({"type": "MsgRead", "id": 9})["message"] == "session 9 not found"


def test_the_same_message_sent_twice_arrives_once(node: Home) -> None:
    a = sleeper(node, "a")
    request = {"type": "MsgSend", "to_id": a, "body": "x", "request_key": "k1"}
    first = node.request(request)["message_id"]
    assert node.request(request)["message_id"] == first
    node.kill_worker()
    assert node.request(request)["message_id"] == first
    assert node.request({**request, "request_key": "k2"})["message_id"] != first
    assert len(lines(node, a)) == 2


def test_a_full_disk_is_an_error_not_a_loss(node: Home) -> None:
    a = sleeper(node, "a")
    directory = mail_file(node, a).parent
    directory.rename(f"{directory}.away")
    for kind in ("MsgSend", "MsgRequest"):
        answer = node.request({"type": kind, "to_id": a, "body": "x"})
        assert "could not be stored" in answer["message"], answer
    Path(f"{directory}.away").rename(directory)
    # What is no file is moved out of the way, once.
    mail_file(node, a).unlink()
    mail_file(node, a).mkdir()
    for _ in range(2):
        assert node.request({"type": "MsgSend", "to_id": a, "body": "x"})["type"] == "MsgSent"
    assert len(lines(node, a)) == 2
    assert len(list(directory.glob("messages.jsonl.corrupt.*"))) == 1


def test_listener_inbox_and_file_agree_on_1000_messages(node: Home) -> None:
    sessions = [sleeper(node, f"s{number}") for number in range(4)]
    client = node.client()
    heard: list[dict[str, Any]] = []
    is_listening = threading.Event()

    def listen() -> None:
        for frame in client.listen():
            if isinstance(frame, Event):
                heard.append(dict(frame.data))
            is_listening.set()
            if len(heard) == 1000:
                return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    assert is_listening.wait(10)

    def send(number: int) -> None:
        sender, recipient = sessions[number % 4], sessions[(number // 4) % 4]
        client.msg(recipient, f"message {number}", sender=sender, delivery="inbox")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(1000)))
    listening.join(20)
    assert sorted(int(data["body"].split()[1]) for data in heard) == list(range(1000))
    for session in sessions:
        involved = [data["message_id"] for data in heard if session in (data["from"], data["to"])]
        messages = client.read_messages(session, tail=0).messages
        assert [message.message_id for message in messages] == involved
        assert [event["data"]["message_id"] for event in lines(node, session)] == involved


@pytest.mark.alone
@pytest.mark.slow
def test_a_flood_of_mail_does_not_block_the_node(node: Home) -> None:
    """While inboxes of 4 MiB are read over and over, small requests are answered soon."""
    a = sleeper(node, "a")
    client = node.client()
    for _ in range(70):
        client.msg(a, "x" * 60000)
    is_over = threading.Event()
    reads = 0

    def read_on() -> None:
        nonlocal reads
        while not is_over.is_set():
            client.read_messages(a, tail=0)
            reads += 1

    reading = threading.Thread(target=read_on, daemon=True)
    reading.start()
    slowest = 0.0
    answers = 0
    while answers < 50 or reads < 5:
        started = time.monotonic()
        node.request({"type": "ListSessions"})
        slowest = max(slowest, time.monotonic() - started)
        answers += 1
    is_over.set()
    reading.join(20)
    assert slowest < 1.0


# The command line


def test_the_commands(home: Home) -> None:
    for name in ("planner", "coder"):
        home.cw("launch", name, "--", "sleep", "600")
    done = home.cw("inbox", "coder")
    assert (done.returncode, done.stdout) == (0, "No messages\n")
    done = home.cw("msg", "coder", "hello\x1b[2Jthere")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.startswith("Message sent: msg_")
    done = home.cw("msg", "-f", "planner", "--delivery=inbox", "@coder", "")
    assert done.returncode == 0
    asking = home.popen("request", "-f", "1", "coder", "ready?", "--delivery", "inbox")
    client = home.client()
    request_id = wait_for_request(client, 2).request_id
    text = home.cw("inbox", "coder").stdout.splitlines()
    assert text[0].endswith(f"] OPEN REQUEST planner → coder (req={request_id}): ready?")
    assert text[1].endswith("] 0 → coder: hello^[[2Jthere")
    assert text[2].endswith("] planner → coder: ") and len(text) == 3
    done = home.cw("reply", request_id, "yes, it is", env=home.inside(2))
    assert (done.returncode, done.stderr) == (0, f"Reply sent for request {request_id}\n")
    out, err = asking.communicate(timeout=20)
    assert (asking.returncode, out) == (0, b"[reply from coder] yes, it is\n"), err
    for name in ("planner", "coder"):
        text = home.cw("inbox", name, "-t", "2").stdout.splitlines()
        assert text[0].endswith(f"] REQUEST planner → coder (req={request_id}): ready?")
        assert text[1].endswith(f"] REPLY coder (req={request_id}): yes, it is")
    assert "rpl_" not in home.cw("inbox", "coder").stdout
    shown = home.cw("inbox", "coder", "--json").stdout
    assert "rpl_" in shown, "what --reply-token takes"
    assert [letter.get("state") for letter in json.loads(shown)] == [None, None, "answered", None]


def test_request_timeout_says_how_to_go_on(home: Home) -> None:
    home.cw("launch", "coder", "--", "sleep", "600")
    done = home.cw("request", "coder", "?", "--timeout", "4", "--raw")
    assert (done.returncode, done.stdout) == (124, "")
    first, _, hint = done.stderr.splitlines()
    assert first.startswith("Error: request req_") and first.endswith(" timed out after 4s")
    assert hint == "Use 'cw inbox coder' to see the reply if it comes later"


def test_listen_prints_every_kind(home: Home) -> None:
    for name in ("planner", "coder"):
        home.cw("launch", name, "--", "sleep", "600")
    text = home.popen("listen")
    lines_of_json = home.popen("listen", "--session", "planner", "--json")
    for process in (text, lines_of_json):
        assert process.stderr is not None
        assert process.stderr.readline() == b"[cw] listening for messages...\n"
    client = home.client()
    client.msg("coder", "nobody\nhere")
    asking = Asking(client, "coder", "ready?", sender=1, delivery="inbox")
    request_id = wait_for_request(client, 2).request_id
    client.reply(request_id, "yes", sender=2)
    asking.result()
    assert text.stdout is not None and lines_of_json.stdout is not None
    expected = (
        "[0 → coder] nobody\nhere\n"
        f"[planner → coder] REQUEST ({request_id}): ready?\n"
        f"[coder] REPLY ({request_id}): yes\n"
    )
    assert [text.stdout.readline().decode() for _ in range(4)] == expected.splitlines(True)
    events = [json.loads(lines_of_json.stdout.readline()) for _ in range(2)]
    assert [event["type"] for event in events] == ["message.request", "message.reply"]
    assert events[0]["data"]["reply_token"].startswith("rpl_")


def test_commands_that_cannot_work(home: Home) -> None:
    home.cw("launch", "coder", "--", "sleep", "600")
    for argv, text in (
        (("msg", "ghost", "x"), 'no session named "ghost"'),
        (("msg", "coder", "x", "-f", "ghost"), 'no session named "ghost"'),
        (("msg", "coder"), "accepts 2 arg(s), received 1"),
        (("msg", "coder", "x" * 65537), "message body too large: 65537 bytes (at most 65536)"),
        (("msg", "coder", "x", "--delivery", "fax"), 'invalid argument "fax" for "--delivery"'),
        (("reply", "req_x", "y"), "missing sender identity or reply_token"),
        (("request", "7", "x"), "recipient session 7 not found"),
        (("inbox", "coder", "-t", "many"), 'invalid argument "many" for "-t, --tail" flag'),
        (("inbox", "coder", "--grant", "g"), "--grant is only valid with a remote session"),
        (("inbox", "n:s"), 'unknown node "n"'),
    ):
        done = home.cw(*argv)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr.startswith(f"Error: {text}"), done.stderr
