"""The relay itself: how it is, who asks, what it speaks; and what its admin may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import Refusal
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.inputs import Body, check_name
from codewire.relay.http.metrics import render_metrics
from codewire.relay.http.shapes import TEXT, TIME, listed, shape
from codewire.relay.store import networks, trust
from codewire.wire.http import Answer, plain
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

METRICS_KIND = "text/plain; version=0.0.4; charset=utf-8"
MAX_AUDIT = 1000


def say_healthy(call: Call, store: Database) -> Answer:
    """Answer: the process is there."""
    return Answer(200, b"ok", (("Content-Type", "text/plain; charset=utf-8"),))


def say_ready(call: Call, store: Database) -> Answer:
    """Answer that requests can be served: the store is there, too."""
    store.read(lambda tx: tx.one("select 1"))
    return plain(200, "ready")


def show_auth(call: Call, store: Database) -> Any:
    """Say how users log in."""
    return {"auth_mode": call.service.settings.auth_mode}


def validate(call: Call, store: Database) -> Any:
    """Say that a user's token is good."""
    return {"status": "ok", "subject": call.user.subject, "username": call.user.username}


def show_metrics(call: Call, store: Database) -> Answer:
    """Return the relay's figures."""
    _need_admin(call)
    return Answer(
        200, render_metrics(call.service.status()).encode(), (("Content-Type", METRICS_KIND),)
    )


def show_status(call: Call, store: Database) -> Any:
    """Return the relay's figures, to its admin."""
    _need_admin(call)
    return call.service.status()


def rotate_keys(call: Call, store: Database) -> Any:
    """Make new signing keys: of one network, or of all that have one."""
    _need_admin(call)
    wanted = call.given.text("network_id")

    def rotate(tx: Tx) -> dict[str, str]:
        if wanted and not networks.exists(tx, check_name(wanted, "network id")):
            raise Refusal(404, "network not found")
        chosen = [wanted] if wanted else [n.network_id for n in networks.list_for(tx, None, 0)]
        made = {}
        for network in chosen:
            if wanted or trust.current_if_any(tx, network, call.now) is not None:
                made[network] = trust.rotate(tx, network, call.now)
                trust.audit(tx, network, call.actor, "key.rotated", made[network], call.now)
        return made

    made = store.write(rotate)
    return {"rotated": [{"network_id": name, "key_id": kid} for name, kid in made.items()]}


def show_audit(call: Call, store: Database) -> Any:
    """List who granted, revoked and enrolled, newest first."""
    _need_admin(call)
    network = call.network
    return [
        {
            "at": format_nanos(entry.at),
            "actor": entry.actor,
            "action": entry.action,
            "target": entry.target,
            "details": entry.details,
        }
        for entry in store.read(lambda tx: trust.audit_list(tx, network, MAX_AUDIT))
    ]


def _need_admin(call: Call) -> None:
    if not call.user.is_admin:
        raise Refusal(403, "the relay's admin token is needed")


PLAIN = "text/plain"
AUDITED = shape(at=TIME, actor=TEXT, action=TEXT, target=TEXT, details=TEXT)
ENDPOINTS = [
    Endpoint("GET", "/healthz", say_healthy, Who.PUBLIC, "The process is there", kind=PLAIN),
    Endpoint(
        "GET", "/readyz", say_ready, Who.PUBLIC, "Requests can be served", kind=PLAIN, errors=(503,)
    ),
    Endpoint(
        "GET",
        "/metrics",
        show_metrics,
        Who.USER,
        "Figures for Prometheus",
        kind=PLAIN,
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/auth/config",
        show_auth,
        Who.PUBLIC,
        "How users log in",
        answers=shape(auth_mode=TEXT),
    ),
    Endpoint(
        "GET",
        "/api/v1/auth/validate",
        validate,
        Who.USER,
        "Check a user's token",
        answers=shape(status=TEXT, subject=TEXT, username=TEXT),
    ),
    Endpoint(
        "GET",
        "/api/v1/admin/status",
        show_status,
        Who.USER,
        "The relay's figures",
        answers={"type": "object"},
        errors=(403,),
    ),
    Endpoint(
        "POST",
        "/api/v1/admin/keys/rotate",
        rotate_keys,
        Who.USER,
        "Make new signing keys",
        body=Body(lenient=True, network_id="text"),
        answers=shape(rotated=listed(shape(network_id=TEXT, key_id=TEXT))),
        errors=(403, 404),
    ),
    Endpoint(
        "GET",
        "/api/v1/admin/audit",
        show_audit,
        Who.USER,
        "Who granted, revoked and enrolled",
        ("network_id",),
        answers=listed(AUDITED),
        errors=(403,),
    ),
]
