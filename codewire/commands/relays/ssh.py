"""`cw ssh`, `cw ssh-config`: nodes of a relay's network for the system's own ssh."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.commands import output, usage
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.errors import CodewireError, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.answers import Node
    from codewire.network.configuration import Configuration
    from codewire.network.ssh import Door

NO_SSH = "there is no ssh on this machine: install OpenSSH's client (openssh-client)"
# What stands behind a node's name in ssh's configuration: no name of a host ends like that.
SUFFIX = "cw"


class Found(NamedTuple):
    """A relay's nodes, and the way to them; `known_hosts` is the file ssh is to believe."""

    nodes: list[Node]
    door: Door
    known_hosts: str


def ssh(args: dict[str, Any], context: Context) -> int:
    """Log in to a node of the relay's network with the system's ssh, or run a command there.

    It is a shell on the node's machine; cw attach is for its sessions. The relay's host key is
    checked against what the relay says by its API. You log in with a key of yours (cw ssh-key add),
    or with the node's token or a session of the relay as password.

    Usage:
      cw ssh [options] <node>
      cw ssh [options] <node> -- <command>...

    Options:
      -i, --identity <file>        Log in with this private key and no other
      -J, --jump <host>            Go through this host first (ssh's ProxyJump)
      -t, --tty                    A terminal for the command, too
          --option <KEY=VALUE>...  Hand an option to ssh, as its -o takes it
          --print                  Print the command line instead of running it
          --network <network>      Another one than the selected; or say <network>/<node>
          --relay-url <url>        Of this relay
          --token <token>          Ask the relay as whom this token is
      -j, --json                   Print the command line as JSON
      -o, --output <text|json>     The same choice, in words

    Examples:
      cw ssh dev-1
      cw ssh dev-1 -- git -C /srv pull
      cw ssh proj/dev-1 --print
      cw ssh dev-1 -t -- cw attach 3
    """
    network, node = _named(args["<node>"])
    wanted = {**args, "--network": network or args["--network"]}
    relay, _, name = asking.in_network(wanted, context)
    found = _find(relay, name)
    chosen = _chosen(found.nodes, node, name)
    line = _command_line(args, found, f"{name}/{node}")
    if args["--print"] or output.wants_json(args):
        shown = {"command": line, **_shown(found.door, f"{name}/{node}", found.known_hosts)}
        showing.tell(args, shown, shlex.join(line))
        return 0
    _say_how(chosen, found.door)
    _become(line)
    return 0


def split_command(
    command: str, argv: list[str], options: tuple[usage.Option, ...], doc: str
) -> tuple[list[str], list[str] | None]:
    """Return our own words, and what is to run there: what follows the node, as ssh has it."""
    first = usage.scan(argv, options, stop_at_word=True)
    if first.values.get("--help") or not first.words:
        return argv, None
    at = len(argv) - len(first.words) + 1
    own, rest = argv[:at], argv[at:]
    # Options may follow the node, too, up to the command.
    second = usage.scan(rest, options, stop_at_word=True)
    own += rest[: len(rest) - len(second.words)]
    if own[-1] == "--":
        own.pop()
    return own, second.words or None


def config(args: dict[str, Any], context: Context) -> int:
    """Print a block for ~/.ssh/config: nodes as hosts, for ssh, scp, rsync, editors.

    Of your own nodes in the selected network, as <node>.cw; with --all of all your networks, as
    <node>.<network>.cw. The file that it names as known hosts is written.

    Usage:
      cw ssh-config [options] [<node>]

    Options:
      -J, --jump <host>          Go through this host first (ssh's ProxyJump)
      -i, --identity <file>      Log in with this private key
          --all                  Nodes of all your networks
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        Ask the relay as whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw ssh-config > ~/.ssh/cw.conf      # and in ~/.ssh/config: Include cw.conf
      cw ssh-config dev-1
    """
    is_all = bool(args["--all"])
    relay = asking.allowed(asking.configuration(args, context))
    name = "" if is_all else relay.required_network()
    found = _find(relay, name)
    nodes = [node for node in found.nodes if node.owned]
    if args["<node>"]:
        nodes = [node for node in found.nodes if node.name == args["<node>"]]
        if not nodes:
            _chosen(found.nodes, args["<node>"], name)
    hosts = [_host(args, found, node, is_all) for node in nodes]
    if output.wants_json(args):
        output.show_json(hosts)
    elif not hosts:
        output.note("No node of yours is there: cw node list shows all")
    else:
        output.line("\n\n".join(_block(host) for host in hosts))
    return 0


