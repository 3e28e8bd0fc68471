"""Nodes of the relay's network by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client.reach.behind import RelayRoute, configuration, route_behind
from codewire.client.reach.servers import Options
from codewire.errors import RelayError
from codewire.network.configuration import NO_RELAY, NO_USER
from codewire.network.directory import Directory
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.network.configuration import Configuration

# As the relay says it.
NO_MEMBER = "membership required"


def _load(options: Options) -> Configuration | None:
    """Return the relay's configuration where there is enough of it to look for nodes.

    Where nobody has logged in, a node of this machine knows those of its network: its sessions may
    write to theirs, and that is all.
    """
    found = configuration(options)
    if found.url and found.network and found.user_token:
        return found
    if found.url and found.node_network and found.node_token and not options.network:
        return found._replace(network=found.node_network, user_token=found.node_token)
    return None


def find_word(name: str, options: Options) -> RelayRoute | None:
    """Return the way to one of the user's own nodes, None if none is known by that name."""
    relay = _load(options)
    if relay is None or not Directory(data_dir().root, relay).is_own(name):
        return None
    return RelayRoute(relay, name, options)


def find_by_name(name: str, options: Options) -> RelayRoute | None:
    """Return the way to a node of the selected network, None if it has none of that name.

    Where the relay cannot be asked, the other places may know the name: see `words`.
    """
    if options.network:
        # Where only a node can be meant, the relay says it when it is asked for the way.
        return route_behind(name, options)
    relay = _load(options)
    if relay is None:
        return None
    from codewire.commands.network.spinner import Spinner

    try:
        with Spinner(f"waiting for {relay.url}"):
            is_there = Directory(data_dir().root, relay).has(name)
    except RelayError:
        return None
    return RelayRoute(relay, name, options) if is_there else None


def names() -> list[str]:
    """Return the names that are remembered."""
    relay = _load(Options())
    return Directory(data_dir().root, relay).names() if relay is not None else []


def words() -> str:
    """Return what to say of a name that was looked for in vain."""
    relay = configuration(Options())
    if not relay.url:
        return NO_RELAY
    if not relay.user_token:
        return NO_USER
    if not relay.network:
        return "no network of the relay is selected (run: cw network use NAME)"
    problem = Directory(data_dir().root, relay).problem()
    if problem == NO_MEMBER:
        return f"you are not in network {relay.network} of relay {relay.url}"
    return problem or f"network {relay.network} of relay {relay.url} has no node of that name"
