"""`cw network invite`, `invites`, `enroll`: tokens that let somebody in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.context import token_from_stdin
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.commands.network.membership import PAGE, remember
from codewire.errors import CodewireError, RelayRefused, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.answers import Registration
    from codewire.network.configuration import Configuration

NAME_MISSING = "node_name required"


def invite(args: dict[str, Any], context: Context) -> int:
    """Make an invite into a network of yours, for people and for nodes.

    Usage:
      cw network invite [options]

    Options:
          --uses <n>             How often it may be used [default: 1]
          --ttl <duration>       How long it is good: 30m, 24h [default: 1h]
          --qr                   Show it as a QR code, too
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network invite --uses 5 --ttl 24h
      cw network invite --qr
    """
    relay, user, name = asking.in_network(args, context)
    _check_uses(args["--uses"])
    with Asking("create invite", relay):
        made = user.create_invite(name, uses=_uses(args), ttl=args["--ttl"] or "1h")
    url = f"{relay.url}{PAGE}{made.token}"
    if output.wants_json(args):
        output.show_json({**showing.shown(made), "url": url})
    else:
        output.note(f"Invite into network {showing.quoted(name)}:")
        _block(
            ("Token", made.token),
            ("Uses", str(made.uses_remaining)),
            ("Expires", made.expires_at),
            ("URL", url),
        )
        output.note(f"\n  cw network join --relay-url {relay.url} {made.token}")
        _print_for_programs(made.token)
    if args["--qr"]:
        from codewire.term.qr import half_blocks

        output.note("\n" + half_blocks(url))
    return 0


def _uses(args: dict[str, Any]) -> int:
    return int(args["--uses"]) if args["--uses"] is not None else 1


def _check_uses(uses: object) -> None:
    if uses is not None and int(str(uses)) < 1:
        raise UsageError("--uses must be at least 1")


def _block(*pairs: tuple[str, str]) -> None:
    for label, value in pairs:
        output.note(f"  {label + ':':<9}{value}")


def _print_for_programs(token: str) -> None:
    """Print a token alone, where a program reads stdout: a person has seen it."""
    if not output.is_terminal():
        output.line(token)


def invites(args: dict[str, Any], context: Context) -> int:
    """Look after a network's invites.

    Usage:
      cw network invites [options] [<command>...]

    Commands:
      cw network invites list             List those that are still good
      cw network invites delete <invite>  Take one back

    Examples:
      cw network invites list
    """
    return showing.group_help("network invites", args)


def list_invites(args: dict[str, Any], context: Context) -> int:
    """List a network's invites that are still good.

    Usage:
      cw network invites list [options]

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network invites list
    """
    relay, user, name = asking.in_network(args, context)
    with Asking("list invites", relay):
        found = user.invites(name)
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [
        (one.token, str(one.uses_remaining), one.expires_at, showing.age(one.created_at))
        for one in found
    ]
    showing.columns(("TOKEN", "USES", "EXPIRES", "CREATED"), rows, "No invites")
    return 0


def delete_invite(args: dict[str, Any], context: Context) -> int:
    """Take an invite back.

    Usage:
      cw network invites delete [options] <invite>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network invites delete CW-INV-...
    """
    relay, user, name = asking.in_network(args, context)
    token = args["<invite>"].strip()
    with Asking("delete invite", relay):
        user.delete_invite(name, token)
    showing.say(args, {"status": "deleted", "network_id": name, "token": token}, "Invite deleted")
    return 0


def enroll(args: dict[str, Any], context: Context) -> int:
    """Bring a machine into a network as a node by a token, without a login there.

    Usage:
      cw network enroll [options] [<command>...]

    Commands:
      cw network enroll create          Make a token
      cw network enroll redeem <token>  Use it, on that machine

    Examples:
      cw network enroll create --node-name dev-1
    """
    return showing.group_help("network enroll", args)


def create_enrollment(args: dict[str, Any], context: Context) -> int:
    """Make a token by which a machine becomes a node of a network, without a login there.

    Usage:
      cw network enroll create [options]

    Options:
          --node-name <name>     Only for a node of this name
          --uses <n>             How many nodes [default: 1]
          --ttl <duration>       How long it is good: 30m, 24h [default: 10m]
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network enroll create --node-name dev-1
    """
    relay, user, name = asking.in_network(args, context)
    _check_uses(args["--uses"])
    node_name = (args["--node-name"] or "").strip()
    with Asking("create enrollment", relay):
        made = user.create_enrollment(
            name, node_name=node_name, uses=_uses(args), ttl=args["--ttl"] or "10m"
        )
    if output.wants_json(args):
        output.show_json(showing.shown(made))
        return 0
    output.note(f"Enrollment for network {showing.quoted(name)}:")
    _block(
        ("Token", made.token),
        ("Node", made.node_name or "any"),
        ("Uses", str(made.uses_remaining)),
        ("Expires", made.expires_at),
    )
    output.note(f"\n  cw network enroll redeem --relay-url {relay.url} {made.token}")
    _print_for_programs(made.token)
    return 0


def redeem_enrollment(args: dict[str, Any], context: Context) -> int:
    """Make this machine a node of a network by such a token, or one on stdin (-). No login needed.

    Usage:
      cw network enroll redeem [options] <token>

    Options:
          --node-name <name>     As this node (default: what the token says, or this one's name)
          --relay-url <url>      The relay that the token is from
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network enroll redeem --relay-url https://relay.example.com cw_enr_...
    """
    from codewire.network import configuration

    relay = asking.configuration(args, context)
    anybody = relay.as_anybody()
    token = args["<token>"].strip()
    if token == "-":
        token = token_from_stdin()
    found = _redeem(relay, anybody, token, (args["--node-name"] or "").strip())
    changes: dict[tuple[str, ...], str | bool] = {
        configuration.NODE_TOKEN: found.node_token,
        configuration.NODE_NETWORK: found.network_id,
        configuration.INVITE_TOKEN: "",
    }
    if not relay.network or relay.is_elsewhere:
        changes[configuration.NETWORK] = found.network_id
    remember(relay, changes)
    _name_node(found.node_name)
    if output.wants_json(args):
        shown = {"status": "registered", **showing.shown(found)}
        # It is kept; nobody else needs it.
        shown.pop("node_token", None)
        output.show_json(shown)
    else:
        output.note(f"Node {showing.quoted(found.node_name)} enrolled\nStart node agent: cw node")
    return 0


def _redeem(relay: Configuration, anybody: Any, token: str, name: str) -> Registration:
    """Redeem a token; one that is for any name gets this machine's."""
    with Asking("redeem enrollment", relay):
        try:
            found: Registration = anybody.redeem_enrollment(token, node_name=name)
        except RelayRefused as error:
            if error.text == NAME_MISSING and not name:
                found = anybody.redeem_enrollment(token, node_name=_own_name())
            elif error.status in (400, 403):
                words = f"enrollment redemption failed ({error.status}): {error.text or error}"
                raise CodewireError(words) from error
            else:
                raise
    return found


def _own_name() -> str:
    from codewire.config import load_settings

    return load_settings(data_dir().config).node_name


def _name_node(name: str) -> None:
    """Have this machine's node go by the name it is enrolled as. Raises CodewireError."""
    import os

    from codewire.config import read_toml
    from codewire.tomlfile import set_keys

    if _own_name() == name:
        return
    if os.environ.get("CODEWIRE_NODE_NAME"):
        output.notice(f"CODEWIRE_NODE_NAME names the node otherwise; it is enrolled as {name}")
        return
    tables = read_toml(data_dir().config)
    # An older file has its settings in [daemon]; a [node] beside it would hide them.
    table = "daemon" if "daemon" in tables and "node" not in tables else "node"
    set_keys(data_dir().config, table, {"name": name})