def _named(text: str) -> tuple[str, str]:
    """Return network ("" for the selected) and node of what was typed."""
    network, slash, node = text.rpartition("/")
    if ":" in node:
        raise UsageError(
            f"{text} names a session: cw attach {text} shows it; cw ssh is a shell on the node"
        )
    if not node or (slash and not network):
        raise UsageError(f"{text!r} names no node: say <node> or <network>/<node>")
    return network, node


def _find(relay: Configuration, network: str) -> Found:
    """Return the nodes of a network, of all for "", and the way. Raises CodewireError."""
    from codewire.network import ssh as door_to

    user = relay.as_user()
    with Asking("find the node", relay):
        nodes = user.nodes(network, of_all=not network)
        door = door_to.ask_door(user)
    path = os.path.join(data_dir().root, door_to.FILE)
    is_vouched = relay.url.startswith("https:") and not relay.insecure
    if door_to.remember(path, door, is_vouched=is_vouched):
        output.notice(f"the relay's SSH host key has changed: {door.fingerprint} from now on")
    return Found(nodes, door, path)


def _chosen(nodes: list[Node], name: str, network: str) -> Node:
    for node in nodes:
        if node.name == name:
            return node
    names = ", ".join(sorted(node.name for node in nodes)) or "none"
    where, they = f"network {showing.quoted(network)} has", "it has"
    if not network:
        where, they = "your networks have", "they have"
    raise CodewireError(f"{where} no node {showing.quoted(name)}: {they} {names}")


def _say_how(node: Node, door: Door) -> None:
    """Say what will be asked for where no key of the user's can open the node."""
    if node.owner_subject and not node.owned:
        output.notice(
            f"{node.name} is {node.owner_subject}'s: only its own token, as password, lets you in"
        )
    elif not door.key_count:
        output.notice(
            "the relay knows no SSH key of yours (cw ssh-key add): the password is the node's "
            "token, or a session of the relay"
        )


def _command_line(args: dict[str, Any], found: Found, user: str) -> list[str]:
    from codewire.network import ssh as door_to

    options = [f"{name}={value}" for name, value in door_to.trusting(found.known_hosts)]
    if args["--identity"]:
        options.append("IdentitiesOnly=yes")
    flags = [word for option in (*options, *args["--option"]) for word in ("-o", option)]
    for flag, letter in (("--identity", "-i"), ("--jump", "-J")):
        flags += [letter, args[flag]] if args[flag] else []
    flags += ["-t"] if args["--tty"] else []
    line = door_to.command_line(found.door, user, flags)
    return [*line, *(["--", *args["<command>"]] if args["<command>"] else [])]


def _become(line: list[str]) -> None:
    """Turn this process into ssh. Raises CodewireError."""
    import signal

    output.flush_stdout()
    # What Python ignores would stay ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(line[0], line)
    except OSError as error:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        if isinstance(error, FileNotFoundError):
            raise CodewireError(NO_SSH) from error
        raise CodewireError(f"ssh cannot be started: {(error.strerror or '').lower()}") from error


def _shown(door: Door, user: str, known_hosts: str) -> dict[str, Any]:
    return {
        "host": door.host,
        "port": door.port,
        "user": user,
        "known_hosts_file": known_hosts,
        "known_hosts": door.known_hosts_line,
        "fingerprint": door.fingerprint,
    }


def _host(args: dict[str, Any], found: Found, node: Node, is_all: bool) -> dict[str, Any]:
    """Return a node as a host of ssh's configuration: its names there are ssh_config(5)'s."""
    from codewire.network.ssh import quoted, trusting

    network = node.network_id
    labels = (node.name, network, SUFFIX) if is_all else (node.name, SUFFIX)
    host: dict[str, Any] = {
        "Host": ".".join(labels),
        "HostName": found.door.host,
        "Port": found.door.port,
        "User": f"{network}/{node.name}",
        **dict(trusting(found.known_hosts)),
    }
    if args["--identity"]:
        host |= {"IdentityFile": quoted(args["--identity"]), "IdentitiesOnly": "yes"}
    if args["--jump"]:
        host["ProxyJump"] = args["--jump"]
    return host


def _block(host: dict[str, Any]) -> str:
    first, *rest = (f"{name} {value}" for name, value in host.items())
    return "\n".join([first, *(f"    {line}" for line in rest)])
