"""`cw network`: which networks there are, and which one commands and nodes use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.errors import CodewireError, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.configuration import Configuration

MAX_NAME = 64


def network(args: dict[str, Any], context: Context) -> int:
    """Networks of a relay: who belongs together, and which nodes they have.

    Usage:
      cw network [options] [<command>...]

    Commands:
      cw network create <network>       Make one and select it
      cw network list                   List yours
      cw network use <network>          Select one
      cw network current                Print the selected one
      cw network clear                  Select none
      cw network invite                 Make an invite into it
      cw network invites list|delete    Look after the invites
      cw network join <invite>          Come in by an invite
      cw network leave                  Go out again
      cw network members                List who is in it
      cw network nodes                  List its nodes
      cw network revoke <node>          Shut a node out
      cw network enroll create|redeem   Bring in a node by a token

    Examples:
      cw login --server https://relay.example.com
      cw network create project-alpha
      cw node -d
    """
    return showing.group_help("network", args)


def create(args: dict[str, Any], context: Context) -> int:
    """Create a network, which is yours, and select it.

    Usage:
      cw network create [options] <network>

    Options:
          --use                  Select it (that is the default)
          --no-use               Leave the selection as it is
          --relay-url <url>      On this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network create project-alpha
    """
    if args["--use"] and args["--no-use"]:
        raise UsageError("--use and --no-use exclude each other")
    relay = asking.allowed(asking.configuration(args, context))
    name = _checked(args["<network>"])
    user = relay.as_user()
    with Asking("create network", relay._replace(network=name)):
        name = user.create_network(name)
    is_selected = not args["--no-use"] and not relay.is_elsewhere
    if is_selected:
        select(relay, name)
    if output.wants_json(args):
        output.show_json({"network_id": name, "status": "created", "selected": is_selected})
    else:
        words = "created and selected" if is_selected else "created"
        output.note(f"Network {showing.quoted(name)} {words}")
    if relay.is_elsewhere and not args["--no-use"]:
        output.notice(f"not selected: the relay in use is {relay.usual_url}")
    return 0


def select(relay: Configuration, name: str) -> None:
    """Have commands and nodes use a network of the relay in use. Raises ConfigError."""
    from codewire.network import configuration

    changes: dict[tuple[str, ...], str | bool] = {configuration.NETWORK: name}
    if not relay.usual_url and relay.url:
        # The first relay that is named is the one to use.
        changes[configuration.URL] = relay.url
    configuration.save(data_dir().config, changes)
    say_what_wins(name)


def say_what_wins(name: str) -> None:
    """Say that a variable counts before the selection."""
    given = os.environ.get("CODEWIRE_RELAY_NETWORK", "").strip()
    if given and given != name:
        output.notice(f"CODEWIRE_RELAY_NETWORK={given} counts before the selection")


def _checked(name: str) -> str:
    from codewire.config import NAME_CHARACTERS

    name = name.strip()
    if not name or len(name) > MAX_NAME or not NAME_CHARACTERS.issuperset(name):
        raise UsageError(
            f"a network's name is 1 to {MAX_NAME} letters, digits, '-' or '_', got: {name!r}"
        )
    return name


def list_networks(args: dict[str, Any], context: Context) -> int:
    """List your networks; * marks the selected one.

    Usage:
      cw network list [options]

    Options:
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network list
    """
    relay = asking.allowed(asking.configuration(args, context))
    user = relay.as_user()
    with Asking("list networks", relay):
        found = user.networks()
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [
        (
            "*" if one.network_id == relay.network else "",
            one.network_id,
            str(one.node_count),
            str(one.invite_count),
            showing.age(one.created_at),
        )
        for one in found
    ]
    showing.columns(("CURRENT", "NAME", "NODES", "INVITES", "CREATED"), rows, "No networks")
    return 0


def use(args: dict[str, Any], context: Context) -> int:
    """Select the network that commands and new nodes use. Asks no relay.

    Usage:
      cw network use [options] <network>

    Options:
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network use project-alpha
    """
    name = _checked(args["<network>"])
    relay = asking.configuration(args, context)
    select(relay, name)
    showing.say(args, {"network": name}, f"Selected network {showing.quoted(name)}")
    if relay.node_token and relay.node_network not in ("", name):
        enrolled = showing.quoted(relay.node_network)
        output.notice(f"this machine's node stays in network {enrolled}, where it is enrolled")
    return 0


def current(args: dict[str, Any], context: Context) -> int:
    """Print the selected network, or none.

    Usage:
      cw network current [options]

    Options:
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network current
    """
    relay = asking.configuration(args, context)
    if output.wants_json(args):
        output.show_json({"network": relay.network or None, "relay_url": relay.url or None})
    else:
        output.line(relay.network or "none")
    return 0


def clear(args: dict[str, Any], context: Context) -> int:
    """Select no network. You stay in it, and so does this machine's node.

    Usage:
      cw network clear [options]

    Options:
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network clear
    """
    from codewire.network import configuration

    asking.configuration(args, context)
    configuration.save(data_dir().config, {configuration.NETWORK: ""})
    say_what_wins("")
    showing.say(args, {"network": None}, "Cleared selected network")
    return 0


def nodes(args: dict[str, Any], context: Context) -> int:
    """List a network's nodes and whether they are there.

    Usage:
      cw network nodes [options]

    Options:
          --network <network>    Another one than the selected
          --all                  Those of all your networks
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network nodes
    """
    relay = asking.allowed(asking.configuration(args, context))
    user, of_all = relay.as_user(), bool(args["--all"])
    name = "" if of_all else relay.required_network()
    with Asking("list nodes", relay):
        found = user.nodes(name, of_all=of_all)
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    header = ["NAME", "PEER URL", "STATUS"] + (["NETWORK"] if of_all else [])
    rows = [
        [one.name, one.peer_url or "-", "online" if one.connected else "offline"]
        + ([one.network_id] if of_all else [])
        for one in found
    ]
    showing.columns(header, rows, "No registered nodes")
    return 0


def revoke(args: dict[str, Any], context: Context) -> int:
    """Shut a node out of a network: its token is worth nothing from now on.

    Usage:
      cw network revoke [options] <node>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network revoke old-laptop
    """
    relay = asking.allowed(asking.configuration(args, context))
    user, name = relay.as_user(), args["<node>"].strip()
    if not name:
        raise CodewireError("a node's name must not be empty")
    with Asking("revoke node", relay):
        user.revoke_node(relay.required_network(), name)
    showing.say(args, {"status": "revoked", "node": name}, f"Node {showing.quoted(name)} revoked")
    return 0
