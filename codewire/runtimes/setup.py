"""A runtime's set-up, install and startup, as sessions of this machine's node with a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.runtimes.engine import Exec
from codewire.runtimes.instances import engine_for

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.runtimes.records import Instance
    from codewire.wire.answers.sessions import SessionInfo

INSTALL, STARTUP = "install", "startup"
PHASE_TAG = "setup:"


def runtime_tag(instance: Instance) -> str:
    """Return the tag of sessions on this machine's node that run in a runtime."""
    return f"runtime:{instance.name}"


def launch_step(client: Client, instance: Instance, phase: str, script: str) -> int:
    """Start a step of the set-up, return its session. `client` is of this machine's node."""
    argv = engine_for(instance).exec_argv(
        instance, Exec(["/bin/sh", "-lc", script], has_terminal=True)
    )
    return client.launch(argv, tags=[runtime_tag(instance), PHASE_TAG + phase], working_dir="/")


def setup_sessions(client: Client, instance: Instance) -> list[tuple[str, SessionInfo]]:
    """Return the steps that have run, as (phase, session), oldest first."""
    found = []
    tag_here = runtime_tag(instance)
    for each in client.list_sessions():
        if tag_here not in each.tags:
            continue
        phases = [tag[len(PHASE_TAG) :] for tag in each.tags if tag.startswith(PHASE_TAG)]
        found += [(phase, each) for phase in phases[:1]]
    return sorted(found, key=lambda pair: pair[1].id)
