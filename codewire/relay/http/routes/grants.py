"""Access grants: a temporary right to read one session's messages (spec/network-auth.md 7, 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.claims import OBSERVER_SECONDS, ObserverClaims
from codewire.credentials.envelope import mint
from codewire.credentials.tokens import new_id
from codewire.relay.http.answers import Refusal, bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import ADMIN, OWNER, need_member, need_owner, role
from codewire.relay.http.inputs import Body, Given, check_name
from codewire.relay.http.routes.groups import MAX_SESSION_NAME
from codewire.relay.http.shapes import TEXT, TIME, WHOLE, WORDS, listed, shape
from codewire.relay.http.streams import open_feed
from codewire.relay.store import people, trust
from codewire.relay.store.trust import Grant
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

MAX_SECONDS = 24 * 3600
CLIENT = "client"
READ, LISTEN = "msg.read", "msg.listen"
VERBS = {"read": READ, "msg.read": READ, "listen": LISTEN, "msg.listen": LISTEN}
# Subjects that are taken as they are: nobody need be known by them yet.
EXPLICIT = ("github:", "oidc:", "user:")
MAX_SUBJECT = 256


def create_grant(call: Call, store: Database) -> Any:
    """Grant somebody access to a session's messages, and return the token for it."""
    given, network, user = call.given, call.given.needed("network_id"), call.user

    def create(tx: Tx) -> tuple[str, Grant]:
        need_owner(tx, user, network)
        check_name(network, "network id")
        grant = _new_grant(tx, call, network)
        key = trust.current(tx, network, call.now)
        claims = ObserverClaims(
            network_id=network,
            target_node=grant.target_node,
            session_id=grant.session_id,
            session_name=grant.session_name,
            verbs=grant.verbs,
            audience_subject_kind=grant.audience_subject_kind,
            audience_subject_id=grant.audience_subject_id,
            issuer=f"relay:{network}",
            kid=key.kid,
            issued_at=call.now,
            expires_at=grant.expires_at,
            jti=grant.id,
        )
        trust.add_grant(tx, grant)
        target = f"{grant.target_node}:{grant.session_name or grant.session_id}"
        details = f"{target} {','.join(grant.verbs)} to {grant.audience_subject_id}"
        trust.audit(tx, network, user.subject, "access.grant.created", grant.id, call.now, details)
        return mint(claims, key), grant

    _check_target(given)
    token, grant = store.write(create)
    shown = {"delegation": token, "grant_id": grant.id, **_shown(grant)}
    for name in ("id", "issued_by", "created_at"):
        shown.pop(name, None)
    return shown


def _check_target(given: Given) -> None:
    """Refuse fields that are too long or hold control characters before anybody is looked up."""
    for name in ("target_node", "audience", "ttl"):
        given.text(name, MAX_SUBJECT)
    given.text("session_name", MAX_SESSION_NAME)


def _new_grant(tx: Tx, call: Call, network: str) -> Grant:
    """Return the grant that is asked for. Raises Refusal (400)."""
    given = call.given
    target = check_name(given.needed("target_node"), "target_node")
    identity, name = given.session_id("session_id") or None, given.text("session_name")
    if identity is None and not name:
        raise bad_request("session_id or session_name required")
    if identity is not None and name:
        raise bad_request("session_id and session_name are mutually exclusive")
    kind, subject, display = find_audience(tx, given.needed("audience"))
    return Grant(
        id=new_id("og_"),
        network_id=network,
        target_node=target,
        session_id=identity,
        session_name=name,
        verbs=_verbs(given.words("verbs")),
        audience_subject_kind=kind,
        audience_subject_id=subject,
        audience_display=display,
        issued_by=call.user.subject,
        created_at=call.now,
        expires_at=call.now + given.ttl(OBSERVER_SECONDS, MAX_SECONDS),
        revoked_at=None,
    )


def _verbs(given: list[str]) -> tuple[str, ...]:
    found = []
    for word in given:
        verb = VERBS.get(word.strip().lower())
        if verb is None:
            raise bad_request(f'unsupported verb "{word}"')
        found.append(verb)
    return tuple(dict.fromkeys(found)) or (READ, LISTEN)


def find_audience(tx: Tx, name: str) -> tuple[str, str, str]:
    """Return kind, id and display of whom a name means. Raises Refusal (400)."""
    if len(name) > MAX_SUBJECT:
        raise bad_request(f"audience must be at most {MAX_SUBJECT} characters")
    if name == ADMIN or name.startswith(EXPLICIT):
        return CLIENT, name, name
    found = people.principals(tx, name)
    if not found:
        raise bad_request(f'principal "{name}" not found')
    if len(found) > 1:
        raise bad_request(
            f'principal "{name}" is ambiguous; use an explicit subject like github:<id> or '
            "oidc:<sub>"
        )
    return CLIENT, found[0].subject, found[0].display


