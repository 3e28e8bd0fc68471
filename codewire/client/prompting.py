"""The part of Client that types for somebody: texts submitted, keys by name, prompts with answers.

A prompt's answer is read off the screens here; the node says of each what its program does.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from codewire.client.numbers import checked_id, milliseconds, seconds
from codewire.client.reach.asking import Asker
from codewire.client.reach.connection import field
from codewire.errors import RequestError, UsageError, WaitTimedOut
from codewire.wire.answers.reading import read
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from codewire.client.answers import Answer
    from codewire.wire.answers.screens import Submitted

# Fits, as base64, the 32 KiB that other nodes accept in one WebSocket message (spec/wire.md 1).
INPUT_CHUNK_BYTES = 16 * 1024
MAX_TEXT_BYTES = 1 << 20
POLL_SECONDS = 0.25
HISTORY_LINES = 1000
# Told to whoever repeats an input with a key of his own.
ALREADY_SENT = "[cw] already sent: this key was used before; nothing was typed again"
SUBMIT, REFUSED, TYPED = "submit", "refused", "typed"


class Prompting(Asker):
    """What Client types with."""

    def knows(self, feature: str) -> bool:
        """Say whether the node knows a feature (wire/features.py)."""
        return feature in self._features(self.connect)

    def send_input(
        self,
        session_id: int,
        data: bytes,
        *,
        key: str | None = None,
        if_idle_seconds: float | None = None,
        expect_screen: str | None = None,
        paste: bool = False,
    ) -> int:
        """Type bytes into a session, in order, and return how many it took.

        Blocks while the terminal is full. After an error some may have been typed, unless there is
        a `key`: it is typed once, however often the call is repeated. Refused if it has printed
        in the last `if_idle_seconds`, or its screen's hash is not `expect_screen`. With `paste`
        lines of more than 4095 bytes are meant.
        """
        request = {
            "type": "SendInput",
            "id": checked_id(session_id),
            "if_idle_ms": milliseconds("if_idle_seconds", if_idle_seconds),
            "expect_screen": expect_screen or None,
            "paste": paste or None,
        }
        self.require({**request, "input_key": key or None})
        sent = 0
        for start in range(0, len(data) or 1, INPUT_CHUNK_BYTES):
            request["data"] = encode_bytes(data[start : start + INPUT_CHUNK_BYTES]) or None
            if key:
                request["input_key"] = f"{key}/{start}" if start else key
            try:
                answer = self.ask(request)
            except RequestError as error:
                if not sent:
                    raise
                cause = str(error).removesuffix("; nothing was typed")
                raise RequestError(
                    f"{cause}; the first {sent} bytes were typed", error.code
                ) from error
            sent += field(answer, "bytes", 0)
            if answer.get("repeated"):
                self._notify(ALREADY_SENT)
            if answer.get("continued"):
                self._notify(f"[cw] session {session_id} was stopped; continued")
            if answer.get("uncertain"):
                self._notify(
                    f"[cw] the node's worker died while typing the input with key {key!r}: "
                    "some of it may be missing; it is not typed again"
                )
            # What this very call types makes the session busy and its screen another.
            request["if_idle_ms"] = request["expect_screen"] = None
        return sent

    def submit(
        self,
        session_id: int,
        text: str,
        *,
        key: str | None = None,
        if_idle_seconds: float | None = None,
        expect_screen: str | None = None,
        paste: bool = False,
        prompt: bool = False,
    ) -> Submitted:
        """Type a text and press Enter as a person would; nothing is chosen at a dialog.

        Sent again after a lost connection it is not typed again. With `prompt` it goes to
        no password prompt and answers no question. A node that cannot look at screens gets the
        text and a newline.
        """
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > MAX_TEXT_BYTES:
            raise UsageError(f"a text to submit has at most {MAX_TEXT_BYTES} bytes")
        request = {
            "type": "SendInput",
            "id": checked_id(session_id),
            "data": encode_bytes(data) or None,
            "if_idle_ms": milliseconds("if_idle_seconds", if_idle_seconds),
            "expect_screen": expect_screen or None,
            "paste": paste or None,
            "prompt": prompt or None,
            "input_key": key or None,
        }
        self.require(request)
        from codewire.wire.answers.screens import Submitted

        if not self.knows(SUBMIT):
            answer = self.ask({**request, "data": encode_bytes(data + b"\n")})
            return read(Submitted, {**answer, "verdict": TYPED})
        request |= {"submit": True, "input_key": key or f"submit-{os.urandom(12).hex()}"}
        answer = self.ask(request)
        self._tell(session_id, answer, is_keyed=key is not None)
        return read(Submitted, {"verdict": TYPED, **answer})

    def send_keys(
        self,
        session_id: int,
        keys: str,
        *,
        key: str | None = None,
        if_idle_seconds: float | None = None,
        expect_screen: str | None = None,
    ) -> int:
        """Press keys by tmux's names ("Esc Up Enter C-c 'text'"); return the bytes typed.

        Encoded by the modes that the program has set. Raises UsageError for an unknown name.
        """
        from codewire.term.keys import UnknownKey, parse_keys

        try:
            parse_keys(keys)
        except UnknownKey as error:
            raise UsageError(str(error)) from error
        request = {
            "type": "SendInput",
            "id": checked_id(session_id),
            "keys": keys,
            "if_idle_ms": milliseconds("if_idle_seconds", if_idle_seconds),
            "expect_screen": expect_screen or None,
        }
        self.require(request)
        answer = self.ask({**request, "input_key": key or f"keys-{os.urandom(12).hex()}"})
        self._tell(session_id, answer, is_keyed=key is not None)
        return field(answer, "bytes", 0)

    def _tell(self, session_id: int, answer: dict[str, Any], is_keyed: bool) -> None:
        if answer.get("repeated") and is_keyed:
            self._notify(ALREADY_SENT)
        if answer.get("continued"):
            self._notify(f"[cw] session {session_id} was stopped; continued")
        if answer.get("uncertain"):
            self._notify(
                "[cw] the node's worker died while typing: some of it may be missing; "
                "it is not typed again"
            )

    def prompt(self, session_id: int, text: str, *, timeout_seconds: float | None = None) -> Answer:
        """Submit a text to an agent, wait until it is settled and return what it said.

        `state` of the answer is idle, blocked (it waits for a decision), exited, or stalled: its
        screen has not changed for 10 s after Enter. Raises RequestError where the text was not
        submitted, and "prompt timed out" after `timeout_seconds` (None or 0: never).
        """
        from codewire.client.answers import Reading

        limit = seconds("timeout_seconds", timeout_seconds)
        deadline = time.monotonic() + limit if limit else None
        reading = Reading(text, self._shown(session_id))
        sent = self.submit(session_id, text, prompt=True)
        if sent.verdict == REFUSED:
            raise RequestError(refusal(session_id, sent))
        entered = time.monotonic()
        while True:
            answer = reading.take(self._shown(session_id), time.monotonic() - entered)
            if answer is not None:
                return answer
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimedOut(f"prompt timed out after {limit:g}s")
            time.sleep(POLL_SECONDS)

    def _shown(self, session_id: int) -> dict[str, Any]:
        request = {"type": "GetScreen", "id": checked_id(session_id)}
        return self.ask({**request, "history_lines": HISTORY_LINES})


def refusal(session_id: int, answer: Submitted) -> str:
    """Return what to tell a person about a text that was not submitted, in one or more lines."""
    reason = answer.reason or "not submitted"
    screen = answer.screen_text
    text = f"refused: {reason}"
    if screen:
        text += "\n" + "\n".join(f"  {line}" for line in screen.splitlines())
    if reason.startswith("blocked"):
        text += (
            "\nNothing was typed. Answer it with 'cw approvals' and 'cw approve', or with keys: "
            f"cw send {session_id} --keys Enter"
        )
    return text
