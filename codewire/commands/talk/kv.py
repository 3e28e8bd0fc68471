"""`cw kv`: keys and values that sessions share through the node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import RequestError, UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.commands.network.keys import NetworkKeys
    from codewire.term.paint import Paint
    from codewire.wire.answers.messages import Entry

DEFAULT_NAMESPACE = "default"
KEY_WIDTH = 30


def kv(args: dict[str, Any], context: Context) -> int:
    """Share keys and values between sessions; they outlive sessions and restarts of the node.

    With --network they are on the relay, for all members of a network and all its nodes.

    Usage:
      cw kv [options] [<command>...]

    Commands:
      cw kv set <key> <value>   Set a key, with --ttl for a while
      cw kv get <key>           Print the value of a key
      cw kv list [<prefix>]     Print keys and values
      cw kv delete <key>        Remove a key

    Examples:
      cw kv set build/status green --ttl 1h
      cw kv get build/status
      cw kv get build/status --network project-alpha
      cw help kv set
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw kv"')
    output.write(table.command_help("kv"))
    return 0


def set_key(args: dict[str, Any], context: Context) -> int:
    """Set a key to a value, until it is set anew, deleted or its time is over.

    Usage:
      cw kv set [options] <key> <value>

    Options:
          --ns <namespace>   Namespace of the key [default: default]
          --network <network>  Of this network, on its relay, for all its members
          --relay-url <url>  With --network: on this relay
          --ttl <duration>   Forget it after this time: 90s, 5m, 1h30m

    Examples:
      cw kv set build/status green
      cw kv set lock/db planner --ttl 60s
    """
    value = args["<value>"].encode("utf-8", "surrogateescape")
    ttl = args["--ttl"] or ""
    _store(args, context).kv_set(args["<key>"], value, namespace=args["--ns"], ttl=ttl)
    output.note(f"Set {args['--ns'] or DEFAULT_NAMESPACE}/{args['<key>']}")
    return 0


def get_key(args: dict[str, Any], context: Context) -> int:
    """Print the value of a key; a key that is not there is an error (exit 1) without --default.

    Usage:
      cw kv get [options] <key>

    Options:
          --ns <namespace>   Namespace of the key [default: default]
          --network <network>  Of this network, on its relay, for all its members
          --relay-url <url>  With --network: on this relay
          --default <value>  Print this if there is no such key

    Examples:
      cw kv get build/status
    """
    value = _store(args, context).kv_get(args["<key>"], namespace=args["--ns"])
    if value is None and args["--default"] is None:
        where = f"{args['--ns'] or DEFAULT_NAMESPACE}/{args['<key>']}"
        raise RequestError(f"key {where} not found (--default prints a value instead)")
    output.line(args["--default"] if value is None else _text(value))
    return 0


def list_keys(args: dict[str, Any], context: Context) -> int:
    """Print the keys that begin with a prefix, all of them without one, and their values.

    Usage:
      cw kv list [options] [<prefix>]

    Options:
          --ns <namespace>       Namespace of the keys [default: default]
          --network <network>    Of this network, on its relay, for all its members
          --relay-url <url>      With --network: on this relay
      -j, --json                 Print key, value and expiry as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw kv list
      cw kv list build/ --json
    """
    entries = _store(args, context).kv_list(args["<prefix>"] or "", namespace=args["--ns"])
    if output.wants_json(args):
        output.show_json([_json(entry) for entry in entries])
    elif not entries:
        output.line("No keys found")
    elif output.is_terminal():
        for line in list_lines(entries, output.terminal_width(), output.paint(), time.time_ns()):
            output.line(line)
    else:
        from codewire.term.width import display_width, printable

        longest = max(display_width(printable(entry.key)) for entry in entries)
        rows = [(entry.key, _text(entry.value)) for entry in entries]
        output.table(rows, (max(KEY_WIDTH, longest), 0))
    return 0


def delete_key(args: dict[str, Any], context: Context) -> int:
    """Remove a key, and say whether it was there; one that was not is no error.

    Usage:
      cw kv delete [options] <key>

    Options:
          --ns <namespace>   Namespace of the key [default: default]
          --network <network>  Of this network, on its relay, for all its members
          --relay-url <url>  With --network: on this relay

    Examples:
      cw kv delete build/status
    """
    existed = _store(args, context).kv_delete(args["<key>"], namespace=args["--ns"])
    where = f"{args['--ns'] or DEFAULT_NAMESPACE}/{args['<key>']}"
    output.note(f"{where} was not there" if existed is False else f"Deleted {where}")
    return 0


def _store(args: dict[str, Any], context: Context) -> Client | NetworkKeys:
    """Return who has the keys: the node, or with --network the relay.

    A node of that network has its own where --server names it.
    """
    if context.server or not (context.network or args["--relay-url"]):
        return context.client()
    from codewire.commands.network.keys import NetworkKeys

    return NetworkKeys(args, context)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def list_lines(entries: list[Entry], width: int, paint: Paint, now_ns: int) -> list[str]:
    """Return keys, whole, with their values behind them, and how long those stay; for people."""
    from codewire.client.overview.figures import until
    from codewire.term.paint import hang, pad
    from codewire.term.width import display_width, printable

    keys = [printable(entry.key) for entry in entries]
    column = min(max(map(display_width, keys)), max(8, width // 3)) + 2
    lines = []
    for key, entry in zip(keys, entries, strict=True):
        is_long = display_width(key) > column - 2
        lines += [paint(key, "blue")] * is_long
        head = paint(pad("" if is_long else key, column), "blue")
        value, left = printable(_text(entry.value)), until(entry.expires_at, now_ns)
        found, note = hang(head, value, width, column), f"({left} left)"
        if left and len(found) == 1 and column + display_width(value) + len(note) + 2 <= width:
            found = [f"{found[0]}  {paint(note, 'grey')}"]
        elif left:
            found.append(" " * column + paint(note, "grey"))
        lines += [line.rstrip() for line in found]
    return lines


def _json(entry: Entry) -> dict[str, Any]:
    """Return an entry with its value as text, or as `value_base64` when it is none."""
    try:
        return {**entry.sent, "value": entry.value.decode()}
    except UnicodeDecodeError:
        from codewire.wire.control import encode_bytes

        shown = {key: value for key, value in entry.sent.items() if key != "value"}
        return {**shown, "value_base64": encode_bytes(entry.value)}
