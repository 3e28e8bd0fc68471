"""SendInput: typing into a session, with the conditions an agent may set (wire.md 8)."""

from __future__ import annotations

import re
from collections.abc import Callable

from codewire.errors import RequestError
from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node
from codewire.node.handlers.screens import current_hash
from codewire.session.session import Session
from codewire.terminal.input import InputClosed
from codewire.terminal.once import MAX_KEY_LENGTH, write_once
from codewire.terminal.turns import ScreenUnknown
from codewire.wire.codes import BUSY, INTERNAL, NOT_RUNNING, SCREEN_CHANGED, TOO_LARGE

# A terminal in canonical mode keeps this much of a line (N_TTY_BUF_SIZE, termios(3)).
LINE_BYTES = 4095
LONG_LINE = re.compile(rb"[^\r\n\x04]{%d}" % (LINE_BYTES + 1))


def send_input(node: Node, request: Message, caller: Caller) -> Message:
    """Type into a session; answered when its terminal has taken every byte. Raises RequestError.

    When the client is gone, what is not typed yet is not typed any more.

    Optional: `input_key` (typed once, however often it is sent), `if_idle_ms` and `expect_screen`
    (refused when the session is busy, or its screen has changed), `paste` (long lines are meant).
    A session that a signal has stopped is continued first; the answer then says `continued`.
    """
    session, has_left = node.session(request), caller.has_left
    data = request.get("data") or b""
    key = request.get("input_key") or ""
    if len(key) > MAX_KEY_LENGTH:
        raise RequestError(f"an input key has at most {MAX_KEY_LENGTH} characters", TOO_LARGE)

    was_halted: list[bool] = []

    def write(before: Callable[[], None]) -> int:
        _check(session, request, data, has_left)
        was_halted.append(node.sessions.ending.go_on(session))
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
    except InputClosed as error:
        taken = f" (it took {error.written} bytes)" if error.written else ""
        raise RequestError(f"session {session.id} is not running{taken}", NOT_RUNNING) from error
    answer: Message = {"type": "InputSent", "bytes": len(data) if count is None else count}
    answer["continued"] = any(was_halted) or None
    if is_repeated:
        answer["repeated"] = True
    if count is None:
        answer["uncertain"] = True
    return answer


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
