"""`cw send`: type into a session without attaching to it."""

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

# One keystroke every 15 ms: what programs that tell typing from pasting by time take as typing.
KEY_SECONDS = 0.015
CHUNK = 16 * 1024


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
          --enter        Press Enter (a carriage return) at the end instead of a newline
          --key <key>    Type it once, however often it is sent with the same key
          --if-idle <seconds>     Only if the session has printed nothing for so long
          --expect-screen <hash>  Only if the screen is still the one with this hash (cw screen)

    Examples:
      cw send 1 "Status update?"
      cw send planner y --no-newline
      echo "command" | cw send 1 --stdin
      cw send 1 --file commands.txt
      cw send agent "Run the tests" --enter --if-idle 2 --key step-7
    """
    from codewire.client.addressing import resolve_session

    if args["--paste"] and args["--type"]:
        raise UsageError("--paste and --type are mutually exclusive")
    if args["<input>"] is None and not args["--stdin"] and args["--file"] is None:
        raise UsageError("no input source specified")
    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    if args["--enter"] and args["--no-newline"]:
        raise UsageError("--enter and --no-newline are mutually exclusive")
    pieces = _keystrokes(args)
    if args["--key"] and not args["--type"]:
        # One text, one key: what comes from a pipe must be whole.
        pieces = iter([b"".join(pieces)])
    sent = 0
    for number, data in enumerate(pieces):
        if number and args["--type"]:
            time.sleep(KEY_SECONDS)
        key = args["--key"]
        sent += client.send_input(
            session_id,
            data,
            key=f"{key}.{number}" if key and number else key,
            if_idle_seconds=None if number else args["--if-idle"],
            expect_screen=None if number else args["--expect-screen"],
            paste=args["--paste"],
        )
    output.note(f"Sent {sent} bytes to session {session_id}")
    return 0


def _keystrokes(args: dict[str, Any]) -> Iterator[bytes]:
    """Yield the input in the pieces to send it in."""
    enter = b"" if args["--no-newline"] else b"\r"
    if args["--paste"]:
        from codewire.term.paste import as_typed

        yield as_typed(b"".join(_source(args))) + enter
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
    if args["--enter"]:
        yield b"\r"
    elif not args["--no-newline"] and (is_argument or last != b"\n"):
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
