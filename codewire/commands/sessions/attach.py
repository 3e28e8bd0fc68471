"""`cw attach`: this terminal becomes a session's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context


def attach(args: dict[str, Any], context: Context) -> int:
    """Take over the terminal of a session: see what it shows, type into it.

    Detach with Ctrl+B, then d; the session keeps running. Ctrl+B twice types one Ctrl+B.
    The session: omit to auto-select the oldest running one that nobody is attached to. A program
    that scrolls starts with its last 2000 lines, a full-screen one with its screen.

    Usage:
      cw attach [options] [<session>]

    Options:
          --no-history        Do not show what it has printed so far
          --history <lines>   How much of it to show: a number of lines, all, or none
          --no-bar            No status bar
          --detach-key <key>  Detach with another key than ctrl-b, then d (or set CW_DETACH_KEY)

    Examples:
      cw attach
      cw attach planner
      cw attach gpu:planner
      cw attach planner --history all
      cw attach planner --detach-key ctrl-a
    """
    from codewire.client.addressing import resolve_session
    from codewire.client.attaching import attach as attach_client
    from codewire.client.attaching.terminal import has_terminal

    wants_history, lines, replays_all = _history(args)
    letter = detach_letter(args["--detach-key"] or os.environ.get("CW_DETACH_KEY") or "ctrl-b")
    label = ""
    word = args["<session>"]
    if word and not context.names_node(word):
        client, ref = context.locate(word)
        session_id = resolve_session(client, ref)
        label = "" if ref.lstrip("@").isdigit() else f"{ref.lstrip('@')} ({session_id})"
        if not has_terminal():
            client.status(session_id)  # that there is no such session is the better answer
    else:
        client = context.client_of(word) if word else context.client()
        picked = attach_client.pick_session(client)
        session_id = picked.id
        label = f"{picked.name} ({session_id})" if picked.name else ""
        words = output.plain(f"{label or session_id}: {picked.prompt}")
        output.notice(f"attaching to session {words}")
    return attach_client.run(
        client,
        session_id,
        include_history=wants_history,
        history_lines=lines,
        replays_all=replays_all,
        label=label,
        shows_bar=not args["--no-bar"],
        detach_letter=letter,
    )


def _history(args: dict[str, Any]) -> tuple[bool, int | None, bool]:
    """Return whether history is wanted, how many lines (None: the usual), and whether all of it."""
    word = "none" if args["--no-history"] else args["--history"]
    if word is None or word == "all":
        return True, None, word == "all"
    if word == "none":
        return False, None, False
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise UsageError(f"--history takes a number of lines, all or none, got {word!r}")
    return True, int(word), False


def detach_letter(key: str) -> str:
    """Return the letter of a key like ctrl-a, C-a or ^a. Raises UsageError."""
    lower = key.lower()
    for prefix in ("ctrl-", "ctrl+", "c-", "^"):
        letter = lower.removeprefix(prefix)
        if letter != lower and len(letter) == 1 and "a" <= letter <= "z" and letter not in "mij":
            return letter
    raise UsageError(f"the detach key must be ctrl- and a letter (not i, j, m), got {key!r}")
