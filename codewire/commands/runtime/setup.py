"""A new runtime's set-up: install is waited for, startup goes on; both are sessions with a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from codewire.commands import output
from codewire.commands.runtime.sessions import runtime_tag
from codewire.errors import RequestError

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.runtimes.records import Instance
    from codewire.wire.answers.sessions import SessionInfo

INSTALL, STARTUP = "install", "startup"
# How often progress is shown.
STEP_SECONDS = 0.2
TIMED_OUT = "timed_out"


def run_setup(instance: Instance) -> int:
    """Run install to its end, then start startup. Return 1 if install fails, else 0."""
    client = _client()
    if instance.install:
        session = _launch(client, instance, INSTALL, instance.install)
        code = _wait(client, session)
        if code:
            output.note(
                f"  ✗ install failed ({code}): 'cw logs {session}' shows why; the container stays"
            )
            return 1
        output.note("  ✓ Installed.")
    if instance.startup:
        session = _launch(client, instance, STARTUP, instance.startup)
        output.note(f"  ✓ Startup runs as session {session} ('cw logs {session}').")
    return 0


def _client() -> Client:
    """Return a client of this machine's node: the set-up is its work, whatever the target is."""
    from codewire.client.api import Client
    from codewire.client.reach.route import local_route

    return Client(route=local_route())


def _launch(client: Client, instance: Instance, what: str, script: str) -> int:
    from codewire.runtimes.engine import Exec
    from codewire.runtimes.instances import engine_for

    argv = engine_for(instance).exec_argv(
        instance, Exec(["/bin/sh", "-lc", script], has_terminal=True)
    )
    return client.launch(argv, tags=[runtime_tag(instance), f"setup:{what}"], working_dir="/")


def _wait(client: Client, session: int) -> str:
    """Wait for a session, its last line shown on a terminal; return how it failed, "" if not."""
    shows = sys.stderr is not None and sys.stderr.isatty()
    started = time.monotonic()
    while True:
        try:
            found = client.wait(session, timeout_seconds=STEP_SECONDS if shows else None)[0]
            break
        except RequestError as error:
            if error.code != TIMED_OUT:
                raise
        _show(client, session, time.monotonic() - started)
    if shows:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
    code = found.exit_code
    return "" if code == 0 else f"exit code {code}" if code is not None else found.status


def _show(client: Client, session: int, seconds: float) -> None:
    from codewire.term.width import clip, printable

    text = "".join(chunk.text for chunk in client.logs(session, tail=1))
    last = printable(output.plain(text).split("\n")[-1])
    sys.stderr.write(f"\r\x1b[K  ◌ {clip(f'install {seconds:.0f}s  {last}', 76)}")
    sys.stderr.flush()


def print_logs(instance: Instance, follows: bool) -> int:
    """Print what a runtime's set-up sessions have printed, oldest first."""
    client = _client()
    found = [each for each in client.find_sessions(tag=runtime_tag(instance)) if _is_setup(each)]
    if not found:
        output.line(f"No set-up of {instance.name} has run.")
        return 0
    for each in sorted(found, key=lambda session: session.id):
        for chunk in client.logs(each.id, follow=follows):
            output.write(chunk.text, flush=follows)
    return 0


def _is_setup(session: SessionInfo) -> bool:
    return any(tag.startswith("setup:") for tag in session.tags)
