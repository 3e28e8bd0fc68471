"""Sessions in local runtimes: which node has them, and what a launch there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.client.reach.route import Route
    from codewire.runtimes.records import Instance


def route_to(instance: Instance) -> Route:
    """Return the way to the node that has a runtime's sessions; it is put inside at first use.

    This machine's own node where the image cannot have one. Raises CodewireError.
    """
    from codewire.client.reach.route import local_route
    from codewire.runtimes.inside import EXEC, RuntimeRoute, install_node

    if not instance.node:
        instance, why = install_node(instance)
        if why:
            output.note(f"  ! sessions run on this machine's node, by exec: {why}")
    return local_route() if instance.node == EXEC else RuntimeRoute(instance)


def target_route() -> Route | None:
    """Return the way to the current target's node, None where that is this machine."""
    from codewire.runtimes.targets import current, instance_of

    target = current()
    return None if target.is_this_machine else route_to(instance_of(target))


def inside_argv(
    instance: Instance, command: list[str], directory: str | None, env: list[str]
) -> list[str]:
    """Return the argv of a session here that runs a command in a runtime, in its terminal."""
    from codewire.runtimes.engine import Exec
    from codewire.runtimes.inside import RuntimeRoute
    from codewire.runtimes.instances import engine_for, require_running

    require_running(instance)
    there = RuntimeRoute(instance).path_there(directory) if directory else None
    pairs = [(key, value) for key, _, value in (entry.partition("=") for entry in env)]
    run = Exec(command, there or directory or instance.workdir, pairs, has_terminal=True)
    return engine_for(instance).exec_argv(instance, run)
