"""`cw msg`, `cw inbox`, `cw request`, `cw reply`, `cw listen`: sessions that talk to each other.

What others wrote is printed with its control characters spelt out. Reply tokens are shown with
--json only: whoever has one can answer in the recipient's name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.letters import label, show_happenings, shown
from codewire.commands.talk.parties import letter_from, own_session, resolve
from codewire.errors import RequestTimedOut, UsageError
from codewire.wire import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.term.paint import Paint
    from codewire.wire.answers.messages import Inbox, MessageSent, Reply, ReplySent

# Of --timeout 0, as the node has it.
DEFAULT_TIMEOUT = 60.0
# As -t of this command only: zero and less mean all.
ALL = 0
MAX_TAIL = (1 << 32) - 1


def msg(args: dict[str, Any], context: Context) -> int:
    """Send a message to a session: into its inbox, its terminal, or both.

    The sender is --from, else the session this command runs in, else nobody. Text is typed only
    where a program takes it as text: at a shell's prompt it goes to the inbox alone. A session of
    another node of the network (dev-1:coder) is sent to by a session of this one, into its inbox
    unless --delivery says otherwise.

    Usage:
      cw msg [options] <session> <body>

    Options:
      -f, --from <session>                  Send as this session
          --delivery <auto|inbox|pty|both>  inbox: kept until read with 'cw inbox'; pty: typed into
                                            its terminal, not kept; both; auto: both when there is
                                            a sender, else inbox [default: auto]
          --force                           Type it even if a shell will read it

    Examples:
      cw msg coder "start with the auth module"
      cw msg -f planner coder "start with the auth module"
      cw msg --delivery pty 3 "check this out"
      cw msg -f planner dev-1:coder "start with the auth module"
    """
    client, recipient, sender = letter_from(args["<session>"], args["--from"], context)
    answer = client.msg(
        recipient,
        args["<body>"],
        **sender,
        delivery=args["--delivery"],
        force=bool(args["--force"]),
    )
    output.note(f"Message sent: {answer.message_id}")
    _show_note(answer)
    return 0


def request(args: dict[str, Any], context: Context) -> int:
    """Ask a session something and wait for its reply.

    The session sees the question in its inbox, and in its terminal as 'msg' would type it; it
    answers with 'cw reply'. Without an answer in time this fails, but the question stays open.

    Usage:
      cw request [options] <session> <body>

    Options:
      -f, --from <session>                  Ask as this session
          --timeout <seconds>               Wait this long, then exit 124 (0: 60) [default: 60]
          --raw                             Print the reply alone, as it came
          --delivery <auto|inbox|pty|both>  How it reaches the session, as in 'msg'; it is always
                                            kept in the inbox [default: auto]
          --force                           Type it even if a shell will read it

    Examples:
      cw request coder "ready for review?"
      cw request -f planner coder "status?" --timeout 30
      answer=$(cw request --raw coder "which branch?")
      cw request -f planner dev-1:coder "ready for review?"
    """
    # Without the flag it is the text of the default.
    timeout = float(args["--timeout"]) or DEFAULT_TIMEOUT
    context.give_up_after(timeout)
    client, recipient, sender = letter_from(args["<session>"], args["--from"], context)
    try:
        answer = client.request(
            recipient,
            args["<body>"],
            **sender,
            timeout_seconds=timeout,
            delivery=args["--delivery"],
            force=bool(args["--force"]),
        )
    except RequestTimedOut as error:
        if error.note:
            output.notice(error.note)
        whose = str(args["--from"] or sender["sender"] or args["<session>"])
        if isinstance(recipient, str):
            # The reply is where the question is.
            whose = recipient
        if ":" not in whose:
            whose = "".join(args["<session>"].rpartition(":")[:2]) + whose
        later = f"{error}\n\nUse 'cw inbox {whose}' to see the reply if it comes later"
        raise RequestTimedOut(later, error.request_id) from error
    _show_note(answer)
    body = answer.reply_body
    if args["--raw"]:
        output.line(body)
    else:
        replier = answer.from_name or answer.from_id
        output.line(f"[reply from {replier}] {shown(body)}")
    return 0


def reply(args: dict[str, Any], context: Context) -> int:
    """Answer a request, which 'cw inbox' shows with its id.

    Only the session that was asked may answer: --from, else the session this command runs in.

    Usage:
      cw reply [options] <request-id> <body>

    Options:
      -f, --from <session>       Answer as this session
          --reply-token <token>  Answer with the request's token instead, as 'cw inbox --json',
                                 'cw listen --json' and 'cw subscribe --json' show it

    Examples:
      cw reply req_x7y8z9 "yes, PR #42 is up"
      cw reply -f coder req_x7y8z9 "yes, PR #42 is up"
    """
    if args["--from"]:
        client, ref = context.locate(args["--from"])
        sender: dict[str, Any] = {"sender": resolve(client, ref)}
    else:
        client = context.client()
        sender = own_session(client)
    token = args["--reply-token"] or ""
    answer = client.reply(args["<request-id>"], args["<body>"], **sender, reply_token=token)
    output.note(f"Reply sent for request {answer.request_id}")
    _show_note(answer)
    return 0


def inbox(args: dict[str, Any], context: Context) -> int:
    """Show what a session was sent and has sent; requests it has not answered come first.

    A reply stands below its request. Nothing is marked as read. Of a node behind a relay it takes
    an access grant: --grant, or one kept with 'cw access accept'.

    Usage:
      cw inbox [options] <session>

    Options:
      -t, --tail <count>         Only the last ones; 0 is all [default: 50]
          --grant <token>        The access grant to a session of a node behind a relay
      -j, --json                 Print the messages as JSON, in the same order
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw inbox coder
      cw inbox planner -t 10
      cw inbox coder --json
      cw inbox dev-1:coder --grant cwog1....
    """
    client, ref = _observed(args, args["<session>"], context)
    grant = args["--grant"] or ""
    answer = client.read_messages(
        _resolve_there(client, ref), tail=_tail(args["--tail"]), grant=grant
    )
    letters = arrange(answer, has_tokens=output.wants_json(args))
    if answer.cut:
        output.notice("older messages are left out: they are too much for one answer")
    if output.wants_json(args):
        output.show_json(letters)
    elif letters and output.is_terminal():
        for line in inbox_lines(letters, output.terminal_width(), output.paint(), time.time_ns()):
            output.line(line)
    elif letters:
        for letter in letters:
            output.line(f"[{letter.get('timestamp', '')}] {_inbox_line(letter)}")
    else:
        output.line("No messages")
    return 0


def listen(args: dict[str, Any], context: Context) -> int:
    """Stream messages, requests and replies of all sessions as they are sent, until Ctrl-C.

    Usage:
      cw listen [options] [<node>]

    Options:
          --session <session>    Only what this session sends and gets
          --grant <token>        The access grant to a session of a node behind a relay
      -j, --json                 Print each as one line of JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw listen
      cw listen --session planner
      cw listen gpu
      cw listen --json
    """
    session, node = args["--session"] or "", args["<node>"]
    if node and session:
        session, node = f"{node}:{session}", None
    client, ref = _observed(args, session, context)
    if node:
        client = context.client_of(node)
    whom = _resolve_there(client, ref) if ref else None
    frames = client.listen(whom, grant=args["--grant"] or "")
    return show_happenings(frames, as_json=output.wants_json(args))


def arrange(inbox: Inbox, *, has_tokens: bool = False) -> list[dict[str, Any]]:
    """Return an inbox in the order to show it: what waits for this session, then all else by time.

    A reply follows its request. Requests get a `state`: open, answered, or closed when no reply
    will come; tokens are taken out unless `has_tokens`.
    """
    pick = dict if has_tokens else _without_token
    letters = [pick(letter.sent) for letter in inbox.messages]
    waiting = [pick(letter.sent) for letter in inbox.open_requests]
    replies = {x.get("request_id"): x for x in letters if x.get("type") == events.REPLY}
    asked = {x.get("request_id") for x in letters if x.get("type") == events.REQUEST}
    waiting_ids = {letter.get("request_id") for letter in waiting}
    arranged = [{**letter, "state": "open"} for letter in waiting]
    for letter in letters:
        request_id = letter.get("request_id")
        if letter.get("type") == events.REQUEST:
            if request_id not in waiting_ids:
                arranged += _with_reply(letter, replies.get(request_id))
        elif letter.get("type") != events.REPLY or request_id not in asked:
            arranged.append(letter)
    for letter in arranged:
        letter.pop("open", None)
    return arranged


def _with_reply(request: dict[str, Any], reply: dict[str, Any] | None) -> list[dict[str, Any]]:
    if reply is not None:
        return [{**request, "state": "answered"}, reply]
    return [{**request, "state": "open" if request.get("open") else "closed"}]


def _without_token(letter: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in letter.items() if key != "reply_token"}


def inbox_lines(letters: list[dict[str, Any]], width: int, paint: Paint, now_ns: int) -> list[str]:
    """Return an inbox for people: local times, open requests in colour, bodies behind the times."""
    from codewire.client.overview.figures import clock
    from codewire.term.paint import pad, wrap

    times = [clock(str(letter.get("timestamp", "")), now_ns) for letter in letters]
    indent = max(map(len, times)) + 2
    lines = []
    for at, letter in zip(times, letters, strict=True):
        colour = "orange" if letter.get("state") == "open" else ""
        first, *rest = wrap(_inbox_line(letter), width - indent)
        lines.append(paint(pad(at, indent), "grey") + paint(first, colour))
        lines += [" " * indent + paint(row, colour) for row in rest]
    return lines


def _inbox_line(letter: dict[str, Any]) -> str:
    kind, body = letter.get("type"), shown(letter.get("body") or "")
    sender, recipient = label(letter, "from"), label(letter, "to")
    if kind == events.REPLY:
        return f"REPLY {sender} (req={letter.get('request_id', '')}): {body}"
    if kind != events.REQUEST:
        return f"{sender} → {recipient}: {body}"
    word = "REQUEST"
    if letter.get("state") == "open":
        word = "OPEN REQUEST (caller gone)" if letter.get("caller_gone") else "OPEN REQUEST"
    return f"{word} {sender} → {recipient} (req={letter.get('request_id', '')}): {body}"


def _show_note(answer: MessageSent | Reply | ReplySent) -> None:
    if answer.note:
        output.notice(answer.note)


def _resolve_there(client: Client, ref: str) -> int | str:
    """Return what names a session whose messages are to be read.

    Where that takes a grant, nothing else may be asked of the node: it finds the session itself.
    """
    return resolve(client, ref) if client.route.peer() is None else ref


def _observed(args: dict[str, Any], ref: str, context: Context) -> tuple[Client, str]:
    """Return client and reference for a session whose messages are to be read."""
    client, found = context.locate(ref) if ref else (context.client(), "")
    if args["--grant"] and ":" not in ref and client.route.peer() is None:
        raise UsageError(
            "--grant is only valid with a remote session locator like <node>:<session>"
        )
    return client, found


def _tail(text: str) -> int:
    """Return how many messages to show, 0 for all."""
    try:
        count = int(text) if len(text) <= 11 else MAX_TAIL + 1
    except ValueError:
        count = MAX_TAIL + 1
    if count > MAX_TAIL:
        from codewire.wire.texts import go_quote

        where = f'invalid argument {go_quote(text)} for "-t, --tail" flag'
        raise UsageError(f"{where}: must be a whole number up to {MAX_TAIL}")
    return max(count, ALL)
