"""`cw notify`: what [notify] of config.toml says, tried."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.notify.settings import Notify

HOW = """\
nobody is to be notified; in config.toml, for example:

[notify]
command = ["notify-send", "--app-name=cw", "A session needs you"]   # reads JSON on its stdin
webhook = "https://example.org/hook"
terminals = true                    # attached ones; "osc777" for urxvt and foot
on = ["blocked", "done", "failed"]
"""


def notify(args: dict[str, Any], context: Context) -> int:
    """Tell people when a session becomes blocked, is done, or fails: [notify] of config.toml.

    A command gets each notification as JSON on its stdin, a webhook as a POST, attached terminals
    as OSC 9 or 777. Of more than per_minute (20) the rest becomes one summary. The node reads the
    settings when its worker starts: 'cw node restart'.

    Usage:
      cw notify [options]

    Examples:
      cw notify
      cw notify test
    """
    from codewire.notify.settings import load_notify

    settings = load_notify(data_dir().config)
    if not settings.tells_anybody():
        output.note(HOW.rstrip())
        return 1
    pairs = [
        ("On", ", ".join(sorted(settings.on))),
        ("Command", " ".join(settings.command) or None),
        ("Webhook", settings.host() if settings.webhook else None),
        ("Terminals", settings.terminals or None),
        ("At Most", f"{settings.per_minute} a minute"),
    ]
    output.fields(pairs, width=12)
    return 0


def test(args: dict[str, Any], context: Context) -> int:
    """Send a notification now, from here, by everything that [notify] of config.toml names.

    Says what became of each, and exits with 1 where one failed. This terminal stands for attached
    ones. The node's own notifications come from its environment, which may differ from this.

    Usage:
      cw notify test [options]

    Examples:
      cw notify test
    """
    from codewire.notify.settings import load_notify

    settings = load_notify(data_dir().config)
    if not settings.tells_anybody():
        raise CodewireError(HOW.rstrip())
    return 0 if _send(settings, _letter()) else 1


def _letter() -> dict[str, Any]:
    from codewire.wire.timestamps import format_nanos

    now = time.time_ns()
    return {
        "event_id": f"evt_test_{now}",
        "event": "test",
        "time": format_nanos(now),
        "title": "cw notify test",
        "message": "notifications reach you",
    }


def _send(settings: Notify, letter: dict[str, Any]) -> bool:
    from codewire.notify import channels

    is_sent = True
    if settings.command:
        try:
            channels.run_command(settings.command, letter)
            output.line(f"command: {settings.command[0]} took it")
        except channels.NotSent as error:
            is_sent = _failed("command", error)
    if settings.webhook:
        try:
            status = channels.post(settings.webhook, letter, settings.host())
            output.line(f"webhook: {settings.host()} answered {status}")
        except channels.NotSent as error:
            is_sent = _failed("webhook", error)
    if settings.terminals:
        is_sent = _tell_terminal(settings.terminals, letter) and is_sent
    return is_sent


def _failed(what: str, error: Exception) -> bool:
    output.note(f"{what}: {error}")
    return False


def _tell_terminal(form: str, letter: dict[str, Any]) -> bool:
    if not output.is_terminal():
        output.note("terminals: this is none, so nothing can be shown")
        return True
    from codewire.client.attaching.link import Notice
    from codewire.client.attaching.notification import notification

    told = notification(Notice(letter["title"], letter["message"], form))
    output.write(told.decode(), flush=True)
    output.line(f"terminals: {form} sent to this one")
    return True
