"""Where a node's name is looked up, place by place, and what is said when no place knows it.

A room that knows of more nodes adds its line to PLACES: its routes then work in every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.paths import has_relay, has_runtimes

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.client.reach.route import Route
    from codewire.client.reach.servers import Options

# Said in this program only: a node knows of no others.
NO_SUCH_NODE = "no_such_node"
NO_RELAY = "relay not configured (set CODEWIRE_RELAY_URL; 'cw server add' saves a node by its URL)"


# What this machine is called as a target (spec/runtimes.md 5.1).
LOCAL = "local"


class Place:
    """Somewhere that names of nodes stand; as it is, none do. Subclasses say which."""

    # Whether they are other nodes': only those are meant by --server, and by a word alone where a
    # session could stand.
    is_elsewhere = True
    # Whether a word alone, where a session could stand, may mean one of them: not where looking
    # takes long, or where strangers choose the names.
    takes_words = True

    def find(self, name: str, options: Options) -> Route | None:
        """Return the way to the node of that name, None if it is not here.

        `options` are the flags of the command line. Raises CodewireError where the place cannot be
        looked at, or the name is here and of no use.
        """
        return None

    def find_word(self, word: str, options: Options) -> Route | None:
        """Return the way to the node that a word alone means, as `find` does; soon."""
        return self.find(word, options)

    def names(self) -> list[str]:
        """Return all names, for who completes one; does not wait for a network."""
        return []

    def words(self, is_certain: bool) -> str:
        """Return what to say of a place that was looked at in vain, "" for nothing.

        Not `is_certain`: the name may as well be no node's.
        """
        return ""


class Runtimes(Place):
    """The local runtimes: containers on this machine, each with a node inside."""

    def find(self, name: str, options: Options) -> Route | None:
        if not has_runtimes():
            return None
        from codewire.runtimes.records import load

        instance = load().get(name)
        if instance is None:
            return None
        from codewire.commands.runtime.sessions import route_to

        return route_to(instance)

    def names(self) -> list[str]:
        if not has_runtimes():
            return []
        from codewire.runtimes.records import load

        return list(load())


class SavedServers(Place):
    """The names in servers.toml."""

    def __init__(self) -> None:
        from codewire.paths import data_dir

        self._path = data_dir().servers

    def find(self, name: str, options: Options) -> Route | None:
        from codewire.client.reach.servers import saved_route

        return saved_route(self._path, name, options)

    def names(self) -> list[str]:
        from codewire.client.reach.servers import load_servers

        return sorted(load_servers(self._path))

    def words(self, is_certain: bool) -> str:
        from codewire.client.reach.servers import known_names

        return known_names(self._path)


class ThisMachine(Place):
    """The name that this machine's own node is configured with, and `local`."""

    is_elsewhere = False

    def find(self, name: str, options: Options) -> Route | None:
        from codewire.client.reach.route import local_route

        return local_route() if name == LOCAL or name in self.names() else None

    def names(self) -> list[str]:
        from codewire.config import load_settings
        from codewire.paths import data_dir

        return [load_settings(data_dir().config).node_name]


class Fleet(Place):
    """The nodes that answer on NATS, where a fleet is configured; each look takes a moment."""

    takes_words = False

    def find(self, name: str, options: Options) -> Route | None:
        from codewire.commands.fleet.places import find_by_name

        return find_by_name(name, options)

    def words(self, is_certain: bool) -> str:
        from codewire.commands.fleet.places import words

        return words()


class RelayNodes(Place):
    """The nodes of the selected network of a relay, where one is configured.

    A word alone means one of the user's own: a stranger's node must not catch what was meant for
    this machine.
    """

    def find(self, name: str, options: Options) -> Route | None:
        if not has_relay() and not options.network:
            return None
        from codewire.commands.relays.places import find_by_name

        return find_by_name(name, options)

    def find_word(self, word: str, options: Options) -> Route | None:
        if not has_relay():
            return None
        from codewire.commands.relays.places import find_word

        return find_word(word, options)

    def names(self) -> list[str]:
        if not has_relay():
            return []
        from codewire.commands.relays.places import names

        return names()

    def words(self, is_certain: bool) -> str:
        if not has_relay():
            return NO_RELAY if is_certain else ""
        from codewire.commands.relays.places import words

        return words()


# In the order they are asked: what is on this machine first, what takes a network last. Each line
# makes a place when it is asked, and may import what that takes.
PLACES: tuple[Callable[[], Place], ...] = (Runtimes, SavedServers, ThisMachine, RelayNodes, Fleet)


def find_node(
    name: str, options: Options, *, only_elsewhere: bool = False, is_word: bool = False
) -> Route | None:
    """Return the way to the node that has this name in the first place that knows it.

    A word alone, where a session could stand, is looked for only where that takes no time. With a
    network among the options it is one of its nodes.
    """
    if options.network:
        return RelayNodes().find(name, options)
    for make in PLACES:
        place = make()
        if (only_elsewhere and not place.is_elsewhere) or (is_word and not place.takes_words):
            continue
        route = (place.find_word if is_word else place.find)(name, options)
        if route is not None:
            return route
    return None


def unknown_node(name: str, *, is_certain: bool = True) -> str:
    """Return the words for a name that no place knows: they say where it was looked for."""
    said = [words for make in PLACES if (words := make().words(is_certain))]
    looked = ", and ".join(["; ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    return f'unknown node "{name}": {looked}'


def node_names() -> list[str]:
    """Return the names that other nodes have, each once; of a place that is damaged none."""
    from codewire.errors import CodewireError

    found: dict[str, None] = {}
    for make in PLACES:
        try:
            place = make()
            found.update(dict.fromkeys(place.names() if place.is_elsewhere else ()))
        except CodewireError:
            continue
    return sorted(found)
