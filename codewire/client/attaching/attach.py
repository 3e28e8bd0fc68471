"""Attaching this process's terminal to a session, from the command to how it ended (cli.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client import addressing
from codewire.client.api import print_notice
from codewire.client.attaching.attachment import Attachment, Look
from codewire.client.attaching.link import Link
from codewire.client.attaching.terminal import (
    RawTerminal,
    Signals,
    require_terminal,
    say_last,
)
from codewire.client.feedback import refuse_own

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.wire.answers.sessions import SessionInfo


def pick_session(client: Client) -> SessionInfo:
    """Return the session to attach to when none is named. Raises RequestError without one."""
    return addressing.oldest_unattached(client.list_sessions())


def run(
    client: Client,
    session_id: int,
    *,
    include_history: bool = True,
    history_lines: int | None = None,
    replays_all: bool = False,
    label: str = "",
    shows_bar: bool = True,
    detach_letter: str = "b",
) -> int:
    """Attach this process's terminal to a session until it ends or the user detaches.

    A session that scrolls starts with its last `history_lines` (None: as many as the node thinks
    fit), one with a full-screen program with its screen; with `replays_all` with its whole log.
    `label` is what the bar calls the session; Ctrl with `detach_letter`, then d, detaches.
    Returns the exit status after saying on stderr how it ended. The terminal is as before on every
    way out. Raises UsageError without a terminal or from inside the session, RequestError when the
    node refuses. Main thread only.
    """
    require_terminal()
    shower = refuse_own(client, session_id, "attaching it to itself")
    link = Link(client, session_id, include_history, history_lines, replays_all, shower)
    link.open()
    try:
        if link.was_continued:
            print_notice(f"[cw] session {session_id} was stopped; continued")
        print_notice(f"[cw] attached to session {session_id}")
        with Signals() as signals, RawTerminal() as terminal:
            look = Look(label or f"session {session_id}", shows_bar, detach_letter)
            ending = Attachment(session_id, link, terminal, signals, look).run()
    finally:
        link.close()
    if ending.text:
        say_last(f"\n{ending.text}")
    return ending.exit_code
