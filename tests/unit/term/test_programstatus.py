"""OSC 7501 and OSC 26: what counts, what is dropped, who inherits, what goes when."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.term.programstatus import (
    MAX_RECORDS,
    ProgramStatus,
    Refused,
    Report,
    parse_agent,
    parse_report,
)
from codewire.term.signals import Signals


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


GOOD = [
    (b"state=idle", Report("idle")),
    (b"state=blocked:kind=permission:app=codex", Report("blocked", "permission", "codex")),
    (b"state=working:kind=permission", Report("working")),
    (b"state=idle:state=working", Report("working")),
    (b"state=working:progress=40", Report("working", progress=40)),
    (b"state=working:progress=140", Report("working")),
    (b"state=done:progress=40", Report("done")),
    (b"state=working:id=a/b", Report("working", id="a/b")),
    (b"state=working:new=thing:Bad=pair:also bad", Report("working")),
    (b"state=working:msg=" + b64("héllo"), Report("working", message="héllo")),
    (b"state=clear", Report("clear")),
]


@pytest.mark.parametrize(("body", "report"), GOOD)
def test_reports(body: bytes, report: Report) -> None:
    assert parse_report(body) == report


BAD = [
    b"",
    b"?",
    b"kind=permission",
    b"state=sleeping",
    b"state=working:id=a//b",
    b"state=working:id=" + b"a/" * 8 + b"a",
    b"state=working:id=" + b"x" * 33,
    b"state=working:msg=abc",
    b"state=working:msg=" + b64("two\nlines"),
    b"state=working:msg=" + b64("c1 \x9b"),
    b"state=working:msg=" + b64("x" * 2049),
    b"state=working:title=" + b64("x" * 193),
    b"state=working:pad=" + b"x" * 4096,
]


@pytest.mark.parametrize("body", BAD)
def test_reports_that_are_dropped_whole(body: bytes) -> None:
    with pytest.raises(Refused):
        parse_report(body)
    status = ProgramStatus()
    status.apply(b"state=idle")
    assert not status.apply(body)
    assert status.root == Report("idle")


@given(st.binary(max_size=200))
def test_nothing_raises_but_a_refusal(body: bytes) -> None:
    ProgramStatus().apply(body)
    parse_agent(body)


def test_a_report_replaces_its_record_whole() -> None:
    status = ProgramStatus()
    status.apply(b"state=blocked:kind=question:msg=" + b64("which?"))
    status.apply(b"state=working")
    assert status.root == Report("working")


def test_children_do_not_speak_for_the_program_and_inherit_its_name() -> None:
    status = ProgramStatus()
    status.apply(b"state=working:app=codex:id=main")
    status.apply(b"state=blocked:id=main/1")
    assert status.root is None
    assert [(r.id, r.app) for r in status.all()] == [("main", "codex"), ("main/1", "codex")]
    status.apply(b"state=clear:id=main")
    assert status.all() == []


def test_clear_takes_everything_beneath_and_nothing_beside() -> None:
    status = ProgramStatus()
    for name in (b"a", b"a/b", b"ab"):
        status.apply(b"state=working:id=" + name)
    status.apply(b"state=clear:id=a")
    assert [r.id for r in status.all()] == ["ab"]


def test_the_record_updated_longest_ago_goes_first() -> None:
    status = ProgramStatus()
    for number in range(MAX_RECORDS):
        status.apply(b"state=working:id=n%d" % number)
    status.apply(b"state=working:id=n0")
    status.apply(b"state=working:id=new")
    names = [r.id for r in status.all()]
    assert len(names) == MAX_RECORDS and "n1" not in names and {"n0", "new"} <= set(names)


def test_what_it_was_doing_ends_with_the_program_and_results_stay() -> None:
    status = ProgramStatus()
    status.apply(b"state=working")
    status.apply(b"state=done:id=child")
    status.forget_activity()
    assert [r.id for r in status.all()] == ["child"]


AGENT = [
    (b"Status=awaiting-approval;CodeAgent=pi", Report("blocked", "permission", "pi")),
    (b"CodeAgent=pi;Status=running", Report("working", "", "pi")),
    (b"Status=finished;Detail=" + b64("all green"), Report("done", message="all green")),
    (b"Status=error;Detail=plain", Report("error", message="plain")),
    (b"Status=thinking", None),
    (b"Status", None),
]


@pytest.mark.parametrize(("body", "report"), AGENT)
def test_the_terminal_agent_protocol(body: bytes, report: Report | None) -> None:
    assert parse_agent(body) == report


STREAM = (
    b"\x1b]0;one\x07text\x1b]7501;state=working\x1b\\\x1b]9;4;3\x07"
    b"\x1b]7501;?\x1b\\\x1b]2;two\x1b\\\x1b]777;notify;a;b\x07"
)


def test_signals_however_the_output_is_cut() -> None:
    for size in (1, 2, 7, len(STREAM)):
        signals = Signals()
        for at in range(0, len(STREAM), size):
            signals.feed(STREAM[at : at + size], 5.0)
        assert (signals.title, signals.progress, signals.status.root) == (
            "two",
            3,
            Report("working"),
        )
        assert signals.notification == "notify;a;b" and signals.status_at == 5.0


def test_a_reset_forgets_reports_and_a_prompt_what_was_going_on() -> None:
    signals = Signals()
    signals.feed(b"\x1b]7501;state=blocked\x07\x1b]133;A\x07", 1.0)
    assert signals.status.root is None
    signals.feed(b"\x1b]7501;state=error\x07\x1b]133;A\x07", 1.0)
    assert signals.status.root == Report("error")
    signals.feed(b"\x1bc", 2.0)
    assert signals.status.root is None


def test_titles_are_cleaned_and_short() -> None:
    signals = Signals()
    signals.feed(b"\x1b]0;" + "a\u202eb\u2066".encode() + b"x" * 500 + b"\x07", 1.0)
    assert signals.title.startswith("abx") and len(signals.title) <= 256


def test_what_is_written_reads_back() -> None:
    from codewire.term.programstatus import Report, parse_report, write_report

    report = Report("blocked", "question", "cw", "a/b", "which – branch?", "title", 40)
    written = write_report(report)
    assert (
        written.startswith(b"\x1b]7501;state=blocked:kind=question:") and written[-2:] == b"\x1b\\"
    )
    assert parse_report(written[7:-2]) == report
    long = write_report(Report("done", message="é" * 5000 + "\x1b[2J"))
    assert len(parse_report(long[7:-2]).message.encode()) <= 2048
    assert parse_report(write_report(Report("done", app="a b"))[7:-2]).app == ""