def show_grants(call: Call, store: Database) -> Any:
    """List grants, newest first."""
    network, user = call.network, call.user
    is_active, is_mine = call.query.flag("active"), call.query.flag("mine")
    target, name = call.query.text("target_node"), call.query.text("audience", MAX_SUBJECT)

    def find(tx: Tx) -> list[Grant]:
        if is_mine:
            need_member(tx, user, network)
            audience = (CLIENT, user.subject)
        else:
            need_owner(tx, user, network)
            audience = find_audience(tx, name)[:2] if name else ("", "")
        return trust.grants(
            tx,
            network,
            call.now,
            target_node=target,
            audience=audience,
            # Only `true` filters (Go).
            is_active=True if is_active else None,
        )

    return [_shown(grant) for grant in store.read(find)]


def show_grant(call: Call, store: Database) -> Any:
    """Show a grant to whom it is for, or to an owner."""
    network, identity, user = call.network, call.value("id"), call.user

    def find(tx: Tx) -> Grant:
        grant = _needed(trust.grant(tx, network, identity))
        found = role(tx, user, network)
        is_audience = (grant.audience_subject_kind, grant.audience_subject_id) == (
            CLIENT,
            user.subject,
        )
        if found != OWNER and not is_audience:
            raise Refusal(403, "owner access required" if found else "membership required")
        if not found:
            raise Refusal(403, "membership required")
        return grant

    return _shown(store.read(find))


def revoke_grant(call: Call, store: Database) -> Any:
    """Revoke a grant; whoever watches is told. Twice is as good as once."""
    network, identity, user = call.network, call.value("id"), call.user

    def revoke(tx: Tx) -> None:
        need_owner(tx, user, network)
        _needed(trust.revoke_grant(tx, network, identity, user.subject, call.now))

    store.write(revoke)
    return {"status": "revoked", "grant_id": identity}


def _needed(grant: Grant | None) -> Grant:
    if grant is None:
        raise Refusal(404, "access grant not found")
    return grant


def watch(call: Call, store: Database) -> Any:
    """Stream what changes about access: `access.grant.revoked`."""
    return open_feed(call, store, "access")


def _shown(grant: Grant) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": grant.id,
        "network_id": grant.network_id,
        "target_node": grant.target_node,
        "session_id": grant.session_id,
        "session_name": grant.session_name or None,
        "verbs": list(grant.verbs),
        "audience_subject_kind": grant.audience_subject_kind,
        "audience_subject_id": grant.audience_subject_id,
        "audience_display": grant.audience_display or None,
        "issued_by": grant.issued_by or None,
        "created_at": format_nanos(grant.created_at),
        "expires_at": format_nanos(grant.expires_at),
        "revoked_at": None if grant.revoked_at is None else format_nanos(grant.revoked_at),
    }
    return {name: value for name, value in shown.items() if value is not None}


TARGET = {"session_id": WHOLE, "session_name": TEXT, "audience_display": TEXT}
GRANT = shape(
    {**TARGET, "issued_by": TEXT, "revoked_at": TIME},
    id=TEXT,
    network_id=TEXT,
    target_node=TEXT,
    verbs=WORDS,
    audience_subject_kind=TEXT,
    audience_subject_id=TEXT,
    created_at=TIME,
    expires_at=TIME,
)
DELEGATION = shape(
    TARGET,
    delegation=TEXT,
    grant_id=TEXT,
    network_id=TEXT,
    target_node=TEXT,
    verbs=WORDS,
    audience_subject_kind=TEXT,
    audience_subject_id=TEXT,
    expires_at=TIME,
)
ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/v1/access-grants",
        create_grant,
        Who.USER,
        "Grant access to a session's messages",
        body=Body(
            network_id="text",
            target_node="text",
            session_id="whole",
            session_name="text",
            audience="text",
            verbs="words",
            ttl="text",
        ),
        answers=DELEGATION,
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/access-grants",
        show_grants,
        Who.USER,
        "List grants",
        ("network_id", "target_node", "audience", "active", "mine"),
        answers=listed(GRANT),
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/access-grants/{id}",
        show_grant,
        Who.USER,
        "Show a grant",
        ("network_id",),
        answers=GRANT,
        errors=(403, 404),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/access-grants/{id}",
        revoke_grant,
        Who.USER,
        "Revoke a grant",
        ("network_id",),
        answers=shape(status=TEXT, grant_id=TEXT),
        errors=(403, 404),
    ),
    Endpoint(
        "GET",
        "/api/v1/access/cache/events",
        watch,
        Who.USER,
        "Stream revocations",
        ("network_id",),
        kind="text/event-stream",
        errors=(403,),
        fields=("Last-Event-ID",),
    ),
]
