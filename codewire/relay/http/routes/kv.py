"""Keys and values of a network (spec/relay.md 3.8)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import NO_CONTENT, PRIVATE, Refusal, bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_member, need_owner
from codewire.relay.http.inputs import MAX_WHOLE, check_name
from codewire.relay.http.shapes import TEXT, TIME, listed, shape
from codewire.relay.store import kv
from codewire.wire.duration import parse_duration
from codewire.wire.http import MAX_BODY, Answer
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.kv import Entry

# Older relays kept signing keys under one of these.
RESERVED = "relay."
OCTETS = "application/octet-stream"


def put_value(call: Call, store: Database) -> Any:
    """Set a key; `X-TTL` says how long it stays."""
    network, namespace, key, user = _where(call)
    expires_at = _expiry(call)

    def put(tx: Tx) -> None:
        need_member(tx, user, network)
        check_name(network, "network id")
        _check_namespace(namespace)
        kv.put(tx, network, namespace, key, call.request.body, expires_at, call.now)

    store.write(put)
    return NO_CONTENT


def get_value(call: Call, store: Database) -> Any:
    """Return a key's value."""
    network, namespace, key, user = _where(call)

    def get(tx: Tx) -> Entry | None:
        need_member(tx, user, network)
        _check_namespace(namespace)
        return kv.get(tx, network, namespace, key, call.now)

    entry = store.read(get)
    if entry is None:
        raise Refusal(404, "not found")
    fields = (("Content-Type", OCTETS), ("X-Content-Type-Options", "nosniff"), *PRIVATE)
    return Answer(200, entry.value, fields)


def delete_value(call: Call, store: Database) -> Any:
    """Remove a key."""
    network, namespace, key, user = _where(call)

    def delete(tx: Tx) -> None:
        need_owner(tx, user, network)
        _check_namespace(namespace)
        kv.delete(tx, network, namespace, key)

    store.write(delete)
    return NO_CONTENT


def show_values(call: Call, store: Database) -> Any:
    """List a namespace's keys and values, or those that begin with a prefix."""
    network, namespace, user = call.network, call.value("namespace"), call.user
    prefix = call.query.raw("prefix")

    def find(tx: Tx) -> list[Entry]:
        need_member(tx, user, network)
        _check_namespace(namespace)
        return kv.list_of(tx, network, namespace, prefix, call.now)

    return [_shown(entry) for entry in store.read(find)]


def _where(call: Call) -> tuple[str, str, str, Any]:
    return call.network, call.value("namespace"), call.value("key"), call.user


def _check_namespace(namespace: str) -> None:
    if namespace.lower().startswith(RESERVED):
        raise Refusal(403, f"namespaces that begin with {RESERVED!r} are reserved")


def _expiry(call: Call) -> int | None:
    given = call.request.field("X-TTL").strip()
    if not given:
        return None
    try:
        return min(call.now + parse_duration(given), MAX_WHOLE)
    except ValueError as error:
        raise bad_request("invalid X-TTL header") from error


def _shown(entry: Entry) -> dict[str, Any]:
    shown = {"key": entry.key, "value": b64encode(entry.value).decode()}
    if entry.expires_at is not None:
        shown["expires_at"] = format_nanos(entry.expires_at)
    return shown


PATH = "/api/v1/kv/{namespace}/{key}"
OF_NETWORK = ("network_id",)
ENDPOINTS = [
    Endpoint(
        "PUT",
        PATH,
        put_value,
        Who.USER,
        "Set a key",
        OF_NETWORK,
        raw_limit=MAX_BODY,
        status=204,
        errors=(403,),
        fields=("X-TTL",),
    ),
    Endpoint(
        "GET", PATH, get_value, Who.USER, "Get a value", OF_NETWORK, kind=OCTETS, errors=(403, 404)
    ),
    Endpoint(
        "DELETE",
        PATH,
        delete_value,
        Who.USER,
        "Remove a key",
        OF_NETWORK,
        status=204,
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/kv/{namespace}",
        show_values,
        Who.USER,
        "List keys and values",
        ("network_id", "prefix"),
        answers=listed(shape({"expires_at": TIME}, key=TEXT, value=TEXT)),
        errors=(403,),
    ),
]
