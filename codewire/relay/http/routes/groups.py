"""Groups of sessions, and what their members may do (spec/network-auth.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import Refusal, bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_owner
from codewire.relay.http.inputs import Body, Given, check_name
from codewire.relay.http.shapes import TEXT, TIME, listed, shape
from codewire.relay.store import groups, trust
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.groups import Group, Member, Policy

# The path of bindings hides a group of that name.
RESERVED = "bindings"
MAX_SESSION_NAME = 256

# Values, the first one the default.
MESSAGES = ("internal-only", "open")
DEBUG = ("observe-only", "none", "full")


def create_group(call: Call, store: Database) -> Any:
    """Create a group."""
    network, name = call.given.needed("network_id"), _name(call.given.text("name"))
    if name == RESERVED:
        raise bad_request(f'group name "{RESERVED}" is reserved')
    user = call.user

    def create(tx: Tx) -> Group:
        need_owner(tx, user, network)
        check_name(network, "network id")
        made = groups.create(tx, network, name, user.subject, call.now)
        if made is None:
            raise Refusal(409, "group already exists")
        trust.audit(tx, network, user.subject, "group.created", name, call.now)
        return made

    return _shown(store.write(create))


def show_groups(call: Call, store: Database) -> Any:
    """List a network's groups."""
    network = call.network

    def find(tx: Tx) -> list[Group]:
        need_owner(tx, call.user, network)
        return groups.list_of(tx, network)

    return [_shown(group) for group in store.read(find)]


def show_group(call: Call, store: Database) -> Any:
    """Show a group with its members."""
    network, name = call.network, _name(call.value("name"))

    def find(tx: Tx) -> tuple[Group | None, list[Member]]:
        need_owner(tx, call.user, network)
        return groups.get(tx, network, name), groups.members(tx, network, name)

    group, members = store.read(find)
    if group is None:
        raise Refusal(404, "group not found")
    shown = _shown(group)
    if members:
        shown["members"] = [_shown_member(member) for member in members]
    return shown


def delete_group(call: Call, store: Database) -> Any:
    """Delete a group with its members and policy."""
    network, name, user = call.network, _name(call.value("name")), call.user

    def delete(tx: Tx) -> None:
        need_owner(tx, user, network)
        if not groups.delete(tx, network, name):
            raise Refusal(404, "group not found")
        trust.audit(tx, network, user.subject, "group.deleted", name, call.now)

    store.write(delete)
    return {"status": "deleted", "network_id": network, "name": name}


def add_member(call: Call, store: Database) -> Any:
    """Add a session to a group; once is enough."""
    network, node, session, name = _member(call, call.given)

    def add(tx: Tx) -> Member:
        _need_owner_or_node(tx, call, network)
        member = groups.add(tx, network, name, node, session, call.now)
        if member is None:
            raise Refusal(404, "group not found")
        trust.audit(tx, network, call.actor, "group.joined", f"{name} {node}:{session}", call.now)
        return member

    return _shown_member(store.write(add))


def remove_member(call: Call, store: Database) -> Any:
    """Take a session out of a group."""
    network, node, session, name = _member(call, call.query)

    def remove(tx: Tx) -> None:
        _need_owner_or_node(tx, call, network)
        if not groups.remove(tx, network, name, node, session):
            raise Refusal(404, "group member not found")
        trust.audit(tx, network, call.actor, "group.left", f"{name} {node}:{session}", call.now)

    store.write(remove)
    return {
        "status": "removed",
        "network_id": network,
        "group_name": name,
        "node_name": node,
        "session_name": session,
    }


def set_policy(call: Call, store: Database) -> Any:
    """Replace both policies of a group; one that is not given gets its default."""
    network, name, user = call.given.needed("network_id"), _name(call.value("name")), call.user
    messages = _policy(call.given, "messages_policy", MESSAGES)
    debug = _policy(call.given, "debug_policy", DEBUG)

    def change(tx: Tx) -> Policy:
        need_owner(tx, user, network)
        policy = groups.set_policy(tx, network, name, messages, debug, call.now)
        if policy is None:
            raise Refusal(404, "group not found")
        details = f"messages={messages} debug={debug}"
        trust.audit(tx, network, user.subject, "group.policy", name, call.now, details)
        return policy

    return _shown_policy(store.write(change))


def show_bindings(call: Call, store: Database) -> Any:
    """Tell a node which groups one of its sessions is in, with their policies."""
    session = call.query.needed("session_name", MAX_SESSION_NAME)
    if not call.find_node():
        raise Refusal(401, "unauthorized", (("WWW-Authenticate", "Bearer"),))
    node = call.node
    if call.query.text("node_name") not in ("", node.name):
        raise Refusal(403, "forbidden")
    found = store.read(lambda tx: groups.bindings(tx, node.network_id, node.name, session))
    return [
        {
            "group_name": binding.group_name,
            "messages_policy": binding.messages_policy,
            "debug_policy": binding.debug_policy,
        }
        for binding in found
    ]


