"""A runtime whose node is in a relay's network: back there after a start, gone after a removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import CodewireError, RelayRefused
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.runtimes.records import Instance

# What a relay answers for a node, or a network, that has gone already.
NOT_FOUND = 404


def come_back(instance: Instance) -> str:
    """Start the node of a runtime that is in a network, so that others reach it.

    Return what went wrong, "" if nothing.
    """
    if not instance.network:
        return ""
    from codewire.runtimes.inside import start_node

    try:
        why = start_node(instance)
    except CodewireError as error:
        why = str(error)
    words = f"the node in {instance.name} does not start: {why}; its first use tries it again"
    return words if why else ""


def leave_network(instance: Instance) -> str:
    """Have a runtime's node belong to its network no more; return what went wrong, "" if nothing.

    Asks the relay it joined, as the user; blocks for network.caller.CALL_SECONDS at most.
    """
    if not instance.network:
        return ""
    from codewire.network.configuration import Given, load_configuration

    given = Given(url=instance.relay_url, network=instance.network)
    try:
        relay = load_configuration(data_dir().config, given)
        relay.as_user().revoke_node(instance.network, instance.name)
    except RelayRefused as error:
        return "" if error.status == NOT_FOUND else _still_there(instance, error)
    except CodewireError as error:
        return _still_there(instance, error)
    return ""


def _still_there(instance: Instance, error: CodewireError) -> str:
    return (
        f"network {instance.network} still lists the node {instance.name}: {error}; "
        f"'cw network revoke {instance.name}' takes it out"
    )
