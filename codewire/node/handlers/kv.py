"""The node's keys and values: KVSet, KVGet, KVDelete, KVList (wire.md 15)."""

from __future__ import annotations

from codewire.errors import RequestError
from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node
from codewire.session.kv import Entry
from codewire.wire.codes import BAD_REQUEST, TOO_LARGE
from codewire.wire.control import encode_bytes
from codewire.wire.duration import parse_duration
from codewire.wire.texts import go_quote
from codewire.wire.timestamps import format_seconds

# Values of one listing; as base64 a third more, and a frame holds 16 MiB.
MAX_LIST_BYTES = 8 << 20


def set_key(node: Node, request: Message, caller: Caller) -> Message:
    """Set a key, or set it anew; without `ttl` it stays for ever."""
    ttl = request.get("ttl") or ""
    try:
        lifetime_ns = parse_duration(ttl) if ttl else 0
    except ValueError as error:
        raise RequestError(f"invalid TTL {go_quote(ttl)}: {error}", BAD_REQUEST) from error
    value = request.get("value") or b""
    node.kv.set(request.get("namespace") or "", request.get("key") or "", value, lifetime_ns)
    return {"type": "KVSetOK"}


def get_key(node: Node, request: Message, caller: Caller) -> Message:
    """A key's value; none at all when there is no such key."""
    value = node.kv.get(request.get("namespace") or "", request.get("key") or "")
    return {"type": "KVGetResult", "value": None if value is None else encode_bytes(value)}


def delete_key(node: Node, request: Message, caller: Caller) -> Message:
    """Remove a key, whether it is there or not; with `request_key` `existed` says which."""
    existed = node.kv.delete(request.get("namespace") or "", request.get("key") or "")
    return {"type": "KVDeleteOK", "existed": existed if request.get("request_key") else None}


def list_keys(node: Node, request: Message, caller: Caller) -> Message:
    """The entries whose key begins with `key`, sorted."""
    found = node.kv.list(request.get("namespace") or "", request.get("key") or "")
    if sum(len(key) + len(entry.value) for key, entry in found) > MAX_LIST_BYTES:
        raise RequestError(
            f"{len(found)} keys are too much for one answer ({MAX_LIST_BYTES >> 20} MiB): "
            "ask with a longer prefix",
            TOO_LARGE,
        )
    return {"type": "KVListResult", "entries": [_entry(*item) for item in found]}


def _entry(key: str, entry: Entry) -> Message:
    shown = {"key": key, "value": encode_bytes(entry.value)}
    if entry.expires_ns:
        shown["expires_at"] = format_seconds(entry.expires_ns)
    return shown


ANSWERS: dict[str, Handler] = {
    "KVSet": set_key,
    "KVGet": get_key,
    "KVDelete": delete_key,
    "KVList": list_keys,
}
