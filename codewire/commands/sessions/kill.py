"""`cw kill`: end sessions, and tell the truth about what lives on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import ProtocolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.wire.answers.kills import Killed, Survivor


def kill(args: dict[str, Any], context: Context) -> int:
    """End sessions: SIGTERM, then SIGKILL for whatever is left of them after a grace period.

    A word that is no session's id or name is taken for a tag. Logs are kept. Ends all processes in
    the session's terminal and all that descend from its first one. A daemon that made itself
    independent is left alone and named, and the exit status is then 1; a codewire node started in
    a session is never ended.

    Usage:
      cw kill [options] [<session-or-tag>]

    Options:
      -a, --all                 End every running session
      -t, --tag <tag,...>       End the running sessions with any of these tags; repeatable
          --tree                End daemons as well, also those that a finished session has left
      -j, --json                Print what was ended and what still lives, as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw kill 3
      cw kill planner --tree
      cw kill --tag worker
      cw kill --all
    """
    word = args["<session-or-tag>"]
    client = context.client_of(word) if context.names_node(word) else None
    if args["--all"]:
        answer = (client or context.client()).kill_all(tree=args["--tree"])
        return _show(args, answer, f"Killed {answer.count} session(s)")
    if args["--tag"]:
        return _kill_tags(client or context.client(), args, args["--tag"])
    if word and client is None:
        client, found = context.find(word)
        if isinstance(found, str):
            return _kill_tags(client, args, [found])
        answer = client.kill(found, tree=args["--tree"])
        return _show(args, answer, _words(found, answer))
    raise UsageError("session id, name, or tag required (or use --all / --tag)")


def _kill_tags(client: Client, args: dict[str, Any], tags: list[str]) -> int:
    answer = client.kill_by_tags(tags, tree=args["--tree"])
    words = f"Killed {answer.count} session(s) matching tags [{' '.join(tags)}]"
    return _show(args, answer, words)


def _words(session_id: int, answer: Killed) -> str:
    if not answer.finished:
        return "" if answer.survivors else f"Session {session_id} killed"
    ended = "; daemons it had left are ended" if answer.tree and not answer.survivors else ""
    return f"Session {session_id} has already finished{ended}"


def _show(args: dict[str, Any], answer: Killed, words: str) -> int:
    """Say what a kill did, and name what outlived it; that makes the command fail."""
    survivors = answer.survivors
    ignores_tree = bool(args["--tree"]) and not answer.tree
    if output.wants_json(args):
        sent = answer.sent
        shown = {key: sent[key] for key in ("id", "count", "finished") if key in sent}
        output.show_json({**shown, "survivors": [process.sent for process in survivors]})
    else:
        if words:
            output.note(words)
        name_survivors(survivors, output.note)
    if ignores_tree:
        output.notice("this node does not know --tree: daemons were not looked for")
    elif not output.wants_json(args) and any(process.daemon for process in survivors):
        output.notice("daemons are ended with 'cw kill --tree' only")
    return 1 if survivors or ignores_tree else 0


def name_survivors(survivors: Iterable[Survivor], say: Callable[[str], None]) -> None:
    """Say one line a session about what lives on."""
    from codewire.term.width import printable

    by_session: dict[int, list[str]] = {}
    for process in survivors:
        words = f"{process.pid} ({printable(process.command or '?')})"
        by_session.setdefault(process.session_id, []).append(words)
    for session_id, names in by_session.items():
        say(f"Killed session {session_id}; still alive: {', '.join(names)}")


def name_left(path: str) -> bool:
    """Name what a node that has ended could not or would not end; `path` is where it wrote that.

    Returns whether there is anything that even SIGKILL could not end.
    """
    import json

    from codewire.files import read_regular
    from codewire.wire.answers.kills import Survivor
    from codewire.wire.answers.reading import read_each

    try:
        survivors = json.loads(read_regular(path, 1 << 20))
        alive = read_each(Survivor, survivors if isinstance(survivors, list) else [])
        os.unlink(path)
    except (OSError, ValueError, ProtocolError):
        return False
    name_survivors(alive, output.notice)
    return any(not process.daemon for process in alive)