def _member(call: Call, given: Given) -> tuple[str, str, str, str]:
    """Return network, node, session and group of a membership; a node speaks for itself only."""
    if call.is_node:
        network, node = call.node.network_id, given.text("node_name") or call.node.name
        if node != call.node.name:
            raise Refusal(403, "forbidden")
    else:
        network, node = given.needed("network_id"), ""
    name = _name(call.value("name"))
    node = node or check_name(given.needed("node_name"), "node_name")
    return network, node, given.needed("session_name", MAX_SESSION_NAME), name


def _need_owner_or_node(tx: Tx, call: Call, network: str) -> None:
    if not call.is_node:
        need_owner(tx, call.user, network)


def _name(text: str) -> str:
    return check_name(text.strip(), "group name")


def _policy(given: Given, name: str, known: tuple[str, ...]) -> str:
    value = given.text(name).lower() or known[0]
    if value not in known:
        raise bad_request(f"invalid {name}")
    return value


def _shown(group: Group) -> dict[str, Any]:
    return {
        "network_id": group.network_id,
        "name": group.name,
        "created_at": format_nanos(group.created_at),
        "created_by": group.created_by,
        "policy": _shown_policy(group.policy),
    }


def _shown_policy(policy: Policy) -> dict[str, Any]:
    return {
        "network_id": policy.network_id,
        "group_name": policy.group_name,
        "messages_policy": policy.messages_policy,
        "debug_policy": policy.debug_policy,
        "updated_at": format_nanos(policy.updated_at),
    }


def _shown_member(member: Member) -> dict[str, Any]:
    return {
        "network_id": member.network_id,
        "group_name": member.group_name,
        "node_name": member.node_name,
        "session_name": member.session_name,
        "created_at": format_nanos(member.created_at),
    }


POLICY = shape(
    network_id=TEXT, group_name=TEXT, messages_policy=TEXT, debug_policy=TEXT, updated_at=TIME
)
MEMBER = shape(network_id=TEXT, group_name=TEXT, node_name=TEXT, session_name=TEXT, created_at=TIME)
GROUP = shape(
    {"created_by": TEXT, "members": listed(MEMBER)},
    network_id=TEXT,
    name=TEXT,
    created_at=TIME,
    policy=POLICY,
)
REMOVED = shape(status=TEXT, network_id=TEXT, group_name=TEXT, node_name=TEXT, session_name=TEXT)
BINDING = shape(group_name=TEXT, messages_policy=TEXT, debug_policy=TEXT)
OF_NETWORK = ("network_id",)
ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/v1/groups",
        create_group,
        Who.USER,
        "Create a group",
        body=Body(network_id="text", name="text"),
        answers=GROUP,
        errors=(403, 409),
    ),
    Endpoint(
        "GET",
        "/api/v1/groups",
        show_groups,
        Who.USER,
        "List groups",
        OF_NETWORK,
        answers=listed(GROUP),
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/groups/bindings",
        show_bindings,
        Who.PUBLIC,
        "The groups of a node's session",
        ("node_name", "session_name"),
        answers=listed(BINDING),
        errors=(401, 403),
    ),
    Endpoint(
        "GET",
        "/api/v1/groups/{name}",
        show_group,
        Who.USER,
        "Show a group",
        OF_NETWORK,
        answers=GROUP,
        errors=(403, 404),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/groups/{name}",
        delete_group,
        Who.USER,
        "Delete a group",
        OF_NETWORK,
        answers=shape(status=TEXT, network_id=TEXT, name=TEXT),
        errors=(403, 404),
    ),
    Endpoint(
        "POST",
        "/api/v1/groups/{name}/members",
        add_member,
        Who.EITHER,
        "Add a session to a group",
        body=Body(network_id="text", node_name="text", session_name="text"),
        answers=MEMBER,
        errors=(403, 404),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/groups/{name}/members",
        remove_member,
        Who.EITHER,
        "Take a session out of a group",
        ("network_id", "node_name", "session_name"),
        answers=REMOVED,
        errors=(403, 404),
    ),
    Endpoint(
        "PUT",
        "/api/v1/groups/{name}/policy",
        set_policy,
        Who.USER,
        "Set a group's policy",
        body=Body(network_id="text", messages_policy="text", debug_policy="text"),
        answers=POLICY,
        errors=(403, 404),
    ),
]
