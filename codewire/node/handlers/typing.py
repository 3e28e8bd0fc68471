"""SendInput: typing into a session, with the conditions an agent may set (wire.md 8).

As bytes, as keys by name (`keys`), or submitted with a look at the screen (`submit`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from codewire.errors import RequestError
from codewire.mail.foreground import is_at_shell
from codewire.node.caller import Caller, Kind
from codewire.node.context import Handler, Message, Node
from codewire.node.handlers.screens import current_hash
from codewire.session.pressing import press_keys
from codewire.session.session import Session
from codewire.session.submitting import Typing, submit
from codewire.term.keys import Key, UnknownKey, parse_keys
from codewire.terminal.input import InputClosed
from codewire.terminal.once import MAX_KEY_LENGTH, write_once
from codewire.terminal.submitting import Outcome, Refused
from codewire.terminal.turns import ScreenUnknown
from codewire.wire.codes import BUSY, INTERNAL, NOT_RUNNING, SCREEN_CHANGED, TOO_LARGE

MAX_SUBMITTED_BYTES = 1 << 20
KEPT_OUTCOMES = 100
# A terminal in canonical mode keeps this much of a line (N_TTY_BUF_SIZE, termios(3)).
LINE_BYTES = 4095
LONG_LINE = re.compile(rb"[^\r\n\x04]{%d}" % (LINE_BYTES + 1))


def send_input(node: Node, request: Message, caller: Caller) -> Message:
    """Type into a session; answered when its terminal has taken every byte. Raises RequestError.

    When the client is gone, what is not typed yet is not typed any more.

    Optional: `input_key` (typed once, however often it is sent), `if_idle_ms` and `expect_screen`
    (refused when the session is busy, or its screen has changed), `paste` (long lines are meant).
    A session that a signal has stopped is continued first; the answer then says `continued`.

    With `submit` data is a text and the answer has `verdict` (submitted, typed or refused),
    `reason` and `screen_text`; nothing was typed where that and `bytes` 0 say so. `prompt` is
    `submit` for an agent: not into password prompts, nor to answer a question.
    """
    session, has_left = node.session(request), caller.has_left
    data = request.get("data") or b""
    key = request.get("input_key") or ""
    if len(key) > MAX_KEY_LENGTH:
        raise RequestError(f"an input key has at most {MAX_KEY_LENGTH} characters", TOO_LARGE)

    keys = _parsed(request.get("keys"))
    is_submitted = bool(request.get("submit") or request.get("prompt"))
    if is_submitted and len(data) > MAX_SUBMITTED_BYTES:
        raise RequestError(f"a text to submit has at most {MAX_SUBMITTED_BYTES} bytes", TOO_LARGE)
    was_halted: list[bool] = []
    outcomes: list[Outcome] = []

    def write(before: Callable[[], None]) -> int:
        _check(session, request, data, has_left)
        was_halted.append(node.sessions.ending.go_on(session))
        if keys:
            return press_keys(session, node.sessions.keyboard, keys, before, has_left)
        if is_submitted:
            outcomes.append(_submit(node, session, request, before, has_left))
            return outcomes[0].bytes
        return node.sessions.keyboard.type_in(
            session, data, "send", before=before, has_left=has_left
        )

    try:
        if key:
            count, is_repeated = session.terminal.input_keys.write(key, write, has_left)
        else:
            count, is_repeated = write_once(write), False
            if count is None:
                raise RequestError(
                    f"it is not known how much of the input session {session.id} got: "
                    "the node's log has the details",
                    INTERNAL,
                )
    except Refused as error:
        outcomes.append(Outcome("refused", error.reason, error.screen))
        count, is_repeated = 0, False
    except InputClosed as error:
        taken = f" (it took {error.written} bytes)" if error.written else ""
        raise RequestError(f"session {session.id} is not running{taken}", NOT_RUNNING) from error
    taken_bytes = len(data) if count is None else count
    answer: Message = {"type": "InputSent", "bytes": taken_bytes}
    if caller.kind is Kind.TOKEN:
        # Programs of early 2026, which come by WebSocket, want the id.
        answer["id"] = session.id
    answer["continued"] = any(was_halted) or None
    if is_repeated:
        answer["repeated"] = True
    if count is None:
        answer["uncertain"] = True
    if is_submitted:
        answer |= _verdict(session, key, outcomes)
    return answer


def _parsed(text: str | None) -> list[Key]:
    try:
        return parse_keys(text or "")
    except UnknownKey as error:
        raise RequestError(f"{error}; nothing was typed") from error


def _submit(
    node: Node,
    session: Session,
    request: Message,
    before: Callable[[], None],
    has_left: Callable[[], bool],
) -> Outcome:
    typing = Typing(
        (request.get("data") or b"").decode("utf-8", "surrogateescape"),
        "send",
        is_own=not request.get("prompt"),
        as_paste=bool(request.get("paste")),
        keeps_marks=bool(request.get("paste") and not request.get("prompt")),
        is_shell=lambda: is_at_shell(session),
    )
    return submit(session, node.sessions.keyboard, typing, before=before, has_left=has_left)


def _verdict(session: Session, key: str, outcomes: list[Outcome]) -> Message:
    """Return what an answer says of a text; of one sent again, what was said the first time."""
    kept = session.terminal.outcomes
    outcome = outcomes[0] if outcomes else kept.get(key, Outcome("typed"))
    if key and outcome.bytes:
        kept[key] = outcome
        while len(kept) > KEPT_OUTCOMES:
            kept.popitem(last=False)
    return {
        "verdict": outcome.verdict,
        "reason": outcome.reason or None,
        "screen_text": outcome.screen or None,
    }


def _check(session: Session, request: Message, data: bytes, has_left: Callable[[], bool]) -> None:
    """Raise RequestError when a condition does not hold."""
    if not session.is_running() or session.input is None:
        raise InputClosed(0)
    idle_ms = request.get("if_idle_ms")
    if idle_ms is not None and session.idle_seconds() * 1000 < idle_ms:
        raise RequestError(
            f"session {session.id} is busy: it printed something "
            f"{session.idle_seconds():.1f}s ago; nothing was typed",
            BUSY,
        )
    expected = request.get("expect_screen")
    if expected and _hash(session, has_left) != expected:
        text = f"the screen of session {session.id} has changed; nothing was typed"
        raise RequestError(text, SCREEN_CHANGED)
    # What was typed before belongs to the same line; Enter alone may always end that.
    line = b" " * min(session.terminal.typed.unfinished, LINE_BYTES) + data
    is_long = len(line) > LINE_BYTES and LONG_LINE.search(line) is not None
    if is_long and not request.get("paste") and session.input.is_canonical():
        raise RequestError(
            f"session {session.id} reads whole lines, and its terminal keeps only "
            f"{LINE_BYTES} bytes of one: break the line, or send it as a paste; nothing was typed",
            TOO_LARGE,
        )


def _hash(session: Session, has_left: Callable[[], bool]) -> str:
    try:
        return current_hash(session, has_left)
    except ScreenUnknown as error:
        raise RequestError(f"{error}; nothing was typed", error.code) from error


ANSWERS: dict[str, Handler] = {"SendInput": send_input}
