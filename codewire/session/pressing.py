"""Keys by name, pressed in a session: each encoded by the modes its program has set by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from codewire.errors import LogUnavailable
from codewire.session.session import Session
from codewire.session.teletype import SessionTeletype
from codewire.session.typing import Keyboard
from codewire.term.keys import Key, encode_key
from codewire.term.modes import Modes
from codewire.terminal.display import check_size
from codewire.terminal.input import holding, never
from codewire.terminal.keying import press
from codewire.terminal.turns import ScreenUnknown

# A program that does not read between two keys gets them one after the other all the same.
READ_SECONDS = 2.0


def press_keys(
    session: Session,
    keyboard: Keyboard,
    keys: Sequence[Key],
    before: Callable[[], None] | None = None,
    has_left: Callable[[], bool] = never,
) -> int:
    """Press keys; return how many bytes were typed. Raises InputClosed."""
    teletype = SessionTeletype(session, keyboard, before=before, has_left=has_left)
    with holding(session.terminal.turn, lambda: not session.is_running() or has_left()):
        try:
            return press(
                keys,
                lambda key: encoded(session, teletype, key),
                teletype.write,
                lambda: await_read(teletype),
                teletype.pause,
            )
        finally:
            if teletype.count:
                keyboard.publish_input(session, "send", teletype.count)


def encoded(session: Session, teletype: SessionTeletype, key: Key) -> bytes:
    """Return a key's bytes by the modes of this moment; those of a new terminal where unknown."""
    if key.is_text:
        return encode_key(key, Modes())
    try:
        check_size(*session.size())
        return teletype.see(lambda screen, _: encode_key(key, screen.modes))
    except (LogUnavailable, ScreenUnknown):
        return encode_key(key, Modes())


def await_read(teletype: SessionTeletype) -> None:
    """Wait a moment until the program has read the last key."""
    deadline = time.monotonic() + READ_SECONDS
    while not teletype.is_canonical() and teletype.unread() and time.monotonic() < deadline:
        teletype.pause(0.004)
