"""What people are told of, in which words, how often; and what is remembered of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.client.attaching.link import Notice
from codewire.client.attaching.notification import notification
from codewire.errors import ConfigError
from codewire.notify.letters import clean, event_id, letter, moment_ns
from codewire.notify.limit import Limit
from codewire.notify.memory import OLD_NS, Memory
from codewire.notify.settings import Notify, load_notify
from codewire.paths import DataDir
from codewire.wire.timestamps import format_nanos

START_NS = 1_800_000_000_000_000_000


def event(type_: str = "session.state", /, at_ns: int = START_NS, **data: Any) -> dict[str, Any]:
    return {"timestamp": format_nanos(at_ns), "type": type_, "data": data}


def told(value: dict[str, Any], **info: Any) -> dict[str, Any] | None:
    return letter("box", "node", 7, value, info)


@pytest.mark.parametrize(
    ("value", "info", "wanted"),
    [
        (event(to="blocked", kind="permission", reason="rm?"), {}, "blocked"),
        (event(to="done"), {}, "done"),
        (event(to="error", reason="401"), {}, "failed"),
        (event(to="working"), {}, None),
        (event(to="idle"), {}, None),
        (event(to="exited"), {}, None),
        (event("session.status", to="completed", exit_code=0), {}, "done"),
        (event("session.status", to="completed", exit_code=3), {}, "failed"),
        (event("session.status", to="completed"), {}, "failed"),
        (event("session.status", to="completed", exit_code=-1), {"end_reason": "killed"}, None),
        (event("session.status", to="completed"), {"end_reason": "lost"}, None),
        (event("session.status", to="completed", exit_code=-1), {"end_reason": "signal"}, "failed"),
        ({"type": "session.state", "data": []}, {}, None),
        ({"type": "session.state", "data": {"to": ["blocked"]}}, {}, None),
        (event("direct.message", to="blocked"), {}, None),
    ],
)
def test_what_is_told(value: dict[str, Any], info: dict[str, Any], wanted: str | None) -> None:
    found = told(value, **info)
    assert (found and found["event"]) == wanted


def test_a_letter_names_the_session_and_why() -> None:
    found = told(event(to="blocked", kind="question", reason="Which?"), name="plan", tags=["a"])
    assert found is not None
    assert (found["title"], found["message"]) == ("plan needs you", "Which?")
    assert (found["session_id"], found["kind"], found["tags"]) == (7, "question", ["a"])


def test_an_id_is_the_same_for_the_same_event_only() -> None:
    one = event_id("node", 7, event(to="done"))
    assert one == event_id("node", 7, event(to="done"))
    others = {
        event_id("other", 7, event(to="done")),
        event_id("node", 8, event(to="done")),
        event_id("node", 7, event(to="done", at_ns=START_NS + 1)),
        event_id("node", 7, event("session.status", to="done")),
    }
    assert len(others) == 4 and one not in others


@given(st.text())
def test_no_text_of_a_session_controls_anything(text: str) -> None:
    shown = clean(text)
    assert shown.isprintable() and len(shown) <= 300
    found = notification(Notice(text, text, "osc777"))
    assert found.count(b"\x1b") == 1 and found.count(b"\x07") == 1 and found.count(b";") <= 3


def test_terminals_are_told_by_osc_9_and_777() -> None:
    assert notification(Notice("a", "b", "osc9")) == b"\x1b]9;cw: a: b\x07"
    assert notification(Notice("a;1", "b", "osc777")) == b"\x1b]777;notify;a,1;b\x07"


def letters(count: int) -> list[dict[str, Any]]:
    found = [told(event(to="done", at_ns=START_NS + n), name=f"s{n}") for n in range(count)]
    return [one for one in found if one is not None]


def test_what_is_too_much_becomes_one_summary() -> None:
    limit = Limit(3)
    given_, now = letters(8), 1000.0
    sent = [one for one in given_ if limit.take(one, now) is not None]
    assert sent == given_[:3]
    assert limit.summary(now + 59) is None and limit.due() == now + 60
    found = limit.summary(now + 60)
    assert found is not None
    assert found[1] == given_[3:]
    assert found[0]["count"] == 5 and found[0]["counts"]["done"] == 5
    assert found[0]["event_ids"] == [one["event_id"] for one in given_[3:]]
    assert limit.due() is None and limit.summary(now + 61) is None


def test_the_summary_goes_before_what_comes_later() -> None:
    limit = Limit(1)
    one, two, three = letters(3)
    assert limit.take(one, 0.0) == one
    assert limit.take(two, 1.0) is None
    assert limit.take(three, 70.0) is None
    found = limit.summary(70.0)
    assert found is not None and found[1] == [two, three]


def test_one_that_waited_alone_is_itself() -> None:
    limit = Limit(1)
    one, two = letters(2)
    limit.take(one, 0.0)
    limit.take(two, 1.0)
    assert limit.summary(61.0) == (two, [two])


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    limit = Limit(1)
    one, two = letters(2)
    assert limit.take(one, 1e6) == one
    assert limit.take(two, 10.0) == two


def test_a_clock_that_is_set_back_keeps_no_summary_waiting() -> None:
    limit = Limit(1)
    one, two = letters(2)
    limit.take(one, 1e6)
    assert limit.take(two, 1e6) is None
    assert limit.summary(10.0) == (two, [two])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notify = 5", "must be a table"),
        ("[notify]\ncommand = 'notify-send x'", "no shell is used"),
        ("[notify]\ncommand = [1]", "list of strings"),
        ("[notify]\nwebhook = 'ftp://x'", "http or https"),
        ("[notify]\nwebhook = 'http://'", "http or https"),
        ("[notify]\non = ['idle']", "on must be a list"),
        ("[notify]\nterminals = 'bell'", "terminals must be"),
        ("[notify]\nper_minute = 0", "per_minute"),
        ("[notify]\nper_minute = true", "per_minute"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_notify(str(path))


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert load_notify(str(path)) == Notify() and not Notify().tells_anybody()
    path.write_text(
        "[notify]\nterminals = true\nwebhook = 'https://u:p@h/secret'\non = ['blocked']"
    )
    found = load_notify(str(path))
    assert (found.terminals, found.on, found.host()) == ("osc9", {"blocked"}, "h")


def remembered(paths: DataDir, since_ns: int = START_NS) -> tuple[Memory, list[str]]:
    memory = Memory(paths, since_ns)
    return memory, [event_id("n", number, found) for number, found in memory.missed()]


def test_what_was_told_is_not_told_again_and_nothing_is_missed(tmp_path: Path) -> None:
    paths = DataDir(str(tmp_path))
    directory = tmp_path / "sessions" / "3"
    directory.mkdir(parents=True)
    found = [event(to="done", at_ns=START_NS + n) for n in range(-1, 3)]
    lines = [json.dumps(one) for one in found]
    (directory / "events.jsonl").write_text("\n".join([*lines, "{damage session.state"]))
    os.utime(directory / "events.jsonl", ns=(START_NS, START_NS + 3))
    ids = [event_id("n", 3, one) for one in found]
    memory, missed = remembered(paths)
    # Before it began to look, nothing counts.
    assert missed == ids[2:] and memory.is_new
    assert memory.begin(ids[2], moment_ns(found[2])) and memory.begin(ids[3], moment_ns(found[3]))
    assert not memory.begin(ids[2], moment_ns(found[2]))
    memory.finish(ids[3])
    memory.save([5.0])
    again, missed = remembered(paths)
    assert not again.is_new and again.sent == [5.0]
    assert [name for name in missed if again.begin(name, START_NS)] == [ids[2]]


def test_what_is_long_past_is_nobodys_news(tmp_path: Path) -> None:
    paths = DataDir(str(tmp_path))
    Memory(paths, START_NS).save([])
    later = Memory(paths, START_NS + 10 * OLD_NS)
    assert later._since == START_NS + 9 * OLD_NS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"since": "x", "done": {}, "sent": []}'])
def test_a_damaged_memory_is_a_new_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "notify.json").write_text(text)
    assert Memory(DataDir(str(tmp_path)), START_NS).is_new
