"""Typing a text the way a person does: ready, typed, read, shown, Enter, and what came of it.

The method and its pauses are measured (spec/submit.md 2 and 4). Enter is pressed only when the
emulated screen shows the text where the cursor is, and pressed again only when it shows that the
text is still in the box. Knows one terminal, by the few things it asks of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from codewire.agents.evidence import Verdict
from codewire.io.readers import Foreground
from codewire.term.paste import as_typed
from codewire.term.submission import (
    COMPLETED,
    NEWLINE,
    SUBMITTED,
    UNKNOWN,
    WAITING,
    Snapshot,
    judge,
    may_press_again,
    needs_space,
    opening_key,
)
from codewire.terminal import scene as scenes
from codewire.terminal.scene import Scene

TYPED, REFUSED = "typed", "refused"
# A session is young until something was seen to arrive, for so long at most.
YOUNG_SECONDS = 60.0
# On a machine with much to do an agent may take longer to paint anything at all.
STARTING_SECONDS = 150.0
# A program that has not switched to raw mode by then reads lines; agents need longer.
LINES_SECONDS = 3.0
SLOW_SECONDS = 10.0
# An agent that reads lines for so long asks something; before, it only has not switched yet.
AGENT_SECONDS = 20.0
# And one in raw mode that has not asked for pastes by then never does.
AGENT_PASTES_SECONDS = 40.0
AGENT_ROWS = 4
QUIET_SECONDS = 0.5
READ_SECONDS = 20.0
# An echo comes within the first, or is not waited for any more once the program has printed and
# fallen silent for the second; on a busy machine it may not have printed at all.
ECHO_SECONDS, ECHO_QUIET_SECONDS = 2.0, 1.0
SLOW_ECHO_SECONDS, YOUNG_ECHO_SECONDS = 10.0, 15.0
# Of Gemini's own timers: Enter sooner than that is a newline to it, or lost. On a busy machine they
# run late, as late as the echo came.
ENTER_SECONDS, SLOW_ENTER_SECONDS = 0.3, 2.0
SETTLE_SECONDS, SETTLE_LIMIT = 0.06, 1.0
# What is still in the box may only not have been taken yet.
VERDICT_SECONDS, SLOW_VERDICT_SECONDS = 1.0, 3.0
LOOK_SECONDS = 0.05
# Who polls, or cannot be looked at, counts as a reader after so long.
READER_SECONDS = 0.3
# What was typed needs a moment to get to who waits.
NEXT_SECONDS = 0.02
TRIES = 3
# As keys while it is short and plain; else as one paste where the program takes pastes.
MAX_KEYS = 80
PIECE_BYTES = 1000
MENU_PREFIXES = ("?", "#", "/")
# By name, and what may be one.
AGENTS = frozenset("claude codex gemini opencode qwen copilot cursor-agent amp aider goose".split())
INTERPRETERS = frozenset("node bun deno".split())
LINE_READERS = frozenset("sh bash dash zsh fish ksh ash busybox sleep cat tail tee".split())
BUSY = "the session reads nothing"


class Outcome(NamedTuple):
    """What became of a text: `verdict` is submitted, typed or refused; `screen` what stands there.

    `bytes` is how many were typed, Enter included.
    """

    verdict: str
    reason: str = ""
    screen: str = ""
    bytes: int = 0


class Refused(Exception):
    """Nothing was typed; the reason, and what the screen says."""

    def __init__(self, reason: str, screen: str = "", *, is_dialog: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.screen = screen
        self.is_dialog = is_dialog


class Teletype(Protocol):
    """What typing needs of a terminal. All of it may raise InputClosed."""

    def write(self, data: bytes) -> None:
        """Type bytes. Blocks while the program reads nothing."""

    def look(self) -> Scene:
        """Return what it shows now."""

    def decision(self, scene: Scene) -> Verdict | None:
        """Return what the program waits in for a decision, None for nothing."""

    def is_canonical(self) -> bool:
        """Say whether the kernel collects lines (ICANON)."""

    def echoes(self) -> bool:
        """Say whether the kernel shows what is typed (ECHO)."""

    def unread(self) -> int:
        """Return how many bytes the program has not read."""

    def quiet_seconds(self) -> float:
        """Return how long ago it printed something."""

    def age_seconds(self) -> float:
        """Return how long ago the session began."""

    def readers(self) -> Foreground:
        """Return who is in its foreground."""

    def pause(self, seconds: float) -> None:
        """Let time pass; InputClosed when nobody wants the rest typed."""


class Submission:
    """One text on its way into one terminal."""

    def __init__(
        self,
        teletype: Teletype,
        text: str,
        check: Callable[[Scene], None],
        *,
        is_young: bool = False,
        as_paste: bool = False,
        keeps_marks: bool = False,
        check_reader: Callable[[], bool] | None = None,
    ) -> None:
        """`check` raises Refused where nothing may be typed; asked before the first byte.

        `keeps_marks` types a paste's marks where the program has not asked for pastes, too.
        `check_reader` is for somebody else's text, which goes line by line to who reads lines: it
        is asked before each, says whether who reads now is known, and raises where that may not.
        """
        self._tty = teletype
        self._text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
        self._check = check
        self._is_young = is_young
        self._as_paste = as_paste
        self._keeps_marks = keeps_marks
        self._check_reader = check_reader
        self._count = 0
        self._typed_at = 0.0

    def run(self) -> Outcome:
        """Type it. Raises Refused before the first byte, InputClosed at any time."""
        if self._is_young:
            self._await_ready()
        self._settle()
        before = self._tty.look()
        self._check(before)
        if self._check_reader is not None and not before.pastes:
            return self._line_by_line(self._check_reader)
        if self._keeps_marks and not before.pastes:
            data = self._text.encode("utf-8", "surrogateescape")
            self._write(as_typed(data) + b"\r")
            return self._outcome(TYPED)
        if self._tty.is_canonical():
            self._write(self._text.encode("utf-8", "surrogateescape") + b"\n")
            return self._outcome(TYPED)
        if not before.pastes:
            return self._without_echo(before)
        return self._with_echo(before)

    # Ready

    def _await_ready(self) -> None:
        """Wait until a program that has just been started takes input. Raises Refused."""
        start = time.monotonic()
        while not self._is_ready():
            passed = time.monotonic() - start
            if passed > YOUNG_SECONDS and (passed > STARTING_SECONDS or not self._is_starting()):
                raise Refused("the program is not ready for input", "")
            self._tty.pause(LOOK_SECONDS)

    def _is_starting(self) -> bool:
        """Say whether an agent has shown nothing yet that could be waited at."""
        is_agent = self._is_agent(self._tty.readers(), AGENTS)
        return is_agent and not self._tty.look().is_painted(AGENT_ROWS)

    def _is_ready(self) -> bool:
        quiet, age = self._tty.quiet_seconds(), self._tty.age_seconds()
        readers = self._tty.readers()
        if readers.waits and not self._is_agent(readers):
            return True
        # What never falls silent, a server's log, a spinner, is not waited for.
        is_late = age > SLOW_SECONDS or (age > LINES_SECONDS and quiet > QUIET_SECONDS)
        if self._tty.is_canonical():
            # Who neither reads nor has shown anything may be about to switch to raw mode.
            is_slow = not self._tty.look().is_painted() and LINE_READERS.isdisjoint(readers.names)
            is_late = is_late and (not is_slow or age > SLOW_SECONDS)
            if self._is_agent(readers):
                return bool(readers.waits) and age > AGENT_SECONDS
            return is_late
        look = self._tty.look()
        is_still = quiet > QUIET_SECONDS or age > AGENT_SECONDS
        if is_still and self._tty.decision(look):
            # Nothing will be typed.
            return True
        if not look.pastes:
            if self._is_agent(readers, AGENTS):
                # On a busy machine it may be silent for seconds before it paints anything.
                return age > AGENT_PASTES_SECONDS
            is_prompting = readers.polls and look.is_painted() and quiet > QUIET_SECONDS
            return is_late or (is_prompting and not self._is_agent(readers))
        if self._is_agent(readers):
            # It may show its name long before it takes keys.
            return look.is_painted(AGENT_ROWS) and is_still
        return look.is_painted() and (look.is_visible or quiet > QUIET_SECONDS or is_late)

    @staticmethod
    def _is_agent(readers: Foreground, agents: frozenset[str] = AGENTS | INTERPRETERS) -> bool:
        names = (name.lstrip(".").partition(".")[0] for name in readers.names)
        return any(name in agents for name in names)

    # Typing

    def _write(self, data: bytes) -> None:
        self._typed_at = time.monotonic()
        self._tty.write(data)
        self._count += len(data)

    def _outcome(self, verdict: str, reason: str = "", screen: str = "") -> Outcome:
        return Outcome(verdict, reason, screen, self._count)

    def _line_by_line(self, check_reader: Callable[[], bool]) -> Outcome:
        for line in ("", *self._text.split("\n"), ""):
            self._await_reader(check_reader)
            self._write(line.encode("utf-8", "replace") + b"\n")
        return self._outcome(TYPED)

    def _await_reader(self, check_reader: Callable[[], bool]) -> None:
        """Wait until all lines are read and somebody waits for the next one.

        What was started by the line before (a shell) is in the foreground by then.
        """
        waiting_since = polling_since = time.monotonic()
        while True:
            # In this order: who waits after all was read waits for what comes next.
            is_read = not self._tty.unread()
            readers = self._tty.readers()
            is_settled = check_reader() and is_read
            now = time.monotonic()
            is_reading = readers.waits or not self._tty.is_canonical()
            if not (is_settled and is_reading):
                waiting_since = now
            if not (is_settled and (readers.waits is None or readers.polls)):
                polling_since = now
            if now - waiting_since > NEXT_SECONDS or now - polling_since > READER_SECONDS:
                return
            self._tty.pause(0.005)

    def _without_echo(self, before: Scene) -> Outcome:
        """A program in raw mode that knows no pastes: each line is an Enter there."""
        data = self._text.replace("\n", "\r").encode("utf-8", "surrogateescape")
        for start in range(0, len(data), PIECE_BYTES):
            self._write(data[start : start + PIECE_BYTES])
            if not self._await_read():
                return self._outcome(REFUSED, f"{BUSY}; Enter was not pressed")
        if data:
            self._tty.pause(ENTER_SECONDS)
            self._settle()
        now = self._tty.look()
        found = self._tty.decision(now)
        if found and not scenes.is_shown(before, now, self._text):
            text = scenes.dialog_text(now, found)
            return self._outcome(REFUSED, "a dialog came up; Enter was not pressed", text)
        self._write(self._enter(now))
        return self._outcome(TYPED)

    def _with_echo(self, before: Scene) -> Outcome:
        if not self._text:
            self._write(self._enter(before))
            return self._outcome(TYPED)
        for number in range(TRIES if self._is_young else 1):
            self._type(before)
            if not self._await_read():
                return self._outcome(REFUSED, f"{BUSY}; Enter was not pressed")
            shown = self._await_echo(before)
            if number and shown is not None and shown.count(self._text) > 1:
                # Not dropped after all, only late: it is in the box twice.
                break
            if shown is not None:
                late = time.monotonic() - self._typed_at
                return self._enter_and_judge(before, min(late, SLOW_ENTER_SECONDS))
            if not self._was_dropped():
                break
        now = self._tty.look()
        reason = "the text does not show where the cursor is; Enter was not pressed"
        return self._outcome(REFUSED, reason, now.left.strip())

    def _was_dropped(self) -> bool:
        """Say whether the program, still starting, threw away what was typed."""
        now = self._tty.look()
        if scenes.holds(now, self._text) or self._tty.decision(now):
            return False
        # Others may have it and not show it: typed again it would be there twice.
        return self._is_agent(self._tty.readers())

    def _type(self, before: Scene) -> None:
        text = self._text + (" " if needs_space(self._text) else "")
        key = opening_key(text)
        if key:
            self._write(key.encode())
            self._await_read()
            self._tty.pause(0.1)
            text = text[1:]
        data = text.replace("\n", "\r").encode("utf-8", "surrogateescape")
        self._write(as_typed(data) if self._pastes(text) else data)

    def _pastes(self, text: str) -> bool:
        is_short = len(text) <= MAX_KEYS and text.isascii() and text.isprintable()
        return self._as_paste or not is_short or text.startswith(MENU_PREFIXES)

    def _await_read(self) -> bool:
        """Wait until the program has read what was typed: nothing left, twice in a row."""
        deadline = time.monotonic() + READ_SECONDS
        zeros = 0
        while zeros < 2:
            if time.monotonic() > deadline:
                return False
            zeros = 0 if self._tty.unread() else zeros + 1
            self._tty.pause(0.004)
        return True

    def _await_echo(self, before: Scene) -> Scene | None:
        seconds = YOUNG_ECHO_SECONDS if self._is_young else SLOW_ECHO_SECONDS
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            now = self._tty.look()
            if scenes.is_shown(before, now, self._text):
                return now
            quiet = self._tty.quiet_seconds()
            has_drawn = ECHO_QUIET_SECONDS < quiet < time.monotonic() - self._typed_at
            if has_drawn and passed > ECHO_SECONDS and not self._is_young:
                return None
            self._tty.pause(LOOK_SECONDS)
        return None

    def _settle(self) -> None:
        """Wait until it has printed nothing for a moment; spinners never stop."""
        deadline = time.monotonic() + SETTLE_LIMIT
        while self._tty.quiet_seconds() < SETTLE_SECONDS and time.monotonic() < deadline:
            self._tty.pause(0.01)

    @staticmethod
    def _enter(now: Scene) -> bytes:
        return b"\x1b[13u" if now.all_keys else b"\r"

    # Enter

    def _enter_and_judge(self, before: Scene, late: float) -> Outcome:
        self._tty.pause(max(ENTER_SECONDS, late))
        self._settle()
        verdict, now = UNKNOWN, before
        for number in range(TRIES):
            typed = self._tty.look()
            if number == 0 and not scenes.is_shown(before, typed, self._text):
                reason = "the screen changed under the text; Enter was not pressed"
                return self._outcome(REFUSED, reason, typed.left.strip())
            self._write(self._enter(typed))
            verdict, now = self._verdict(before, typed.snapshot())
            is_canonical = self._tty.is_canonical()
            may_repeat = may_press_again(verdict, pastes=now.pastes, canonical=is_canonical)
            if not may_repeat or self._tty.decision(now):
                break
            self._tty.pause(ENTER_SECONDS * (number + 1))
        if verdict == SUBMITTED:
            return self._outcome(SUBMITTED)
        if verdict in (NEWLINE, COMPLETED) and now.pastes:
            return self._outcome(REFUSED, "Enter did not submit it: it is still in the box")
        return self._outcome(TYPED)

    def _verdict(self, before: Scene, typed: Snapshot) -> tuple[str, Scene]:
        start = time.monotonic()
        while True:
            now = self._tty.look()
            verdict = judge(before.snapshot(), typed, now.snapshot(), self._text)
            # Shells and REPLs switch pastes off as they accept a line.
            if verdict == SUBMITTED or not now.pastes or self._tty.is_canonical():
                return SUBMITTED, now
            seconds = SLOW_VERDICT_SECONDS if verdict == WAITING else VERDICT_SECONDS
            if time.monotonic() - start > seconds:
                return verdict, now
            self._tty.pause(LOOK_SECONDS)
