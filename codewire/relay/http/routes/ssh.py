"""SSH: where it is served and by which host key, and the public keys that people log in with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from codewire.credentials.sshkeys import MAX_COMMENT, fingerprint_of, parse_public_key
from codewire.relay.http.answers import NO_CONTENT, Refusal
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.inputs import Body
from codewire.relay.http.limits import SSH_KEYS
from codewire.relay.http.shapes import TEXT, TIME, WHOLE, listed, shape
from codewire.relay.store import people
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.people import SshKey

log = logging.getLogger(__name__)

# Of one person; who logs in from more machines has a key for several.
MAX_KEYS = 64
# A key of 16384 bits, and its comment.
MAX_LINE = 8192


def show_door(call: Call, store: Database) -> Any:
    """Say where SSH is served, and to a node or user as whom they log in."""
    service = call.service
    if not service.ssh_host_key:
        raise Refusal(404, "this relay serves no SSH")
    host, port = service.settings.ssh_address(service.ssh_port)
    door: dict[str, Any] = {
        "host": host,
        "port": port,
        "host_key": service.ssh_host_key,
        "fingerprint": fingerprint_of(service.ssh_host_key),
    }
    if call.is_node:
        return {**door, "user": f"{call.node.network_id}/{call.node.name}"}
    subject = call.user.subject
    return {**door, "key_count": len(store.read(lambda tx: people.keys_of(tx, subject)))}


def list_keys(call: Call, store: Database) -> Any:
    """List the caller's keys, oldest first."""
    subject = call.user.subject
    return [_shown(key) for key in store.read(lambda tx: people.keys_of(tx, subject))]


def add_key(call: Call, store: Database) -> Any:
    """Keep a public key as the caller's; one that is theirs already stays as it is."""
    # BadValue is a 400.
    key = parse_public_key(call.given.needed("public_key", MAX_LINE))
    name = call.given.text("name", MAX_COMMENT) or key.comment[:MAX_COMMENT]
    subject = call.user.subject

    def add(tx: Tx) -> tuple[bool, SshKey]:
        tx.lock("ssh-keys", subject)
        there = people.keys_of(tx, subject)
        is_new = all(one.fingerprint != key.fingerprint for one in there)
        if is_new and len(there) >= MAX_KEYS:
            raise Refusal(409, f"{MAX_KEYS} SSH keys are yours already: remove one first")
        people.key_add(tx, key.fingerprint, subject, key.line, name, call.now)
        found = people.keys_of(tx, subject)
        return is_new, next(one for one in found if one.fingerprint == key.fingerprint)

    is_new, added = store.write(add)
    if is_new:
        log.info("SSH key %s of %s added from %s", key.fingerprint, subject, call.address)
    return _shown(added)


def remove_key(call: Call, store: Database) -> Any:
    """Have a key be the caller's no more."""
    fingerprint = call.query.needed("fingerprint", MAX_COMMENT)
    subject = call.user.subject
    if not store.write(lambda tx: people.key_remove(tx, subject, fingerprint)):
        raise Refusal(404, "no such SSH key")
    log.info("SSH key %s of %s removed from %s", fingerprint, subject, call.address)
    return NO_CONTENT


def _shown(key: SshKey) -> dict[str, str]:
    return {
        "fingerprint": key.fingerprint,
        "name": key.comment,
        "public_key": key.public_key,
        "created_at": format_nanos(key.created_at),
    }


KEY = shape(fingerprint=TEXT, name=TEXT, public_key=TEXT, created_at=TIME)
PATH = "/api/v1/ssh-keys"
ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/ssh",
        show_door,
        Who.EITHER,
        "Where SSH is served",
        answers=shape(
            {"user": TEXT, "key_count": WHOLE},
            host=TEXT,
            port=WHOLE,
            host_key=TEXT,
            fingerprint=TEXT,
        ),
        errors=(404,),
    ),
    Endpoint("GET", PATH, list_keys, Who.USER, "List your SSH keys", answers=listed(KEY)),
    Endpoint(
        "POST",
        PATH,
        add_key,
        Who.USER,
        "Add an SSH key of yours",
        body=Body("public_key required", public_key="text", name="text"),
        answers=KEY,
        errors=(409,),
        limit=SSH_KEYS,
    ),
    Endpoint(
        "DELETE",
        PATH,
        remove_key,
        Who.USER,
        "Remove an SSH key of yours",
        query=("fingerprint",),
        status=204,
        errors=(404,),
        limit=SSH_KEYS,
    ),
]
