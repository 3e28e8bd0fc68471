"""`cw top`: all sessions at a glance, live."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.sessions.attach import detach_letter

if TYPE_CHECKING:
    from codewire.commands.context import Context


def top(args: dict[str, Any], context: Context) -> int:
    """Show all sessions live: their states, who needs somebody first, and what one of them shows.

    Arrows select a session, Enter attaches to it (Ctrl+B, then d, returns), n goes to the next that
    is blocked, p types a prompt into it, k ends it after a question, / filters by name, tag,
    command or state, Esc shows all again, q leaves. Several nodes are shown together.

    Usage:
      cw top [options] [<node>...]

    Options:
          --filter <words>    Begin with this filter
          --detach-key <key>  Detach with another key than ctrl-b, then d (or set CW_DETACH_KEY)

    Examples:
      cw top
      cw top --filter blocked
      cw --server gpu top
      cw top local gpu
    """
    from codewire.client.overview import loop

    letter = detach_letter(args["--detach-key"] or os.environ.get("CW_DETACH_KEY") or "ctrl-b")
    nodes = list(dict.fromkeys(args["<node>"]))
    clients = [(node if len(nodes) > 1 else "", context.client_of(node)) for node in nodes]
    if not clients:
        clients = [("", context.client())]
    return loop.run(clients, output.paint(), letter, args["--filter"] or "")
