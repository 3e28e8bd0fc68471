"""What people see on a terminal: the text of every view, at 80 and 200 columns."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest

from codewire.client.overview.figures import clock, moment, since, size, span
from codewire.commands import output
from codewire.commands.sessions import overview
from codewire.term.paint import COLOURS, LABELS, Paint, hang, wrap
from codewire.term.width import display_width
from tests import crowd

SGR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN, COLOURED = Paint(False), Paint(True)
VIEWS = sorted(crowd.views(80, PLAIN))


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """Local times are UTC's while a test runs."""
    before = os.environ.get("TZ")
    crowd.set_zone()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize("width", crowd.WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_the_text_that_was_looked_at(name: str, width: int) -> None:
    """After a change: python -m tests.crowd, and look at the difference."""
    golden = (crowd.GOLDEN / f"{name}-{width}.txt").read_text(encoding="utf-8")
    assert crowd.views(width, PLAIN)[name] == golden.split("\n")[:-1]


@pytest.mark.parametrize("width", [44, 80, 120, 200])
@pytest.mark.parametrize("name", VIEWS)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    keys = [entry.key for entry in crowd.ENTRIES]
    for line in crowd.views(width, COLOURED)[name]:
        shown = SGR.sub("", line)
        assert display_width(shown) <= width or shown in keys, shown
        # Whatever is switched on is switched off in the same line.
        assert "\x1b" not in shown and (not SGR.search(line) or SGR.findall(line)[-1] == "\x1b[0m")


@pytest.mark.parametrize("name", VIEWS)
def test_colours_change_no_text(name: str) -> None:
    plain, coloured = crowd.views(80, PLAIN)[name], crowd.views(80, COLOURED)[name]
    assert [SGR.sub("", line) for line in coloured] == [SGR.sub("", line) for line in plain]
    assert coloured != plain


@pytest.mark.parametrize("width", [44, 80, 200])
def test_what_must_be_typed_is_whole(width: int) -> None:
    text = "\n".join(overview.list_lines(crowd.CROWD, crowd.NOW, width, PLAIN, folds=False))
    for info in crowd.CROWD:
        assert info.name in text
        assert all(tag in text for tag in info.tags)
        assert f" {info.id} " in text


def test_who_is_blocked_comes_first_and_who_failed_is_red() -> None:
    lines = overview.list_lines(crowd.CROWD, crowd.NOW, 200, COLOURED)
    assert "blocked" in lines[1] and "\x1b[38;5;166m◐" in lines[1]
    assert any("\x1b[38;5;160mexit 2\x1b[0m" in line for line in lines)
    assert any("\x1b[38;5;28mexit 0\x1b[0m" in line for line in lines)


def test_one_line_alone_is_not_folded() -> None:
    ended = [crowd.ended(id=number) for number in range(overview.SHOWN_FINISHED + 2)]
    assert overview.list_lines(ended, crowd.NOW, 80, PLAIN)[-1] == "… 2 finished, --all"
    assert "--all" not in overview.list_lines(ended[1:], crowd.NOW, 80, PLAIN)[-1]


def contrast(code: int) -> float:
    """Return the lower of a 256-colour's contrasts against black and white (WCAG 2)."""
    levels = (0, 95, 135, 175, 215, 255)
    grey = 8 + 10 * (code - 232)
    cube = code - 16
    rgb = [grey] * 3 if code >= 232 else [levels[cube // n % 6] for n in (36, 6, 1)]
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return min(1.05 / (light + 0.05), (light + 0.05) / 0.05)


@pytest.mark.parametrize("code", [*COLOURS.values(), *LABELS])
def test_every_colour_is_readable_on_dark_and_on_light(code: int) -> None:
    assert contrast(code) >= 3.5


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not output.paint().is_on
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    assert output.paint().is_on
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.paint().is_on
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.paint().is_on


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("日本語", 5, ["日本", "語"]),
        ("日", 1, ["日"]),
        ("a\nb", 5, ["a", "b"]),
        ("", 5, [""]),
        ("e\u0301" * 10, 5, ["e\u0301" * 5, "e\u0301" * 5]),
    ],
)
def test_text_breaks_at_blanks_by_cells(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


def test_further_lines_hang_behind_the_head() -> None:
    assert hang("ab  ", "one two three", 11, 4) == ["ab  one two", "    three"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (172800, "2d")]
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_times_are_short_and_local() -> None:
    now = crowd.NOW
    assert clock(crowd.ago(60), now) == "11:59"
    assert clock(crowd.ago(86400), now) == "2 Apr 12:00"
    assert clock(crowd.ago(400 * 86400), now) == "2025-02-27"
    assert clock("yesterday", now) == moment("yesterday", now) == "yesterday"
    assert since("", now) == ""
    assert moment(crowd.ago(60), now) == "11:59 (1m ago)"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_600, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words
