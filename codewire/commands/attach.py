"""`cw attach` and `cw send`: type into a session, with a terminal or without."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from codewire.commands.context import Context

PASTE_START, PASTE_END = b"\x1b[200~", b"\x1b[201~"
# One keystroke every 15 ms: what programs that tell typing from pasting by time take as typing.
KEY_SECONDS = 0.015
CHUNK = 16 * 1024


def attach(args: dict[str, Any], context: Context) -> int:
    """Take over the terminal of a session: see what it shows, type into it.

    Detach with Ctrl+B, then d; the session keeps running. Ctrl+B twice types one Ctrl+B.
    Without a session: the oldest running one nobody is attached to.

    Usage:
      cw attach [options] [<session>]

    Options:
          --no-history  Do not show what it has printed so far

    Examples:
      cw attach
      cw attach planner
    """
    from codewire.client import attach as attach_client
    from codewire.client.addressing import resolve_session

    if args["<session>"]:
        client, ref = context.locate(args["<session>"])
        session_id = resolve_session(client, ref)
    else:
        client = context.client()
        session_id = attach_client.pick_session(client)
    return attach_client.run(client, session_id, include_history=not args["--no-history"])


def send(args: dict[str, Any], context: Context) -> int:
    """Type into a session without attaching, from an argument, stdin or a file.

    An argument gets a newline (Enter) at its end; stdin and files only if they lack one.

    Usage:
      cw send [options] <session> [<input>]

    Options:
          --stdin        Send what stdin says, as it comes
      -f, --file <path>  Send the content of a file
      -n, --no-newline   Add no newline
          --paste        Send as one bracketed paste, then Enter
          --type         Send key by key at typing speed, then Enter

    Examples:
      cw send 1 "Status update?"
      cw send planner y --no-newline
      echo "command" | cw send 1 --stdin
      cw send 1 --file commands.txt
    """
    from codewire.client.addressing import resolve_session

    if args["--paste"] and args["--type"]:
        raise UsageError("--paste and --type are mutually exclusive")
    if args["<input>"] is None and not args["--stdin"] and args["--file"] is None:
        raise UsageError("no input source specified")
    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    sent = 0
    for data in _keystrokes(args):
        if sent and args["--type"]:
            time.sleep(KEY_SECONDS)
        sent += client.send_input(session_id, data)
    output.note(f"Sent {sent} bytes to session {session_id}")
    return 0


def _keystrokes(args: dict[str, Any]) -> Iterator[bytes]:
    """Yield the input in the pieces to send it in."""
    enter = b"" if args["--no-newline"] else b"\r"
    if args["--paste"]:
        # An end mark inside the text would end the paste early and type the rest.
        pasted = b"".join(_source(args)).replace(PASTE_END, b"")
        yield PASTE_START + pasted + PASTE_END + enter
    elif args["--type"]:
        for data in _source(args):
            yield from (data[i : i + 1] for i in range(len(data)))
        if enter:
            yield enter
    else:
        yield from _with_newline(args)


def _with_newline(args: dict[str, Any]) -> Iterator[bytes]:
    last = b""
    for data in _source(args):
        yield data
        last = data[-1:]
    is_argument = args["<input>"] is not None
    if not args["--no-newline"] and (is_argument or last != b"\n"):
        yield b"\n"


def _source(args: dict[str, Any]) -> Iterator[bytes]:
    if args["<input>"] is not None:
        yield args["<input>"].encode("utf-8", "surrogateescape")
    elif args["--stdin"]:
        if sys.stdin is None:
            raise UsageError("stdin is closed")
        yield from _chunks(sys.stdin.buffer)
    else:
        try:
            with open(args["--file"], "rb") as file:
                yield from _chunks(file)
        except OSError as error:
            raise UsageError(f"reading file: {output.go_cause(error)}") from error


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a file has as it becomes readable, at most 16 KiB at a time."""
    read = getattr(file, "read1", file.read)
    while data := read(CHUNK):
        yield data
