"""The part of Client that types for somebody: texts submitted, keys by name, prompts with answers.

A prompt's answer is read off the screen here, by the rules that know no program, so any node that
can submit can be asked for it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from codewire.client.numbers import checked_id, milliseconds, seconds
from codewire.client.reach.asking import Asker
from codewire.client.reach.connection import field
from codewire.errors import RequestError, UsageError, WaitTimedOut
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from codewire.client.answers import Answer

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
    ) -> dict[str, Any]:
        """Type a text and press Enter as a person would; return the node's answer.

        `verdict` is submitted, typed (whether it was taken is not known) or refused (`reason` says
        why; nothing is chosen at a dialog), `screen_text` what stands there, `bytes` how many were
        typed. Sent again after a lost connection it is not typed again. With `prompt` it goes to
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
        if not self.knows(SUBMIT):
            answer = self.ask({**request, "data": encode_bytes(data + b"\n")})
            return {**answer, "verdict": TYPED}
        request |= {"submit": True, "input_key": key or f"submit-{os.urandom(12).hex()}"}
        answer = self.ask(request)
        self._tell(session_id, answer, is_keyed=key is not None)
        return {"verdict": TYPED, **answer}

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
        if sent["verdict"] == REFUSED:
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


def refusal(session_id: int, answer: dict[str, Any]) -> str:
    """Return what to tell a person about a text that was not submitted, in one or more lines."""
    reason = answer.get("reason") or "not submitted"
    screen = answer.get("screen_text") or ""
    text = f"refused: {reason}"
    if screen:
        text += "\n" + "\n".join(f"  {line}" for line in screen.splitlines())
    if reason.startswith("blocked"):
        text += (
            "\nNothing was typed. Answer it with 'cw approvals' and 'cw approve', or with keys: "
            f"cw send {session_id} --keys Enter"
        )
    return text
