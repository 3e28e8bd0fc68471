"""Tools for what sessions share: the key-value store, and the network's nodes (spec/mcp.md 5)."""

from __future__ import annotations

from typing import Any

from codewire.config import read_toml
from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import Tool, to_json
from codewire.wire.control import encode_bytes

DEFAULT_NAMESPACE = "default"


def list_nodes(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_list_nodes: there is no relay to ask in a standalone node."""
    settings = read_toml(client.target.data_dir.config)
    url = settings.get("relay_url") or settings.get("node", {}).get("relay_url")
    if url:
        raise RequestError(f"relay networks are not supported by this version (relay_url = {url})")
    raise RequestError(
        "relay not configured (set CODEWIRE_RELAY_URL or log in to hosted Codewire); "
        "this node alone is available"
    )


def kv_set(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_set."""
    _check_key(args)
    value = args["value"].encode("utf-8", "replace")
    client.kv_set(args["key"], value, namespace=args["namespace"], ttl=args["ttl"] or "")
    return f"Set {args['namespace']}/{args['key']}"


def kv_get(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_get."""
    _check_key(args)
    value = client.kv_get(args["key"], namespace=args["namespace"])
    return "Key not found" if value is None else value.decode("utf-8", "replace")


def kv_list(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_list: each value as base64, and as text."""
    entries = client.kv_list(args["prefix"], namespace=args["namespace"])
    for entry in entries:
        value = entry["value"]
        entry |= {"value": encode_bytes(value), "text": value.decode("utf-8", "replace")}
    return to_json(entries)


def kv_delete(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kv_delete."""
    _check_key(args)
    client.kv_delete(args["key"], namespace=args["namespace"])
    return f"Deleted {args['namespace']}/{args['key']}"


def _check_key(args: dict[str, Any]) -> None:
    if not args["key"]:
        raise RequestError("missing key")


KEY = Param("key", "string", "The key", required=True)
NAMESPACE = Param(
    "namespace", "string", "Keeps keys of different uses apart", default=DEFAULT_NAMESPACE
)

TOOLS = (
    Tool(
        "codewire_list_nodes",
        "List the nodes (machines) of the current relay network as JSON. Needs a configured relay.",
        (),
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
        ),
        kv_set,
    ),
    Tool(
        "codewire_kv_get",
        "Read the value of a key; `Key not found` when there is none.",
        (KEY, NAMESPACE),
        kv_get,
    ),
    Tool(
        "codewire_kv_list",
        "List keys that begin with a prefix, as a JSON array of {key, value (base64), text, "
        "expires_at}.",
        (Param("prefix", "string", "Only keys that begin with this", default=""), NAMESPACE),
        kv_list,
    ),
    Tool(
        "codewire_kv_delete", "Delete a key; fine when it is absent.", (KEY, NAMESPACE), kv_delete
    ),
)
