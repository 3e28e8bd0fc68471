"""`cw node qr`: what a phone's SSH app needs to log in to this machine's node."""

from __future__ import annotations

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
    if port:
        door = door._replace(port=port)
    uri = f"ssh://{door.user}:{relay.node_token}@{_in_uri(door.host)}:{door.port}"
    known = door.known_hosts_line if door.host_key else ""
    if output.wants_json(args):
        told = {"uri": uri, "host": door.host, "port": door.port, "user": door.user}
        output.show_json({**told, "password": relay.node_token, "known_hosts": known})
        return 0
    output.note(f"SSH URI: {uri}")
    if known:
        output.note(f"Host key: {known} ({door.fingerprint})")
    _draw(uri)
    return 0


def _ask(relay: Configuration) -> Door:
    """Return where the relay serves SSH, to whom; a guess where it does not say, which is said."""
    from codewire.network.ssh import ask_door

    try:
        door = ask_door(relay.as_node())
    except RelayRefused as error:
        if error.status == 401:
            raise
        output.notice(str(error))
    except RelayError as error:
        output.notice(f"host and port are a guess: {error}")
    else:
        return door if door.user else door._replace(user=_user(relay))
    return _guess(relay)


def _guess(relay: Configuration) -> Door:
    from codewire.network.exchange import parse_base
    from codewire.network.ssh import Door

    return Door(parse_base(relay.url).host, PORT, "", "", _user(relay))


def _user(relay: Configuration) -> str:
    """Return the node with its network, as they are configured."""
    name = load_settings(data_dir().config).node_name
    network = relay.node_network or relay.network
    return f"{network}/{name}" if network else name


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _draw(uri: str) -> None:
    from codewire.term.qr import half_blocks

    try:
        output.note("\n" + half_blocks(uri))
    except ValueError:
        output.notice("too long for a QR code: type it, or shorten the network's name")
