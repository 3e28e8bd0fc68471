"""`cw send`: type into a session without attaching to it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.wire.answers.screens import Submitted

# One keystroke every 15 ms: what programs that tell typing from pasting by time take as typing.
KEY_SECONDS = 0.015
CHUNK = 16 * 1024


def send(args: dict[str, Any], context: Context) -> int:
    """Type into a session without attaching, from an argument, stdin or a file.

    A text is typed as a person does: Enter is pressed once the screen shows it, and never at a
    dialog, a menu or a pager. Said is what is known then: submitted, typed (not confirmed), or
    refused and why (exit 1). Bytes go as they are with --no-newline, --stdin, --file, --type and
    with --force; stdin and files get a newline if they lack one, and type nothing if empty.

    Usage:
      cw send [options] <session> [<input>]

    Options:
          --stdin        Send what stdin says, as it comes
      -f, --file <path>  Send the content of a file
      -n, --no-newline   Add no newline
          --keys <keys>  Press keys by name: "Esc Up Enter C-c S-Tab F5 M-x 'text' Down x3"
          --submit       Submit what stdin or a file says, as a text given here
          --force        Type the text and a newline, whatever the screen shows
          --paste        As one bracketed paste where the program takes pastes, then Enter
          --type         Send key by key at typing speed, then Enter
          --enter        Press Enter at the end (as without it; with --stdin and --file instead of
                         a newline)
          --key <key>    Type it once, however often it is sent with the same key
          --if-idle <seconds>     Only if the session has printed nothing for so long
          --expect-screen <hash>  Only if the screen is still the one with this hash (cw screen)
      -j, --json         Print bytes, verdict and reason as JSON on stdout

    Examples:
      cw send 1 "Status update?"
      cw send planner y --no-newline
      echo "command" | cw send 1 --stdin
      cw send 1 --file commands.txt
      cw send agent "Run the tests" --if-idle 2 --key step-7
      cw send agent --keys "Esc C-u 'try again' Enter"
    """
    from codewire.client.addressing import resolve_session

    _check(args)
    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    told: list[str] = []
    answer = _send(client.telling(_listener(told)), session_id, args)
    if told:
        answer = answer._replace(repeated=True, sent={**answer.sent, "repeated": True})
    return _say(args, session_id, answer)


def _listener(told: list[str]) -> Callable[[str], None]:
    """Return what takes a client's notices: that it was sent before is kept in `told`."""
    from codewire.client.prompting import ALREADY_SENT

    return lambda text: told.append(text) if text == ALREADY_SENT else output.note(text)


def _send(client: Client, session_id: int, args: dict[str, Any]) -> Submitted:
    """Send what the options say and return what is known of it."""
    if args["--keys"] is not None:
        count = client.send_keys(
            session_id,
            args["--keys"],
            key=args["--key"],
            if_idle_seconds=args["--if-idle"],
            expect_screen=args["--expect-screen"],
        )
        return _counted(count)
    if _is_submitted(args):
        data = b"".join(_source(args))
        if not data and args["<input>"] is None:
            return _counted(0)
        return client.submit(
            session_id,
            data.decode("utf-8", "surrogateescape"),
            key=args["--key"],
            if_idle_seconds=args["--if-idle"],
            expect_screen=args["--expect-screen"],
            paste=args["--paste"],
        )
    return _counted(_send_bytes(client, session_id, args))


def _counted(count: int) -> Submitted:
    """Return what is known of bytes that were typed as they are."""
    from codewire.wire.answers.screens import Submitted

    return Submitted(bytes=count, sent={"bytes": count})


def _check(args: dict[str, Any]) -> None:
    """Refuse options that contradict each other, before anything is sent."""
    if args["--paste"] and args["--type"]:
        raise UsageError("--paste and --type are mutually exclusive")
    has_source = args["<input>"] is not None or args["--stdin"] or args["--file"] is not None
    if args["--keys"] is not None:
        if has_source or args["--paste"] or args["--type"] or args["--enter"]:
            raise UsageError("--keys takes no other input: text goes in quotes: --keys \"'text'\"")
    elif not has_source:
        from codewire.term.keys import looks_like_key

        if looks_like_key(args["--key"] or ""):
            raise UsageError(f"no input source specified; did you mean --keys {args['--key']}?")
        raise UsageError("no input source specified")
    if args["--enter"] and args["--no-newline"]:
        raise UsageError("--enter and --no-newline are mutually exclusive")
    if args["--submit"] and (args["--no-newline"] or args["--type"] or args["--force"]):
        raise UsageError("--submit presses Enter: not with --no-newline, --type or --force")


def _is_submitted(args: dict[str, Any]) -> bool:
    """Say whether Enter waits for the screen, rather than bytes being sent as they are."""
    if args["--no-newline"] or args["--type"] or args["--force"]:
        return False
    return args["--submit"] or args["<input>"] is not None or args["--paste"]


def _say(args: dict[str, Any], session_id: int, answer: Submitted) -> int:
    """Say what was sent and what is known of it; return the exit status."""
    from codewire.client.prompting import REFUSED, TYPED, refusal

    is_refused = answer.verdict == REFUSED
    if args["--json"]:
        wanted = ("bytes", "verdict", "reason", "screen_text", "repeated", "uncertain")
        facts = {key: answer.sent[key] for key in wanted if answer.sent.get(key) is not None}
        output.line(output.compact_json({"id": session_id, **facts}))
        return int(is_refused)
    if answer.repeated:
        output.note(f"already sent to session {session_id} with this key; nothing was typed again")
    elif answer.bytes or not is_refused:
        output.note(f"Sent {answer.bytes} bytes to session {session_id}")
    if is_refused:
        output.note("\n".join(map(output.plain, refusal(session_id, answer).splitlines())))
        return 1
    if answer.verdict:
        output.note("typed, not confirmed" if answer.verdict == TYPED else answer.verdict)
    return 0


def _send_bytes(client: Client, session_id: int, args: dict[str, Any]) -> int:
    """Send input as it is; return how many bytes."""
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
    return sent


def _keystrokes(args: dict[str, Any]) -> Iterator[bytes]:
    """Yield the input in the pieces to send it in."""
    enter = b"" if args["--no-newline"] else b"\r"
    if args["--paste"]:
        from codewire.term.paste import as_typed

        yield as_typed(b"".join(_source(args))) + enter
    elif args["--type"]:
        is_empty = args["<input>"] is None
        for data in _source(args):
            is_empty = False
            yield from (data[i : i + 1] for i in range(len(data)))
        if enter and not is_empty:
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
    elif not args["--no-newline"] and (is_argument or last not in (b"", b"\n")):
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
