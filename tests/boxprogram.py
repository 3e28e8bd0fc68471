"""A small full-screen program with an input box, for tests of typing: what agents do, in little.

`boxprogram.py [burst=MS] [slow] [kitty] [spinner] [echo=off] [menu]`: it takes pastes, treats an
Enter within MS of the last key as a newline, reads a byte at a time, asks for all keys as CSI u,
never stops printing, shows nothing of what is typed, or begins with a menu that Enter answers.
What is submitted is one line of JSON in the file $BOX_LOG; so is the choice in the menu.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import termios
import time
import tty

PASTE = re.compile(rb"\x1b\[200~(.*?)\x1b\[201~", re.DOTALL)


def main() -> None:
    flags = set(sys.argv[1:])
    burst = next((int(f[6:]) for f in flags if f.startswith("burst=")), 0) / 1000
    saved = termios.tcgetattr(0)
    tty.setraw(0)
    out("\x1b[?2004h" + ("\x1b[>8u" if "kitty" in flags else "") + "\x1b[2J\x1b[H")
    try:
        if "menu" in flags:
            menu()
        box(burst, flags)
    finally:
        out("\x1b[?2004l")
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def out(text: str) -> None:
    os.write(1, text.encode())


def note(kind: str, text: str) -> None:
    with open(os.environ["BOX_LOG"], "a", encoding="utf-8") as file:
        file.write(json.dumps([kind, text]) + "\n")


def menu() -> None:
    out("Do you want to proceed?\r\n❯ 1. Yes\r\n  2. No\r\n")
    while True:
        key = os.read(0, 1)
        if key in (b"1", b"2", b"\r"):
            note("chosen", key.decode())
            return
        if key == b"x":
            return


def box(burst: float, flags: set[str]) -> None:
    lines, pending, last, turn = [""], b"", 0.0, 0
    draw(lines, flags, turn)
    while True:
        ready = select.select([0], [], [], 0.05 if "spinner" in flags else None)[0]
        turn += 1
        if ready:
            if "slow" in flags:
                time.sleep(0.002)
            pending += os.read(0, 1 if "slow" in flags else 4096)
            now = time.monotonic()
            lines, pending = take(lines, pending, now - last < burst, flags)
            last = time.monotonic()
        draw(lines, flags, turn)


def take(
    lines: list[str], pending: bytes, is_burst: bool, flags: set[str]
) -> tuple[list[str], bytes]:
    enter = b"\x1b[13u" if "kitty" in flags else b"\r"
    while pending:
        paste = PASTE.match(pending)
        if paste:
            lines = join(lines, paste[1].decode().replace("\r", "\n"))
            pending, is_burst = pending[paste.end() :], True
        elif pending.startswith(b"\x1b"):
            if pending.startswith(enter) and "kitty" in flags:
                lines = submit(lines)
                pending = pending[len(enter) :]
                continue
            return lines, pending
        elif pending.startswith(b"\r"):
            lines = join(lines, "\n") if is_burst or "kitty" in flags else submit(lines)
            pending = pending[1:]
        else:
            size = len(pending) if b"\x1b" not in pending else pending.index(b"\x1b")
            text = pending[:size]
            head, enter_key, rest = text.partition(b"\r")
            lines = join(lines, head.decode("utf-8", "replace"))
            pending, is_burst = enter_key + rest + pending[size:], bool(burst_of(flags))
    return lines, pending


def burst_of(flags: set[str]) -> int:
    return next((int(f[6:]) for f in flags if f.startswith("burst=")), 0)


def join(lines: list[str], text: str) -> list[str]:
    first, *more = text.split("\n")
    return [*lines[:-1], lines[-1] + first, *more]


def submit(lines: list[str]) -> list[str]:
    if any(lines):
        note("submitted", "\n".join(lines))
    return [""]


def draw(lines: list[str], flags: set[str], turn: int) -> None:
    shown = [""] if "echo=off" in flags else lines[-10:]
    glyph = "|/-\\"[turn % 4] if "spinner" in flags else "="
    head = f"\x1b[H\x1b[J{glyph} a program\r\n\r\n"
    out(head + "\r\n".join(f"{'> ' if n == 0 else '  '}{line}" for n, line in enumerate(shown)))


if __name__ == "__main__":
    main()
