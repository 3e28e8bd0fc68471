"""A node that waits until its owner has logged in on another device (spec/relay.md 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import new_hex
from codewire.relay.http.answers import JSON, PRIVATE, Refusal, json_answer
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import OWNER
from codewire.relay.http.inputs import Body, check_name
from codewire.relay.http.limits import JOIN, POLL
from codewire.relay.http.routes.login.oidc import check_groups, upsert
from codewire.relay.http.routes.nodes import DEFAULT_SECONDS, TOKEN_PREFIX, redeem_in
from codewire.relay.http.shapes import TEXT, WHOLE, shape
from codewire.relay.providers.asking import ProviderError, Reply
from codewire.relay.store import networks, nodes, people
from codewire.wire.timestamps import SECOND

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.providers.oidc import OidcUser
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.people import Device
    from codewire.wire.http import Answer

EXPIRES_SECONDS, INTERVAL_SECONDS = 300, 5
MAX_EXPIRES_SECONDS = 3600
# The provider's words for a login that is not done yet (RFC 8628 3.5), and ours.
WAITING = {"authorization_pending": "pending", "slow_down": "slow_down"}
GONE = "expired or invalid poll token"


def begin(call: Call, store: Database) -> Any:
    """Begin such a login."""
    name = check_name(call.given.needed("node_name"), "node_name")
    network = check_name(call.given.needed("network_id"), "network id")
    try:
        reply = call.service.oidc.begin_device()
    except ProviderError as error:
        raise Refusal(502, "upstream OIDC error") from error
    seconds = min(reply.whole("expires_in", EXPIRES_SECONDS), MAX_EXPIRES_SECONDS)
    token = new_hex()
    store.write(
        lambda tx: people.device_put(
            tx,
            token,
            device_code=reply.text("device_code"),
            network_id=network,
            node_name=name,
            expires_at=call.now + seconds * SECOND,
        )
    )
    url = reply.text("verification_uri_complete") or reply.text("verification_uri")
    return {
        "poll_token": token,
        "user_code": reply.text("user_code"),
        "verification_uri": url,
        "expires_in": seconds,
        "interval": reply.whole("interval", INTERVAL_SECONDS),
    }


def poll(call: Call, store: Database) -> Any:
    """Say how it stands; once it is done, register the node."""
    token = call.given.needed("poll_token")
    device = store.read(lambda tx: people.device_get(tx, token, call.now))
    if device is None:
        raise Refusal(410, GONE)
    if device.node_token:
        return _authorized(device, device.node_token)
    try:
        reply = call.service.oidc.poll_device(device.device_code)
        waiting = WAITING.get(reply.text("error"))
        if waiting:
            return _wait(waiting)
        user = call.service.oidc.user(_access_token(reply))
    except ProviderError as error:
        raise Refusal(502, "upstream OIDC error") from error
    check_groups(user, call.service.settings.oidc_allowed_groups)
    node_token = new_hex()
    made = store.write(lambda tx: _register(tx, token, user, node_token, call.now))
    call.service.drop_node(device.network_id, device.node_name)
    return _authorized(device, made)


def _access_token(reply: Reply) -> str:
    error = reply.text("error")
    if error == "expired_token":
        raise Refusal(410, GONE)
    if error or not reply.text("access_token"):
        raise Refusal(403, "OIDC authorization failed")
    return reply.text("access_token")


def _register(tx: Tx, token: str, user: OidcUser, node_token: str, now: int) -> str:
    """Register the node in the user's name; return its token, an earlier poll's if it came first.

    Raises Refusal (403) for who is not in the network.
    """
    tx.lock("device", token)
    device = people.device_get(tx, token, now)
    if device is None:
        raise Refusal(410, GONE)
    if device.node_token:
        return device.node_token
    subject = upsert(tx, user, now)
    network = device.network_id
    # A network that nobody has yet is the first one's.
    if networks.claim(tx, network, subject, now) == "taken":
        raise Refusal(403, "access denied: membership required")
    role = networks.role(tx, network, subject)
    enrollment = TOKEN_PREFIX + new_hex()
    nodes.enroll(
        tx,
        network,
        node_name=device.node_name,
        owner_subject=subject,
        issued_by=subject,
        may_replace=role == OWNER,
        uses=1,
        expires_at=now + DEFAULT_SECONDS * SECOND,
        token=enrollment,
        id=new_hex(),
        now=now,
    )
    redeem_in(tx, enrollment, device.node_name, "", node_token, now)
    people.device_finish(tx, token, node_token)
    return node_token


def _wait(status: str) -> Answer:
    answer = json_answer({"status": status})
    return answer._replace(status=202, fields=(("Content-Type", JSON), *PRIVATE))


def _authorized(device: Device, node_token: str) -> dict[str, str]:
    return {
        "status": "authorized",
        "node_token": node_token,
        "node_name": device.node_name,
        "network_id": device.network_id,
    }


ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/v1/device/authorize",
        begin,
        Who.PUBLIC,
        "Register a node by a login on another device",
        body=Body(node_name="text", network_id="text"),
        answers=shape(
            poll_token=TEXT, user_code=TEXT, verification_uri=TEXT, expires_in=WHOLE, interval=WHOLE
        ),
        errors=(502,),
        limit=JOIN,
    ),
    Endpoint(
        "POST",
        "/api/v1/device/poll",
        poll,
        Who.PUBLIC,
        "How such a login stands",
        body=Body("poll_token required", poll_token="text"),
        answers=shape({"node_token": TEXT, "node_name": TEXT, "network_id": TEXT}, status=TEXT),
        errors=(403, 410, 502),
        also=(202,),
        limit=POLL,
    ),
]
