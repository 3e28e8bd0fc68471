"""`cw watch`: follow a session, or every session with a tag, without attaching."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from codewire.client.feedback import refuse_own
from codewire.commands import output
from codewire.commands.sessions.logs import note_gap
from codewire.errors import CodewireError, RequestError, UsageError
from codewire.term.modes import Modes
from codewire.term.paint import wrap
from codewire.term.queries import find_unfinished, mask_queries
from codewire.term.strip import AnsiStripper
from codewire.term.width import display_width, printable
from codewire.wire import events
from codewire.wire.codes import NO_SUCH_SESSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import Queue
    from types import FrameType

    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.commands.jsonlines import JsonLines
    from codewire.wire.answers.sessions import SessionInfo

    # What a follower hands to the printer: its number, then text, an error, or None for its end.
    Report = tuple[int, str | CodewireError | None]

# A line without an end that stands this long is shown on a terminal: it may be a question.
IDLE_SECONDS = 1.0
MAX_PENDING = 16 * 1024
# With less room behind a label its lines are left to the terminal.
MIN_ROOM = 20
# Followers wait when the printer lags: nothing piles up in memory.
QUEUE_LENGTH = 64


class _TimeIsUp(BaseException):
    """--timeout has passed. Not an Exception: nothing on the way may take it for a failure."""


def watch(args: dict[str, Any], context: Context) -> int:
    """Follow the output of a session until it ends, without attaching.

    A word that is no session's id or name is taken for a tag: all sessions that carry it now are
    followed. Several are followed at once, each line with the name of its session in front; on a
    terminal, it also says when the state of one changes, and why.

    Usage:
      cw watch [options] [<session-or-tag>...]

    Options:
          --tag <tag,...>       Follow the sessions with any of these tags; repeatable
      -t, --tail <n>            Start with the last n lines instead of everything
          --no-history          Only new output
          --timeout <seconds>   Stop watching after this time (0: never)
      -o, --output <text|json>  json: one JSON value a line, made of the lines that are none
          --filter <path>       With --output json: only this part of each value, like .a.b[0]
          --grant <token>       Of a session of another node: its messages, by this access grant

    Examples:
      cw watch 1
      cw watch planner --tail 50
      cw watch worker --timeout 60
      cw watch build test lint
      cw watch claude --output json --filter .message.content
    """
    output.require_stdout()
    convert = _converter(args)
    if not args["<session-or-tag>"] and not args["--tag"]:
        raise UsageError("requires at least 1 arg(s), only received 0")
    options = {"include_history": not args["--no-history"], "history_lines": args["--tail"]}
    try:
        if args["--timeout"]:
            _set_alarm(args["--timeout"])
        seen = _by_grant(args, context)
        if seen is not None:
            return _watch_messages(*seen, args)
        single = _single(args, context)
        if single is not None:
            return _watch_one(*single, options, convert)
        if convert is not None:
            raise UsageError("--output json follows a single session, not several")
        return _watch_many(_selected(args, context), options)
    except _TimeIsUp:
        output.note("\n[cw] watch timeout reached")
        return 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _by_grant(args: dict[str, Any], context: Context) -> tuple[Client, str] | None:
    """Return whose messages are to be watched, None where it is the output.

    That is a session of a node that is somebody else's: what a grant, given or accepted, lets one
    see of it. Raises UsageError for a grant that is of no use.
    """
    refs, grant = args["<session-or-tag>"], args["--grant"]
    if len(refs) != 1 or args["--tag"] or ":" not in refs[0]:
        if grant:
            raise UsageError("--grant is for one session of another node, like <node>:<session>")
        return None
    client, ref = context.locate(refs[0], may_be_tag=True)
    way = client.route.peer()
    is_granted = grant or (way is not None and not way.is_own() and way.may_listen(ref))
    return (client, ref) if is_granted else None


def _watch_messages(client: Client, ref: str, args: dict[str, Any]) -> int:
    from codewire.commands.letters import show_happenings

    output.notice("a grant shows a session's messages, not its output")
    frames = client.listen(ref, grant=args["--grant"] or "")
    return show_happenings(frames, as_json=args["--output"] == "json")


def _set_alarm(seconds: float) -> None:
    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _converter(args: dict[str, Any]) -> JsonLines | None:
    """Return what --output json needs, None for text."""
    if args["--output"] != "json":
        if args["--filter"] is not None:
            raise UsageError("--filter requires --output json")
        return None
    from codewire.commands.jsonlines import JsonLines

    return JsonLines(args["--filter"])


def _watch_one(
    client: Client, session_id: int, options: dict[str, Any], convert: JsonLines | None
) -> int:
    onlooker = _Onlooker() if convert is None and output.is_terminal() else None
    shower = refuse_own(client, session_id, "watching it here")
    try:
        for chunk in client.watch(session_id, from_session=shower, **options):
            note_gap(chunk.gap)
            text = chunk.text if convert is None else convert.feed(chunk.text, _now())
            output.write(onlooker.feed(text) if onlooker else text, flush=True)
        if convert is not None:
            output.write(convert.finish(_now()))
    finally:
        if onlooker:
            output.write(onlooker.leave(), flush=True)
    return 0


class _Onlooker:
    """Keeps a terminal that only looks on from answering queries, and leaves it as it was."""

    def __init__(self) -> None:
        self._held = b""
        self._modes = Modes()

    def feed(self, text: str) -> str:
        data = self._held + text.encode("utf-8", "replace")
        stop = find_unfinished(data)
        data, self._held = mask_queries(data[:stop]), data[stop:]
        self._modes.note(data)
        return data.decode("utf-8", "replace")

    def leave(self) -> str:
        """Return what undoes everything that was switched."""
        return self._modes.leave().decode()


def _now() -> str:
    from codewire.wire.timestamps import format_nanos

    return format_nanos(time.time_ns())


def _single(args: dict[str, Any], context: Context) -> tuple[Client, int] | None:
    """Return the one session a command line names, None when it names several, or a tag."""
    words = args["<session-or-tag>"]
    if len(words) != 1 or args["--tag"]:
        return None
    client, found = context.find(words[0])
    return (client, found) if isinstance(found, int) else None


def _selected(args: dict[str, Any], context: Context) -> list[tuple[Client, int, str]]:
    """Return the sessions to follow, each once, with what to call them. Raises RequestError."""
    found: dict[tuple[str, int], tuple[Client, int, str]] = {}
    for node, client, target in _wanted(args, context):
        matching = [
            session
            for session in _candidates(client, target)
            if session.id == target or target in session.tags
        ]
        if not matching and isinstance(target, int):
            raise RequestError(f"session {target} not found", NO_SUCH_SESSION)
        if not matching:
            raise CodewireError(f'no sessions found with tag "{target}"')
        for session in matching:
            label = f"{node}:{session.label}" if node else session.label
            found[node, session.id] = (client, session.id, label)
    return list(found.values())


def _candidates(client: Client, target: int | str) -> list[SessionInfo]:
    if isinstance(target, str):
        return client.find_sessions(tag=target)
    return client.find_sessions(session_id=target)


def _wanted(args: dict[str, Any], context: Context) -> Iterator[tuple[str, Client, int | str]]:
    """Yield node ("" unless a word names it), client, and session id or tag of what is asked for.

    With --tag a saved server's name says where the tags are.
    """
    tags = args["--tag"]
    nodes = [word for word in args["<session-or-tag>"] if tags and context.names_node(word)]
    for word in args["<session-or-tag>"]:
        if word not in nodes:
            client, target = context.find(word)
            yield "" if target == word else word.rpartition(":")[0], client, target
    for tag in tags:
        for node in nodes or [""]:
            yield node, context.client_of(node) if node else context.client(), tag


def _watch_many(sessions: list[tuple[Client, int, str]], options: dict[str, Any]) -> int:
    """Follow sessions until all have ended; 1 if following one of them failed."""
    from queue import Queue
    from threading import Thread

    reports: Queue[Report] = Queue(QUEUE_LENGTH)
    for number, (client, session_id, _) in enumerate(sessions):
        follow = _follower(client, session_id, options, number, reports)
        Thread(target=follow, daemon=True).start()
        if output.is_terminal():
            Thread(target=_state_follower(client, session_id, number, reports), daemon=True).start()
    return _Printer([label for _, _, label in sessions]).run(reports)


def _follower(
    client: Client,
    session_id: int,
    options: dict[str, Any],
    number: int,
    reports: Queue[Report],
) -> Callable[[], None]:
    def follow() -> None:
        try:
            shower = refuse_own(client, session_id, "watching it here")
            for chunk in client.watch(session_id, from_session=shower, **options):
                note_gap(chunk.gap)
                reports.put((number, chunk.text))
        except CodewireError as error:
            reports.put((number, error))
        except Exception as error:  # noqa: BLE001 - a thread's top: the printer must learn of it
            reports.put((number, CodewireError(f"{type(error).__name__}: {error}")))
        finally:
            reports.put((number, None))

    return follow


class _State(str):
    """A line about a session's state, not of its output."""


