"""`cw node list`: the nodes of a relay's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.commands.context import Context
    from codewire.network.answers import Node
    from codewire.network.ssh import Door

NEVER = "-"
GAP = 2


def list_nodes(args: dict[str, Any], context: Context) -> int:
    """List the nodes of the relay's network: who is connected, and whose they are.

    Your own take commands by their names from anywhere: cw list dev-1, cw attach dev-1:3.

    Usage:
      cw node list [options]

    Options:
          --network <network>       Of this network, not the selected one
          --all                     Of all your networks
          --ssh                     How ssh reaches each, and the relay's line of known hosts
          --relay-url <url>         Ask this relay, not the configured one
      -j, --json                    Print it as JSON
      -o, --output <text|json>      The same choice, in words

    Examples:
      cw node list
      cw node list --all --json
      cw node list --ssh
    """
    from codewire.commands.network import asking
    from codewire.network.ssh import ask_door

    relay = asking.allowed(asking.configuration(args, context))
    user, is_all = relay.as_user(), bool(args["--all"])
    name = "" if is_all else relay.required_network()
    with asking.Asking("list nodes", relay):
        found = user.nodes(name, of_all=is_all)
        door = ask_door(user) if args["--ssh"] else None
    if output.wants_json(args):
        output.show_json([_json(node, door) for node in found])
    elif not found:
        output.line("No registered nodes")
    elif door is not None:
        _show_ssh(found, door)
    else:
        _show(found, is_all)
    return 0


def _json(node: Node, door: Door | None) -> dict[str, Any]:
    shown = {**node._asdict(), "features": list(node.features)}
    if door is None:
        return shown
    return {**shown, "ssh": _ssh_to(node, door), "known_hosts": door.known_hosts_line}


def _show_ssh(found: Sequence[Node], door: Door) -> None:
    from codewire.commands.network.showing import columns, line

    columns(("NAME", "COMMAND"), [(node.name, _ssh_to(node, door)) for node in found], "")
    line("\nFor ~/.ssh/known_hosts:")
    line(door.known_hosts_line)


def _ssh_to(node: Node, door: Door) -> str:
    from codewire.network.ssh import command_line

    return " ".join(command_line(door, f"{node.network_id}/{node.name}"))


def _show(found: Sequence[Node], is_all: bool) -> None:
    import time

    from codewire.term.width import display_width

    now = time.time_ns()
    rows = [("NAME", "STATUS", "LAST SEEN", "OWNER", "FEATURES", "PEER URL", "NETWORK")]
    rows += [_row(node, now) for node in found]
    # What no node has is no column.
    shown = [at for at in range(7) if at < 5 or any(row[at] for row in rows[1:])]
    shown = shown if is_all else [at for at in shown if at != 6]
    cells = [[row[at] for at in shown] for row in rows]
    widths = [max(map(display_width, column)) + GAP for column in zip(*cells, strict=True)]
    output.table(cells, widths)


def _row(node: Node, now: int) -> tuple[str, str, str, str, str, str, str]:
    status = "online" if node.connected else "offline"
    seen = output.age(node.last_seen_at, now) if node.last_seen_at else NEVER
    owner = f"{node.owner_subject} (you)" if node.owned else node.owner_subject or NEVER
    features = ",".join(node.features) or NEVER
    return node.name, status, seen, owner, features, node.peer_url, node.network_id
