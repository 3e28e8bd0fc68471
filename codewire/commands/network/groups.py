"""`cw group`: which named sessions of a network may message each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.commands.network.showing import quoted
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.answers import Policy


def group(args: dict[str, Any], context: Context) -> int:
    """Groups: which named sessions of a network may message each other.

    A session comes into a group with `cw launch --group`, or by `cw group add`.

    Usage:
      cw group [options] [<command>...]

    Commands:
      cw group create <group>            Make one
      cw group list                      List them
      cw group members <group>           List the sessions of one
      cw group policy <group>            Show or change what it allows
      cw group add <group> <session>     Bring in node:session
      cw group remove <group> <session>  Take it out again
      cw group delete <group>            Remove one

    Examples:
      cw group create mesh
      cw group add mesh dev-1:planner
    """
    return showing.group_help("group", args)


def create(args: dict[str, Any], context: Context) -> int:
    """Make a group: its sessions may message each other, others may not message them.

    Usage:
      cw group create [options] <group>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group create mesh
    """
    relay, user, network = asking.in_network(args, context)
    with Asking("create group", relay):
        made = user.create_group(network, args["<group>"])
    words = f"Created group {quoted(made.name)} in network {quoted(network)}."
    showing.tell(args, showing.shown(made), f"{words}\nPolicy: {_words(made.policy)}")
    return 0


def list_groups(args: dict[str, Any], context: Context) -> int:
    """List a network's groups and what they allow.

    Usage:
      cw group list [options]

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group list
    """
    relay, user, network = asking.in_network(args, context)
    with Asking("list groups", relay):
        found = user.groups(network)
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [
        (one.name, one.policy.messages_policy, one.policy.debug_policy, showing.age(one.created_at))
        for one in found
    ]
    showing.columns(("NAME", "MESSAGES", "DEBUG", "CREATED"), rows, "No groups")
    return 0


def members(args: dict[str, Any], context: Context) -> int:
    """List the sessions of a group.

    Usage:
      cw group members [options] <group>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group members mesh
    """
    relay, user, network = asking.in_network(args, context)
    with Asking("list group members", relay):
        found = user.group(network, args["<group>"]).members
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [(one.node_name, one.session_name, showing.age(one.created_at)) for one in found]
    nothing = f"Group {quoted(args['<group>'])} has no members"
    showing.columns(("NODE", "SESSION", "ADDED"), rows, nothing)
    return 0


def policy(args: dict[str, Any], context: Context) -> int:
    """Show what a group allows, or change it.

    Usage:
      cw group policy [options] <group>

    Options:
          --messages <internal-only|open>      Who may message its sessions
          --debug <observe-only|none|full>     none: no grant shows their messages
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group policy mesh
      cw group policy mesh --messages open
    """
    relay, user, network = asking.in_network(args, context)
    name = args["<group>"]
    messages, debug = args["--messages"], args["--debug"]
    is_change = messages is not None or debug is not None
    with Asking("change group policy" if is_change else "show group policy", relay):
        found = user.group(network, name).policy
        if is_change:
            # Both are replaced by what is sent.
            found = user.set_policy(
                network, name, messages or found.messages_policy, debug or found.debug_policy
            )
    if output.wants_json(args):
        output.show_json(showing.shown(found))
    else:
        verb = "Updated group" if is_change else "Group"
        showing.line(f"{verb} {quoted(name)} policy: {_words(found)}")
    return 0


def delete(args: dict[str, Any], context: Context) -> int:
    """Remove a group; its sessions live on.

    Usage:
      cw group delete [options] <group>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group delete mesh
    """
    relay, user, network = asking.in_network(args, context)
    name = args["<group>"]
    with Asking("delete group", relay):
        user.delete_group(network, name)
    deleted = {"status": "deleted", "network_id": network, "name": name}
    showing.tell(args, deleted, f"Deleted group {quoted(name)}")
    return 0


def add(args: dict[str, Any], context: Context) -> int:
    """Bring a named session of a node into a group.

    Usage:
      cw group add [options] <group> <session>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group add mesh dev-1:planner
    """
    relay, user, network = asking.in_network(args, context)
    name = args["<group>"]
    node, session = _target(args["<session>"])
    with Asking("add group member", relay):
        made = user.add_member(network, name, node, session)
    showing.tell(args, showing.shown(made), f"Added {node}:{session} to group {quoted(name)}")
    return 0


def remove(args: dict[str, Any], context: Context) -> int:
    """Take a session of a node out of a group.

    Usage:
      cw group remove [options] <group> <session>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw group remove mesh dev-1:planner
    """
    relay, user, network = asking.in_network(args, context)
    name = args["<group>"]
    node, session = _target(args["<session>"])
    with Asking("remove group member", relay):
        user.remove_member(network, name, node, session)
    if output.wants_json(args):
        output.show_json(
            {
                "status": "removed",
                "network_id": network,
                "group_name": name,
                "node_name": node,
                "session_name": session,
            }
        )
    else:
        showing.line(f"Removed {node}:{session} from group {quoted(name)}")
    return 0


def _target(given: str) -> tuple[str, str]:
    """Return node and session of `node:session`; a group has names, no ids."""
    node, colon, session = given.partition(":")
    is_id = session.isascii() and session.isdigit()
    if not node or not colon or not session or ":" in session or is_id:
        raise UsageError("target must be <node>:<session>, the session by its name")
    return node, session


def _words(found: Policy) -> str:
    return f"messages={found.messages_policy} debug={found.debug_policy}"
