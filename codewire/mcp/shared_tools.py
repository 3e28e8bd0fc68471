"""Tools for what sessions share: the key-value store, and the network's nodes (spec/mcp.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.config import NAME_CHARACTERS
from codewire.errors import UsageError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import MAX_BYTES, Tool, listing, to_json
from codewire.wire.answers.messages import Entry
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.network.shared import Shared

DEFAULT_NAMESPACE = "default"
# A longer value is not listed with its key: codewire_kv_get reads it.
MAX_LISTED_VALUE = 16 << 10


def list_nodes(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_list_nodes: the relay is asked, as the user whose configuration this is."""
    from codewire.network.shared import Shared

    return to_json([node._asdict() for node in Shared(args["network"] or "").nodes()])


def _keys(client: CallClient, args: dict[str, Any]) -> Client | Shared:
    """Return who has the keys: this node, another one, or the relay where a network is named."""
    if args["node"]:
        return _other_node(client, args["node"], args["network"] or "")
    if not args["network"]:
        return client
    from codewire.network.shared import Shared

    return Shared(args["network"])


def _other_node(client: CallClient, node: str, network: str) -> CallClient:
    """Return a client of another node in the same call. Raises UsageError, ConfigError."""
    from codewire.client.reach.behind import named_route
    from codewire.client.reach.servers import Options

    if not NAME_CHARACTERS.issuperset(node):
        # No agent dials addresses of its own making.
        raise UsageError("node must be the name of one, as codewire_list_nodes has it")
    other = CallClient(named_route(node, Options(network=network)), client.notices.append)
    other.call_in_progress, other.deadline = client.call_in_progress, client.deadline
    return other


def kv_set(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_set."""
    value = args["value"].encode("utf-8", "replace")
    _keys(client, args).kv_set(
        args["key"], value, namespace=args["namespace"], ttl=args["ttl"] or ""
    )
    return f"Set {args['namespace']}/{args['key']}"


def kv_get(client: CallClient, args: dict[str, Any]) -> str | list[str]:
    """Run codewire_kv_get: the value; if it is long a part, and where the next one begins."""
    value = _keys(client, args).kv_get(args["key"], namespace=args["namespace"])
    if value is None:
        return "Key not found"
    start = args["from_offset"] or 0
    end = _character_end(value, start + MAX_BYTES)
    text = value[start:end].decode("utf-8", "replace")
    return [text, to_json({"next_offset": end, "size": len(value)})] if end < len(value) else text


def _character_end(value: bytes, end: int) -> int:
    """Return the end of the last whole UTF-8 character before `end`; of other bytes, near it."""
    if end >= len(value):
        return len(value)
    for back in range(4):
        if value[end - back] & 0xC0 != 0x80:
            return end - back
    return end


def kv_list(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_kv_list: each value as base64, and as text; of long ones the size alone."""
    entries = _keys(client, args).kv_list(args["prefix"], namespace=args["namespace"])
    return listing([_listed(entry) for entry in entries], hint="ask with a longer prefix")


def _listed(entry: Entry) -> dict[str, Any]:
    value = entry.value
    if len(value) > MAX_LISTED_VALUE:
        return {**entry.sent, "value": None, "text": None, "size": len(value)}
    text = value.decode("utf-8", "replace")
    return {**entry.sent, "value": encode_bytes(value), "text": text}


def kv_delete(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_delete."""
    _keys(client, args).kv_delete(args["key"], namespace=args["namespace"])
    return f"Deleted {args['namespace']}/{args['key']}"


KEY = Param("key", "string", "The key", required=True, is_filled=True)
NAMESPACE = Param(
    "namespace", "string", "Keeps keys of different uses apart", default=DEFAULT_NAMESPACE
)
NODE = Param(
    "node",
    "string",
    "Name of another node (a saved server, or one that codewire_list_nodes has): its keys instead "
    "of this node's; `network` is then where it is",
    is_filled=True,
)
NETWORK = Param(
    "network",
    "string",
    "Name of a network of the relay: its keys, shared by its members on all machines, instead of "
    "this node's. Needs a configured relay and login",
    is_filled=True,
)

TOOLS = (
    Tool(
        "codewire_list_nodes",
        "List the nodes (machines) of the current relay network as JSON. Needs a configured relay.",
        (
            Param(
                "network",
                "string",
                "Name of another network (default: the selected one)",
                is_filled=True,
            ),
        ),
        list_nodes,
    ),
    Tool(
        "codewire_kv_set",
        "Store a value under a key, for other sessions and agents of this node to read; replaces "
        "value and expiry. Survives restarts.",
        (
            KEY,
            Param("value", "string", "The value", required=True),
            NAMESPACE,
            Param("ttl", "string", "Expire after this long: 90s, 5m, 1h30m (default: never)"),
            NODE,
            NETWORK,
        ),
        kv_set,
    ),
    Tool(
        "codewire_kv_get",
        "Read the value of a key; `Key not found` when there is none. Of a value over 500000 bytes "
        "you get a part, then JSON with next_offset: pass it back as from_offset to read on.",
        (
            KEY,
            NAMESPACE,
            Param("from_offset", "integer", "Read on from this byte (default 0)"),
            NODE,
            NETWORK,
        ),
        kv_get,
    ),
    Tool(
        "codewire_kv_list",
        "List keys that begin with a prefix, as a JSON array of {key, value (base64), text, "
        "expires_at}; a value over 16 KiB as {key, value: null, size}: read it with "
        "codewire_kv_get.",
        (
            Param("prefix", "string", "Only keys that begin with this", default=""),
            NAMESPACE,
            NODE,
            NETWORK,
        ),
        kv_list,
    ),
    Tool(
        "codewire_kv_delete",
        "Delete a key; fine when it is absent.",
        (KEY, NAMESPACE, NODE, NETWORK),
        kv_delete,
    ),
)