def _state_follower(
    client: Client, session_id: int, number: int, reports: Queue[Report]
) -> Callable[[], None]:
    """Return what reports changes of state; for a node without them, nothing comes."""

    def follow() -> None:
        from codewire.wire.answers.events import Event

        try:
            for frame in client.subscribe(session_id, (), [events.STATE]):
                data = frame.data if isinstance(frame, Event) else {}
                if data.get("to"):
                    words = [str(data[key]) for key in ("to", "kind", "reason") if data.get(key)]
                    reports.put((number, _State(" ".join(words))))
        except CodewireError:
            # Whoever follows the output says so.
            return

    return follow


class _Printer:
    """Prints the output of several sessions line by line, each line with its session's label."""

    def __init__(self, labels: list[str]) -> None:
        self._labels = labels
        # Aligned for people; programs match upstream's `[label] text`.
        paint = output.paint()
        labels = [printable(label) for label in labels] if output.is_terminal() else labels
        width = max(map(display_width, labels)) if output.is_terminal() else 0
        self._prefixes = [
            paint.label(f"[{label}]", number) + " " * max(1, width - display_width(label) + 1)
            for number, label in enumerate(labels)
        ]
        self._indent = width + 3
        # A terminal is shared: no session may clear it, switch it, ask it, or paint over a label.
        self._strippers = [AnsiStripper() for _ in labels] if output.is_terminal() else []
        self._pending = [""] * len(labels)
        self._status = 0

    def run(self, reports: Queue[Report]) -> int:
        """Print until every session's follower has reported its end."""
        from queue import Empty

        open_count = len(self._labels)
        idle = IDLE_SECONDS if output.is_terminal() else None
        while open_count:
            try:
                number, report = reports.get(timeout=idle)
            except Empty:
                self._flush_all()
                continue
            if report is None:
                open_count -= 1
                self._flush(number)
            elif isinstance(report, CodewireError):
                self._fail(number, report)
            elif isinstance(report, _State):
                self._say(number, report)
            else:
                self._add(number, report)
        return self._status

    def _add(self, number: int, text: str) -> None:
        if self._strippers:
            text = (
                self._strippers[number]
                .feed(text.encode("utf-8", "replace"))
                .decode("utf-8", "replace")
            )
        *lines, rest = (self._pending[number] + text).split("\n")
        if self._strippers:
            lines = [self._hanging(_last_state(line)) for line in lines]
        prefix = self._prefixes[number]
        output.write("".join(f"{prefix}{line}\n" for line in lines), flush=True)
        self._pending[number] = rest
        if len(rest) > MAX_PENDING:
            self._flush(number)

    def _hanging(self, line: str) -> str:
        """Break a line where the terminal would, but with its further rows behind the label."""
        room = output.terminal_width() - self._indent
        if room < MIN_ROOM:
            return line
        first, *rest = wrap(line.expandtabs(), room)
        return "\n".join([first, *(" " * self._indent + row for row in rest)])

    def _say(self, number: int, text: str) -> None:
        self._flush(number)
        output.write(f"{self._prefixes[number]}[cw] {printable(text)}\n", flush=True)

    def _flush(self, number: int) -> None:
        if self._pending[number]:
            self._add(number, "\n")

    def _flush_all(self) -> None:
        for number in range(len(self._labels)):
            self._flush(number)

    def _fail(self, number: int, error: CodewireError) -> None:
        self._flush(number)
        output.note(f"[{self._labels[number]}] error: {error}")
        self._status = error.exit_code


def _last_state(line: str) -> str:
    """Return what a line shows that carriage returns have begun again: a progress bar's end."""
    return line.rstrip("\r").rpartition("\r")[2]
