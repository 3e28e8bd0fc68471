"""A full-screen program for tests: curses, raw keys, bracketed paste on.

Appends what is submitted, one JSON string a line, to the file named on its command line: text from
pastes and typed printable characters, submitted by Enter outside a paste. Shows the end of what is
in its box, as editors do.
"""

from __future__ import annotations

import curses
import json
import os
import sys

START, END = b"\x1b[200~", b"\x1b[201~"


def show(screen: curses.window, text: bytes) -> None:
    """Draw the box: a prompt and the end of the text's last line, the cursor behind it."""
    last = text.decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
    screen.addstr(2, 0, "> " + last[-60:])
    screen.clrtoeol()
    screen.refresh()


def main(screen: curses.window) -> None:
    curses.raw()
    os.write(1, b"\x1b[?1;2004h")
    screen.addstr(0, 0, "ready")
    show(screen, b"")
    unread = bytearray()
    text = bytearray()
    while True:
        unread += os.read(0, 65536)
        while unread:
            if unread.startswith(START):
                end = unread.find(END)
                if end < 0:
                    break
                # Terminals paste the end of a line as Enter sends it.
                text += unread[len(START) : end].replace(b"\r", b"\n")
                del unread[: end + len(END)]
            elif START.startswith(unread[:6]) and len(unread) < 6:
                break
            elif unread[:1] in (b"\r", b"\n"):
                del unread[:1]
                with open(sys.argv[1], "a") as file:
                    file.write(json.dumps(text.decode()) + "\n")
                text.clear()
            else:
                text += unread[:1]
                del unread[:1]
        show(screen, bytes(text))


curses.wrapper(main)
