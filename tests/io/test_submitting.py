"""When a program counts as ready for a text, and how long its echo is waited for: no terminal."""

from __future__ import annotations

import time
from typing import Any

import pytest

from codewire.agents.evidence import BLOCKED, Verdict
from codewire.io.readers import Foreground
from codewire.terminal import submitting as module
from codewire.terminal.scene import Scene
from codewire.terminal.submitting import AGENT_PASTES_SECONDS, AGENT_SECONDS, Refused, Submission

PAINTED = ("title", "", "one", "two", "> ", "footer")


class Stand:
    """A terminal that is what a test says; `shows_at` is when the text stands at the cursor."""

    def __init__(self, **facts: Any) -> None:
        self.names: tuple[str, ...] = ("claude",)
        self.waits = self.polls = self.canonical = self.blocked = False
        self.pastes = False
        self.rows: tuple[str, ...] = PAINTED
        self.quiet, self.age = 1.0, 5.0
        self.began = time.monotonic()
        self.shows_at: float | None = None
        self.printed_at = self.began - 10
        self.typed = b""
        self.__dict__ |= facts

    def look(self) -> Scene:
        is_shown = self.shows_at is not None and time.monotonic() - self.began >= self.shows_at
        left = "> hello" if is_shown else "> "
        return Scene(self.rows, left, 4, len(left), True, self.pastes)

    def decision(self, scene: Scene) -> Verdict | None:
        return Verdict(BLOCKED, "menu") if self.blocked else None

    def is_canonical(self) -> bool:
        return self.canonical

    def quiet_seconds(self) -> float:
        return self.quiet if self.shows_at is None else time.monotonic() - self.printed_at

    def age_seconds(self) -> float:
        return self.age

    def readers(self) -> Foreground:
        return Foreground(self.names, self.waits, self.polls)

    def write(self, data: bytes) -> None:
        self.typed += data

    def unread(self) -> int:
        return 0

    def pause(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))


def submission(stand: Stand, **flags: Any) -> Submission:
    tty: Any = stand
    return Submission(tty, "hello", lambda scene: None, **flags)


@pytest.mark.parametrize(
    ("facts", "is_ready"),
    [
        # An agent in raw mode may be silent for seconds before it paints and asks for pastes.
        ({"rows": (), "age": 5.0}, False),
        ({"age": 20.0}, False),
        ({"age": AGENT_PASTES_SECONDS + 1}, True),
        ({"pastes": True}, True),
        ({"pastes": True, "rows": ("title",)}, False),
        ({"pastes": True, "quiet": 0.1}, False),
        # What takes no text at all is said at once.
        ({"blocked": True}, True),
        ({"blocked": True, "quiet": 0.1}, False),
        # What never falls silent is not waited for: a log, a spinner, a blinking title.
        ({"names": ("sh", "sleep"), "canonical": True, "quiet": 0.1, "age": 5.0}, False),
        ({"names": ("sh", "sleep"), "canonical": True, "quiet": 0.1, "age": 11.0}, True),
        ({"names": ("make",), "canonical": True, "quiet": 0.1, "age": 11.0}, True),
        ({"names": ("htop",), "quiet": 0.1, "age": 11.0}, True),
        ({"names": ("mc",), "pastes": True, "quiet": 0.1, "age": 1.0}, True),
        ({"pastes": True, "quiet": 0.1, "age": AGENT_SECONDS + 1}, True),
        ({"blocked": True, "quiet": 0.1, "age": AGENT_SECONDS + 1}, True),
        # An interpreter may run anything, a REPL for one.
        ({"names": ("node",)}, True),
        ({"names": ("python3",), "age": 1.0}, False),
        ({"names": ("python3",), "age": 1.0, "polls": True}, True),
        ({"names": ("vim",)}, True),
        # Who waits in a read of a line.
        ({"names": ("cat",), "canonical": True, "waits": True, "age": 0.1}, True),
        ({"canonical": True, "waits": True}, False),
        ({"canonical": True, "waits": True, "age": AGENT_SECONDS + 1}, True),
    ],
)
def test_ready_for_a_first_text(facts: dict[str, Any], is_ready: bool) -> None:
    assert submission(Stand(**facts), is_young=True)._is_ready() is is_ready


@pytest.mark.parametrize(
    ("facts", "is_longer"),
    [
        ({"rows": ("title",), "pastes": True}, True),
        ({"rows": ("title",), "names": ("python3",), "age": 1.0}, False),
        ({"quiet": 0.1}, False),
    ],
)
def test_an_agent_that_paints_nothing_is_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], is_longer: bool
) -> None:
    monkeypatch.setattr(module, "YOUNG_SECONDS", 0.1)
    monkeypatch.setattr(module, "STARTING_SECONDS", 0.4 if is_longer else 60.0)
    started = time.monotonic()
    with pytest.raises(Refused, match="not ready for input"):
        submission(Stand(**facts), is_young=True)._await_ready()
    passed = time.monotonic() - started
    assert 0.4 <= passed if is_longer else 0.1 <= passed < 60.0


@pytest.mark.parametrize(
    ("shows_at", "prints_at", "is_seen"),
    [
        (0.0, None, True),
        # Nothing drawn yet: it is busy.
        (0.4, None, True),
        # Drawn something else, and silent since: it shows no text.
        (9.0, 0.0, False),
    ],
)
def test_an_echo_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, shows_at: float, prints_at: float | None, is_seen: bool
) -> None:
    monkeypatch.setattr(module, "ECHO_SECONDS", 0.1)
    monkeypatch.setattr(module, "ECHO_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(module, "SLOW_ECHO_SECONDS", 3.0)
    stand = Stand(pastes=True)
    before = stand.look()
    text = submission(stand)
    text._type(before)
    stand.shows_at, stand.began = shows_at, time.monotonic()
    if prints_at is not None:
        stand.printed_at = stand.began + prints_at
    started = time.monotonic()
    assert (text._await_echo(before) is not None) is is_seen
    assert time.monotonic() - started < 2.0
