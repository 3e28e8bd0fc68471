"""`cw server`: names for nodes on other machines, used with --server and as `name:session`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.commands.context import token_from_stdin
from codewire.errors import UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context


def server(args: dict[str, Any], context: Context) -> int:
    """Give nodes on other machines names, for --server and for `name:session`.

    Usage:
      cw server [options] [<command>...]

    Commands:
      cw server add <name> <url>   Save a node, with --token
      cw server list               List the saved ones; tokens are not shown
      cw server remove <name>      Forget one and its token

    Examples:
      cw server add gpu wss://gpu.example.com --token "$TOKEN"
      cw help server add
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw server"')
    output.write(table.command_help("server"))
    return 0


def add(args: dict[str, Any], context: Context) -> int:
    """Save a node on another machine under a name; one of that name is replaced.

    The token is what the file `token` in that node's data directory says. It is kept in
    servers.toml, readable by you alone, and shown nowhere.

    Usage:
      cw server add [options] <name> <url>

    Options:
          --token <token>  The node's token; - reads it from stdin, unseen by other users
          --ca <file>      Trust these authorities (PEM), not the system's
          --insecure       Accept any certificate: it could be anyone's

    Examples:
      cw server add gpu wss://gpu.example.com --token "$TOKEN"
      ssh gpu cat .codewire/token | cw server add gpu wss://gpu.example.com --token -
      cw --server gpu list
      cw attach gpu:planner
    """
    from codewire.client.reach.servers import Server, add_server, websocket_url

    name, url, ca = args["<name>"], args["<url>"], args["--ca"]
    if not name or ":" in name:
        raise UsageError(f"a server's name must not be empty or hold a colon, got: {name!r}")
    _check_url(websocket_url(url))
    token = args["--token"] or ""
    if token == "-":
        token = token_from_stdin()
    server = Server(url, token, os.path.abspath(ca) if ca else "", bool(args["--insecure"]))
    add_server(data_dir().servers, name, server)
    output.note(f'Server "{name}" added')
    return 0


def remove(args: dict[str, Any], context: Context) -> int:
    """Forget a saved server and its token.

    Usage:
      cw server remove [options] <name>

    Examples:
      cw server remove gpu
    """
    from codewire.client.reach.servers import remove_server

    remove_server(data_dir().servers, args["<name>"])
    output.note(f'Server "{args["<name>"]}" removed')
    return 0


def list_servers(args: dict[str, Any], context: Context) -> int:
    """List the saved servers; tokens are not shown.

    Usage:
      cw server list [options]

    Examples:
      cw server list
    """
    from codewire.client.reach.servers import load_servers
    from codewire.term.width import printable

    servers = load_servers(data_dir().servers)
    if not servers:
        output.line("No saved servers")
        return 0
    output.line(f"{'NAME':<20} URL")
    for name, server in sorted(servers.items()):
        output.line(f"{printable(name):<20} {printable(server.url)}")
    return 0


def _check_url(url: str) -> None:
    from codewire.client.reach.remote import parse_url
    from codewire.errors import NodeRefused

    try:
        parse_url(url)
    except NodeRefused as error:
        raise UsageError(f"{url}: {error}") from error
