"""`cw node qr`: what a phone's SSH app needs to log in to this machine's node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.config import load_settings
from codewire.errors import CodewireError, ConfigError, RelayError, RelayRefused
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.configuration import Configuration
    from codewire.network.ssh import Door

# The relay's default, for where it cannot be asked.
PORT = 2222
NOT_CONFIGURED = "relay not configured (run 'cw login' and select a network)"


def show(args: dict[str, Any], context: Context) -> int:
    """Show a QR code by which a phone's SSH app logs in to this machine, through the relay.

    Whoever sees it can log in until the node is enrolled anew: the node's token is in it. Host and
    port are what the relay says of itself (--ssh-public); where it cannot be asked, its URL's host.
    All of it goes to stderr, JSON to stdout.

    Usage:
      cw node qr [options]

    Options:
          --port <n>                The port of the relay's SSH, where it is another
      -j, --json                    Print what is in the code as JSON
      -o, --output <text|json>      The same choice, in words

    Examples:
      cw node qr
      cw node qr --port 22
    """
    from codewire.network.configuration import load_configuration

    relay = load_configuration(data_dir().config)
    if not relay.url or not relay.node_token:
        raise ConfigError(NOT_CONFIGURED)
    port = args["--port"]
    if port is not None and not 0 < port <= 0xFFFF:
        raise CodewireError("--port must be from 1 to 65535")
    door = _ask(relay)
    host = door.host if door is not None else _host_of(relay)
    port = port or (door.port if door is not None else PORT)
    user = _user(relay, door)
    uri = f"ssh://{user}:{relay.node_token}@{_in_uri(host)}:{port}"
    known = door._replace(port=port).known_hosts_line if door is not None else ""
    if output.wants_json(args):
        told = {"uri": uri, "host": host, "port": port, "user": user, "known_hosts": known}
        output.show_json({**told, "password": relay.node_token})
        return 0
    output.note(f"SSH URI: {uri}")
    if known:
        output.note(f"Host key: {known} ({door.fingerprint if door is not None else ''})")
    _draw(uri)
    return 0


def _ask(relay: Configuration) -> Door | None:
    """Return where the relay serves SSH, None where it cannot be asked; that is said."""
    from codewire.network.ssh import ask_door

    try:
        return ask_door(relay.as_node())
    except RelayRefused as error:
        if error.status == 401:
            raise
        output.notice(str(error))
    except RelayError as error:
        output.notice(f"host and port are a guess: {error}")
    return None


def _user(relay: Configuration, door: Door | None) -> str:
    """Return the node with its network: as the relay knows it, else as it is configured."""
    if door is not None and door.user:
        return door.user
    name = load_settings(data_dir().config, os.environ).node_name
    network = relay.node_network or relay.network
    return f"{network}/{name}" if network else name


def _host_of(relay: Configuration) -> str:
    from codewire.network.exchange import parse_base

    return parse_base(relay.url).host


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _draw(uri: str) -> None:
    from codewire.term.qr import half_blocks

    try:
        output.note("\n" + half_blocks(uri))
    except ValueError:
        output.notice("too long for a QR code: type it, or shorten the network's name")
