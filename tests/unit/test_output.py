"""Tables, ages and text as commands print them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codewire.commands import output
from codewire.commands.jsonlines import JsonLines
from codewire.commands.sessions import sessions
from codewire.errors import UsageError
from codewire.wire.answers.reading import read
from codewire.wire.answers.sessions import SessionInfo

SECOND = 1_000_000_000
NOON = "2026-04-03T12:00:00Z"
NOON_NS = 1775217600 * SECOND


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s ago"),
        (59.9, "59s ago"),
        (60, "1m ago"),
        (3599, "59m ago"),
        (3600, "1h ago"),
        (86399, "23h ago"),
        (86400, "1d ago"),
        (864000, "10d ago"),
        (-5, "0s ago"),  # the clock was set back
    ],
)
def test_relative_age(seconds: float, text: str) -> None:
    assert output.age(NOON, NOON_NS + int(seconds * SECOND)) == text


def test_age_of_nonsense() -> None:
    assert output.age("yesterday", NOON_NS) == "-"


def test_columns_are_as_wide_as_they_look(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output.table([("ID", "NAME", "X"), ("1", "日本", "y"), ("12345", "a\nb", "z")], (4, 5, 3))
    assert capsysbinary.readouterr().out.decode().splitlines() == [
        "ID   NAME  X",
        "1    日本  y",
        "12345 a b   z",
    ]


def session(**fields: Any) -> SessionInfo:
    sent = {"id": 1, "prompt": "x", "status": "running", "created_at": NOON, **fields}
    return read(SessionInfo, sent)


def test_the_list_is_the_documented_table(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    sessions.show_table(
        [
            session(name="planner", prompt="sleep 600"),
            session(id=3, prompt="bash -c echo building; sleep 1; exit 2", status="completed (2)"),
            session(id=4, name="a-very-long-name-indeed", prompt="printf a\nb\tc\x1b[31m"),
            session(id=5, name="日本語の名前です長い", prompt="あ" * 40, status="completed (-1)"),
        ],
        NOON_NS + 45 * SECOND,
    )
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines[:3] == [
        "ID   NAME           COMMAND                          STATUS         AGE",
        "1    planner        sleep 600                        running        45s ago",
        "3    -              bash -c echo building; sleep ... completed (2)  45s ago",
    ]
    assert lines[3].startswith("4    a-very-long... printf a b c")
    assert "\x1b" not in lines[3]
    assert len(lines) == 5
    assert lines[4].endswith(" completed (-1) 45s ago")


def test_status_shows_what_there_is(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    info = session(
        name="build",
        tags=["a", "b"],
        prompt="make\nall",
        working_dir="/w",
        status="completed (2)",
        exit_code=2,
        completed_at=NOON,
        attached=False,
        pid=77,
        output_size_bytes=10,
        last_output_snippet="\x1b[1mbuilding\x1b[0m\r\ndone\r\n",
    )
    sessions.show_status(info, 12)
    assert capsysbinary.readouterr().out.decode().splitlines() == [
        "Session 1",
        "  Name:        build",
        "  Command:     make all",
        "  Working Dir: /w",
        "  Tags:        a, b",
        "  Status:      completed (2)",
        "  Exit Code:   2",
        "  Created:     2026-04-03T12:00:00Z",
        "  Completed:   2026-04-03T12:00:00Z",
        "  Attached:    false",
        "  PID:         77",
        "  Output Size: 10 bytes",
        "  Log Size:    12 bytes",
        "  Last Output:",
        "building",
        "done",
    ]


def test_status_of_a_session_that_printed_nothing(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    sessions.show_status(session(end_reason="signal", signal=9), 0)
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert lines == [
        "Session 1",
        "  Command:     x",
        "  Status:      running",
        "  Ended By:    signal 9 (SIGKILL)",
        "  Created:     2026-04-03T12:00:00Z",
        "  Attached:    false",
        "  Log Size:    0 bytes",
    ]


@pytest.mark.parametrize(
    ("fields", "words", "ending"),
    [
        ({"state": "stopped"}, "stopped", None),
        ({"status": "completed (-1)", "end_reason": "lost"}, "lost", "lost with the node"),
        ({"status": "completed (-1)", "end_reason": "signal", "signal": 6}, "completed (-1)", "6"),
        ({"status": "killed", "end_reason": "killed", "signal": 15}, "killed", "signal 15"),
        ({"status": "killed", "end_reason": "killed", "exit_code": 3}, "killed", None),
    ],
)
def test_states_in_words(
    capsysbinary: pytest.CaptureFixture[bytes],
    fields: dict[str, object],
    words: str,
    ending: str | None,
) -> None:
    """On the wire they are what clients of all kinds know; people are told more."""
    sessions.show_table([session(**fields)], NOON_NS)
    assert f" {words} " in capsysbinary.readouterr().out.decode()
    sessions.show_status(session(**fields), 0)
    shown = capsysbinary.readouterr().out.decode()
    assert f"  Status:      {words}\n" in shown
    assert ("Ended By" in shown) is (ending is not None)
    assert (ending or "") in shown


def test_json_keeps_characters_and_order(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output.show_json([{"id": 1, "name": "日本"}])
    text = capsysbinary.readouterr().out.decode()
    assert text == '[\n  {\n    "id": 1,\n    "name": "日本"\n  }\n]\n'
    assert json.loads(text) == [{"id": 1, "name": "日本"}]


def test_text_that_is_no_unicode_is_still_written(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    output.write("a\udcffb\ud800\r\n")
    assert capsysbinary.readouterr().out == b"a?b?\r\n"


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.coloured("x", 2) == "x"
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.coloured("x", 2) == "\x1b[32mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.coloured("x", 2) == "x"


def test_plain_text_of_a_snippet() -> None:
    assert output.plain("\x1b]0;t\x07a\x1b[1mb\r\nc\r\n\r\n") == "ab\nc"


# watch --output json


def convert(text: str, path: str | None = None, size: int = 0) -> list[str]:
    lines = JsonLines(path)
    pieces = [text[i : i + size] for i in range(0, len(text), size)] if size else [text]
    return ("".join(lines.feed(piece, NOON) for piece in pieces) + lines.finish(NOON)).splitlines()


@pytest.mark.parametrize("size", [0, 1])
def test_lines_become_json(size: int) -> None:
    text = '{"a": {"b": [1, "é"]}}\r\n\x1b[1mplain\x1b[0m\r\n\r\n[2]\nend'
    wrapped = '{"timestamp":"2026-04-03T12:00:00Z","stream":"stdout","text":"%s"}'
    whole = ['{"a": {"b": [1, "é"]}}', wrapped % "plain", wrapped % "", "[2]", wrapped % "end"]
    assert convert(text, size=size) == whole
    assert convert(text, ".a.b[1]", size) == ['"é"']
    assert convert(text, ".text", size) == ['"plain"', '""', '"end"']
    assert convert(text, "[0]", size) == ["2"]
    assert len(convert(text, ".", size)) == len(whole)


@pytest.mark.parametrize("path", ["", "a", ".a.", ".a[x]", "..", "[0"])
def test_a_filter_that_is_none(path: str) -> None:
    if path:
        with pytest.raises(UsageError):
            JsonLines(path)
    else:
        assert convert("1\n", path) == ["1"]


EVIL = "a\x1b[31mb\x9b2Jc\u202ed\x07e\x7f\u2066f\tg"


def test_no_text_can_act_on_the_terminal() -> None:
    assert output.plain(EVIL) == "abcdef\tg".replace("bc", "b2Jc")
    assert output.coloured_only(EVIL + "\x1b[2Jx\x1b]0;t\x07y") == "a\x1b[31mb2Jcdef\tgxy"


def test_json_spells_out_what_a_terminal_acts_on() -> None:
    for written in (output.compact_json([EVIL]), JsonLines().feed(json.dumps([EVIL]) + "\n", "")):
        assert "\\u009b" in written and "\\u202e" in written and "\\u2066" in written
        assert written.strip().isprintable()
        assert json.loads(written) == [EVIL]
    assert output.compact_json("日本é") == '"日本é"'


def test_notices_hold_no_controls(capsys: pytest.CaptureFixture[str]) -> None:
    output.notice(EVIL)
    assert capsys.readouterr().err == "[cw] a[31mb2Jcdef\tg\n"


def test_agents_get_no_escape_sequences() -> None:
    from codewire.mcp.tool import plain_text, to_json

    value = [{"last_output_snippet": EVIL, "exit_code": 3, "tags": [EVIL]}]
    found = json.loads(to_json(value))
    plain = "ab2Jcdef\tg"
    assert found == [{"last_output_snippet": plain, "exit_code": 3, "tags": [plain]}]
    assert plain_text(to_json(value)) == to_json(value)
