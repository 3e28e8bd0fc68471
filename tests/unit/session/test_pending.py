"""Requests that wait: what a journal brings back, what is bounded, which clock counts."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import RequestError
from codewire.mail import pending as module
from codewire.mail.pending import Answer, Pending, Request
from tests.unit.session.records import DAY, SetClock


def opened(path: Path, clock: SetClock) -> Pending:
    pending = Pending(str(path / "requests.jsonl"), clock)
    pending.load()
    return pending


def put(pending: Pending, each: Request) -> bool:
    return pending.commit(pending.open(each))


def settle(pending: Pending, each: Request, how: Answer) -> bool:
    return pending.commit(pending.answer(each, how))


def request(number: int, clock: SetClock, *, seconds: int = 60, body: str = "?") -> Request:
    now = clock.now()
    return Request(
        f"req_{number}",
        f"rpl_{number}",
        1,
        "one",
        2,
        "two",
        body,
        now.wall_ns,
        seconds,
        now.steady_ns,
        now.boot,
    )


def answer(body: str = "!") -> Answer:
    return Answer(2, "two", body, "key", 5)


def test_open_and_answered_come_back_and_closed_does_not(tmp_path: Path) -> None:
    clock = SetClock()
    pending = opened(tmp_path, clock)
    requests = [request(n, clock) for n in range(3)]
    for each in requests:
        put(pending, each)
    settle(pending, requests[0], answer("yes"))
    pending.close(requests[1])
    pending._scribe.write()
    again = opened(tmp_path, clock)
    assert [r.id for r in again.all()] == ["req_2"]
    found = again.recent("req_0")
    assert found is not None and found.answer == answer("yes")
    assert again.recent("req_1") is None
    assert again.all()[0].data() == requests[2].data()


def test_waiting_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 5)
    monkeypatch.setattr(module, "MAX_OPEN_BYTES", 100)
    clock = SetClock()
    pending = opened(tmp_path, clock)
    for number in range(9):
        put(pending, request(number, clock))
    assert [r.id for r in pending.all()] == [f"req_{n}" for n in range(4, 9)], "the oldest went"
    put(pending, request(9, clock, body="x" * 99))
    assert [r.id for r in pending.all()] == ["req_8", "req_9"]
    assert [r.id for r in opened(tmp_path, clock).all()] == ["req_8", "req_9"]
    for each in pending.all():
        each.wakers.append(threading.Event())
    with pytest.raises(RequestError, match="too many requests"):
        put(pending, request(10, clock, body="x" * 99))
    assert [r.id for r in pending.all()] == ["req_8", "req_9"], "those that are waited for stay"


def test_what_is_read_at_the_start_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    pending = opened(tmp_path, clock)
    for number in range(9):
        put(pending, request(number, clock))
    monkeypatch.setattr(module, "MAX_OPEN", 3)
    assert [r.id for r in opened(tmp_path, clock).all()] == ["req_6", "req_7", "req_8"]


@pytest.mark.parametrize(("count", "size", "kept"), [(4, 10**9, 4), (1000, 25, 5)])
def test_answers_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, size: int, kept: int
) -> None:
    monkeypatch.setattr(module, "KEPT_ANSWERS", count)
    monkeypatch.setattr(module, "KEPT_ANSWER_BYTES", size)
    clock = SetClock()
    pending = opened(tmp_path, clock)
    for number in range(20):
        each = request(number, clock)
        put(pending, each)
        settle(pending, each, answer("x" * 5))
    for state in (pending, opened(tmp_path, clock)):
        found = [n for n in range(20) if state.recent(f"req_{n}") is not None]
        assert found == list(range(20 - kept, 20)), "the newest are kept"


def test_a_deadline_does_not_follow_the_time_of_day(tmp_path: Path) -> None:
    clock = SetClock()
    pending = opened(tmp_path, clock)
    each = request(1, clock, seconds=5)
    put(pending, each)
    clock.pass_seconds(2)
    for jump in (DAY, -2 * DAY):
        clock.wall += jump
        assert pending.seconds_left(each) == 3
        # And for the next worker.
        assert opened(tmp_path, clock).seconds_left(opened(tmp_path, clock).all()[0]) == 3


def test_a_clock_set_back_over_a_boot_keeps_no_request_for_a_day(tmp_path: Path) -> None:
    clock = SetClock()
    pending = opened(tmp_path, clock)
    put(pending, request(1, clock, seconds=5))
    clock.reboot()
    clock.wall -= DAY
    again = opened(tmp_path, clock)
    assert again.seconds_left(again.all()[0]) == 5
    clock.pass_seconds(4)
    assert again.seconds_left(again.all()[0]) == 1, "not for as long as the clock lags"
    clock.pass_seconds(9 * 24 * 3600)
    assert opened(tmp_path, clock).all() == [], "forgotten after a week"


def test_lines_of_an_older_release(tmp_path: Path) -> None:
    clock = SetClock()
    put(opened(tmp_path, clock), request(1, clock, seconds=5))
    path = tmp_path / "requests.jsonl"
    line = json.loads(path.read_text())
    assert set(line["open"]) == {
        *("id", "token", "from_id", "from_name", "to_id", "to_name"),
        *("body", "sent_ns", "timeout_seconds"),
    }, "an older release takes no other keys"
    path.write_text(json.dumps({"open": line["open"]}) + "\n")
    clock.pass_seconds(2)
    again = opened(tmp_path, clock)
    assert again.seconds_left(again.all()[0]) == 3


BAD: list[Any] = [None, True, -1, 1.5, "x", [], {}, 10**30, [[]], {"x": 1}]


@pytest.mark.parametrize("key", ["id", "token", "from_id", "body", "sent_ns", "timeout_seconds"])
def test_lines_with_wrong_values(tmp_path: Path, key: str) -> None:
    """Each is left out, and the file mended; the good ones before and after it count."""
    clock = SetClock()
    path = tmp_path / "requests.jsonl"
    pending = opened(tmp_path, clock)
    put(pending, request(1, clock))
    good = path.read_text()
    bad = json.loads(good)
    bad["open"]["id"] = "req_bad"
    lines = [{**bad, "open": {**bad["open"], key: value}} for value in BAD]
    lines += [{**bad, "steady_ns": value} for value in BAD if value != 0]
    lines += [{"open": value} for value in BAD]
    lines += [{"answered": "req_1", "answer": value} for value in BAD]
    lines += [{"answered": value, "answer": None} for value in BAD] + [{"what": 1}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(good + text + '{"open":{"sent_ns":1e999}}\n' + good.replace("req_1", "req_2"))
    for _ in range(2):
        ids = {r.id for r in opened(tmp_path, clock).all()}
        assert {"req_1", "req_2"} <= ids
    assert len(list(tmp_path.glob("*.corrupt.*"))) == 1


def test_a_full_disk_answers_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    pending = Pending(str(tmp_path / "later" / "requests.jsonl"), clock)
    each = request(1, clock)
    assert not put(pending, each)
    assert not settle(pending, each, answer())
    assert each.answer is None and pending.all() == [each], "it may be answered yet"
    (tmp_path / "later").mkdir()
    assert settle(pending, each, answer()) and pending.all() == []


def test_a_request_is_not_closed_while_its_answer_is_being_written(tmp_path: Path) -> None:
    clock = SetClock()
    pending = opened(tmp_path, clock)
    each = request(1, clock)
    put(pending, each)
    line = pending.answer(each, answer("yes"))
    pending.close(each)
    assert each.answer is None and pending.all() == [each]
    assert pending.commit(line) and each.answer == answer("yes")
    assert opened(tmp_path, clock).recent("req_1") is not None


def test_what_was_journalled_last_is_known(tmp_path: Path) -> None:
    """Those who wrote it may all have been killed before they wrote to the inboxes."""
    clock = SetClock()
    pending = opened(tmp_path, clock)
    requests = [request(n, clock) for n in range(4)]
    for each in requests:
        put(pending, each)
    settle(pending, requests[1], answer())
    pending.close(requests[2])
    pending._scribe.write()
    last = Pending(str(tmp_path / "requests.jsonl"), clock).load()
    assert [(r.id, r.answer is not None) for r in last] == [
        ("req_0", False),
        ("req_1", True),
        ("req_3", False),
    ]
