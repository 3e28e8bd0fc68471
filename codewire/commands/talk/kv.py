"""`cw kv`: keys and values that sessions share through the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import RequestError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.messages import Entry

DEFAULT_NAMESPACE = "default"
KEY_WIDTH = 30


def kv(args: dict[str, Any], context: Context) -> int:
    """Share keys and values between sessions; they outlive sessions and restarts of the node.

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
          --ttl <duration>   Forget it after this time: 90s, 5m, 1h30m

    Examples:
      cw kv set build/status green
      cw kv set lock/db planner --ttl 60s
    """
    value = args["<value>"].encode("utf-8", "surrogateescape")
    ttl = args["--ttl"] or ""
    context.client().kv_set(args["<key>"], value, namespace=args["--ns"], ttl=ttl)
    output.note(f"Set {args['--ns'] or DEFAULT_NAMESPACE}/{args['<key>']}")
    return 0


def get_key(args: dict[str, Any], context: Context) -> int:
    """Print the value of a key; a key that is not there is an error (exit 1) without --default.

    Usage:
      cw kv get [options] <key>

    Options:
          --ns <namespace>   Namespace of the key [default: default]
          --default <value>  Print this if there is no such key

    Examples:
      cw kv get build/status
    """
    value = context.client().kv_get(args["<key>"], namespace=args["--ns"])
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
      -j, --json                 Print key, value and expiry as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw kv list
      cw kv list build/ --json
    """
    entries = context.client().kv_list(args["<prefix>"] or "", namespace=args["--ns"])
    if output.wants_json(args):
        output.show_json([_json(entry) for entry in entries])
    elif not entries:
        output.line("No keys found")
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

    Examples:
      cw kv delete build/status
    """
    existed = context.client().kv_delete(args["<key>"], namespace=args["--ns"])
    where = f"{args['--ns'] or DEFAULT_NAMESPACE}/{args['<key>']}"
    output.note(f"{where} was not there" if existed is False else f"Deleted {where}")
    return 0


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _json(entry: Entry) -> dict[str, Any]:
    """Return an entry with its value as text, or as `value_base64` when it is none."""
    try:
        return {**entry.sent, "value": entry.value.decode()}
    except UnicodeDecodeError:
        from codewire.wire.control import encode_bytes

        shown = {key: value for key, value in entry.sent.items() if key != "value"}
        return {**shown, "value_base64": encode_bytes(entry.value)}
