"""Pressing keys by name, one write each, with the pauses that programs need (spec/submit.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codewire.term.keys import Key

KEY_SECONDS = 0.02
# What follows sooner is taken for Alt and a letter.
ESCAPE_SECONDS = 0.1
# What comes before Enter sooner is taken for a paste.
ENTER_SECONDS = 0.3


def press(
    keys: Sequence[Key],
    encode: Callable[[Key], bytes],
    write: Callable[[bytes], None],
    await_read: Callable[[], None],
    pause: Callable[[float], None],
) -> int:
    """Press keys in order; return how many bytes were typed."""
    count = 0
    for number, key in enumerate(keys):
        if number:
            await_read()
            pause(_gap(keys[number - 1], key, number))
        data = encode(key)
        write(data)
        count += len(data)
    return count


def _gap(last: Key, key: Key, number: int) -> float:
    is_enter = key.name == "enter" and not key.is_text
    has_text = number > 1 or last.is_text or len(last.name) == 1
    if is_enter and has_text:
        return ENTER_SECONDS
    return ESCAPE_SECONDS if last.name == "esc" and not last.is_text else KEY_SECONDS
