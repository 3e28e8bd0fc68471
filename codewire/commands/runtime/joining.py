"""`cw local create --network`: the node inside a runtime becomes one of a relay's network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.commands import output
from codewire.errors import CodewireError, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.configuration import Configuration
    from codewire.runtimes.records import Instance

# Of the token that lets the node in: it is used at once, but for a slow engine.
TTL = "10m"
LOOPBACKS = ("localhost", "127.0.0.1", "::1")


class Joining(NamedTuple):
    """A network that a runtime shall join: one on the command line (`is_named`) or the selected."""

    relay: Configuration
    network: str
    is_named: bool


def plan_joining(args: dict[str, Any], context: Context, name: str) -> Joining | None:
    """Return the network a runtime of this name shall join, None for none; the relay is asked.

    Without --network it is the selected one, if its owner wants runtimes in it. Raises
    CodewireError where a network that was named cannot be joined: nothing has been made by then.
    """
    from codewire.commands.network import asking

    if args["--no-network"]:
        return None
    if not args["--network"]:
        return _plan_selected(args, context, name)
    if args["--no-node"]:
        raise UsageError("--network needs a node inside, and --no-node forbids it")
    relay, _, network = asking.in_network(args, context)
    _check_name_is_free(relay, network, name)
    return Joining(relay, network, True)


def _plan_selected(args: dict[str, Any], context: Context, name: str) -> Joining | None:
    """Return the selected network, None where it is not to be joined or cannot be."""
    from codewire.commands.network import asking

    relay = asking.configuration(args, context)
    if args["--no-node"] or not (relay.url and relay.network and relay.user_token):
        return None
    if not relay.auto_join_private and not _has_agreed(relay, args):
        return None
    try:
        _check_name_is_free(relay, relay.network, name)
    except CodewireError as error:
        output.note(f"  ! It joins no network: {error}")
        return None
    return Joining(relay, relay.network, False)


def _has_agreed(relay: Configuration, args: dict[str, Any]) -> bool:
    """Ask whether runtimes shall join the selected network; a yes is kept. No terminal is a no."""
    from codewire.commands.runtime.asking import confirm
    from codewire.network import configuration

    if args["--yes"] or sys.stdin is None or not sys.stdin.isatty():
        output.note(f"  ! It joins no network; '--network {relay.network}' has it join that one.")
        return False
    words = f"Join network {relay.network}? What runs inside can use it as this node. [y/N] "
    if not confirm(words):
        return False
    configuration.save(data_dir().config, {configuration.AUTO_JOIN: True})
    return True


def _check_name_is_free(relay: Configuration, network: str, name: str) -> None:
    """Raise CodewireError if the network has such a node: it would be put out of its place."""
    from codewire.commands.network.asking import Asking

    with Asking("list nodes", relay):
        found = relay.as_user().nodes(network)
    if any(node.name == name for node in found):
        raise CodewireError(f"network {network} has a node {name} already: choose another --name")


def join(instance: Instance, joining: Joining) -> int:
    """Bring the node inside into the network and start it. Return 1 if that was asked for in vain.

    The runtime stays either way, and what went wrong is said.
    """
    from codewire.runtimes.membership import come_back

    try:
        joined = _enrol(instance, joining)
    except CodewireError as error:
        output.note(f"  ! {instance.name} is not in network {joining.network}: {error}")
        return 1 if joining.is_named else 0
    output.note(f"  ✓ Joined network {joining.network} (node: {instance.name}).")
    if why := come_back(joined):
        output.notice(why)
    return 0


def _enrol(instance: Instance, joining: Joining) -> Instance:
    """Have the node inside redeem an enrolment; return the new record. Raises CodewireError."""
    from codewire.commands.network.asking import Asking
    from codewire.runtimes import inside, records

    relay, network = joining.relay, joining.network
    instance, why = inside.install_node(instance)
    if not why:
        with Asking("create enrollment", relay):
            made = relay.as_user().create_enrollment(network, node_name=instance.name, ttl=TTL)
        why = inside.enrol_node(instance, relay.url, made.token)
    if why:
        raise CodewireError(why + _hint(relay.url))
    joined = instance._replace(network=network, relay_url=relay.url)
    records.update(instance.name, network=network, relay_url=relay.url)
    return joined


def _hint(url: str) -> str:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    if host not in LOOPBACKS:
        return ""
    return f" ({host} is the container itself there: a relay needs an address that it can reach)"
