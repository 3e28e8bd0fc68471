"""`cw list --runs`: sessions here and in every local runtime that runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.runtime.showing import instance_json
from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codewire.runtimes.records import Instance
    from codewire.wire.answers.sessions import SessionInfo

    ShowTable = Callable[[list[SessionInfo], int], None]

# A runtime whose node does not answer in this time is said to be unavailable.
LOOKUP_SECONDS = 10.0
MAX_LOOKUPS = 16
MAX_WORDS = 96
AVAILABLE, UNAVAILABLE, SKIPPED = "available", "unavailable", "skipped"


def list_runs(args: dict[str, Any], show_table: ShowTable) -> int:
    """Print the sessions of this machine's node, then those of each runtime's own."""
    from codewire.client.api import Client
    from codewire.client.reach.route import local_route
    from codewire.runtimes.records import load
    from codewire.runtimes.targets import current

    here = Client(route=local_route()).list_sessions()
    with ThreadPoolExecutor(MAX_LOOKUPS) as pool:
        found = list(pool.map(_look_up, load().values()))
    if output.wants_json(args):
        runtimes = [_json(each) for each in found]
        output.show_json({"local": {"sessions": _sent(here)}, "runtimes": runtimes})
        return 0
    target = current()
    shown: list[tuple[str, Any, bool, str]] = [("local", here, target.is_this_machine, "")]
    for each in found:
        runtime = each["runtime"]
        title = f"{runtime['name']} [{runtime['backend']}] {runtime['status']}"
        is_current = not target.is_this_machine and target.ref == runtime["name"]
        shown.append((title, each.get("sessions"), is_current, each.get("session_error", "")))
    for number, (title, sessions, is_current, error) in enumerate(shown):
        output.line(("\n" if number else "") + title + (" (current)" if is_current else ""))
        if error:
            output.line(f"  {error}")
        elif sessions:
            show_table(sessions, time.time_ns())
        elif sessions is not None:
            output.line("No sessions")
    return 0


def _json(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "sessions": _sent(found["sessions"])} if "sessions" in found else found


def _sent(sessions: list[SessionInfo]) -> list[Mapping[str, Any]]:
    return [session.sent for session in sessions]


def _look_up(instance: Instance) -> dict[str, Any]:
    from codewire.client.api import Client
    from codewire.client.reach.asking import deadline_behind
    from codewire.runtimes.engine import RUNNING
    from codewire.runtimes.inside import INSIDE, RuntimeRoute
    from codewire.runtimes.instances import state_of

    state = state_of(instance)
    shown: dict[str, Any] = {"runtime": instance_json(instance, state), "session_lookup": SKIPPED}
    if state != RUNNING or instance.node != INSIDE:
        return shown
    try:
        client = Client(route=RuntimeRoute(instance)).until(deadline_behind(LOOKUP_SECONDS))
        shown.update(sessions=client.list_sessions(), session_lookup=AVAILABLE)
    except CodewireError as error:
        words = output.plain(str(error)).partition("\n")[0][:MAX_WORDS]
        shown.update(session_lookup=UNAVAILABLE, session_error=words)
    return shown
