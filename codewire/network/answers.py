"""What a relay answers, read into types: missing members are empty, wrong ones refused.

spec/relay.md 3, spec/network-auth.md 4, 6, 7. Times stay the RFC 3339 texts that they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from codewire.errors import RelayError


class Network(NamedTuple):
    """A network that the caller may see."""

    network_id: str
    created_at: str
    node_count: int
    invite_count: int


class Node(NamedTuple):
    """A node of a network; `network_id` is "" where the caller is a node of it."""

    network_id: str
    name: str
    peer_url: str
    connected: bool


class Enrollment(NamedTuple):
    """The right to register nodes; `token` is told this once."""

    id: str
    network_id: str
    node_name: str
    owner_subject: str
    issued_by: str
    uses_remaining: int
    expires_at: str
    token: str


class Registration(NamedTuple):
    """What a node is from now on."""

    node_token: str
    node_name: str
    network_id: str
    enrollment_id: str


class Invite(NamedTuple):
    """An invite into a network."""

    network_id: str
    token: str
    uses_remaining: int
    expires_at: str
    created_at: str


class Policy(NamedTuple):
    """Of a group: who may message its sessions, and who may look."""

    messages_policy: str
    debug_policy: str


class Member(NamedTuple):
    """A session of a group."""

    node_name: str
    session_name: str
    created_at: str


class Group(NamedTuple):
    """A group; its members only where one was asked for."""

    network_id: str
    name: str
    created_at: str
    created_by: str
    policy: Policy
    members: tuple[Member, ...]


class Binding(NamedTuple):
    """What a group says of one session."""

    group_name: str
    messages_policy: str
    debug_policy: str


class Grant(NamedTuple):
    """The record of an access grant; `token` is there when it is issued, never again."""

    id: str
    network_id: str
    target_node: str
    session_id: int | None
    session_name: str
    verbs: tuple[str, ...]
    audience_subject_kind: str
    audience_subject_id: str
    audience_display: str
    issued_by: str
    created_at: str
    expires_at: str
    revoked_at: str
    token: str


class Credential(NamedTuple):
    """A signed token and when it ends: of the caller itself, or of one of a node's sessions."""

    token: str
    network_id: str
    expires_at: str


class Entry(NamedTuple):
    """A key of the relay's KV store."""

    key: str
    value: bytes
    expires_at: str


class Task(NamedTuple):
    """The latest report of a session."""

    event_id: str
    stream_seq: int
    network_id: str
    node_name: str
    session_id: int
    session_name: str
    summary: str
    state: str
    timestamp: str


class Members:
    """The members of one JSON object. Each reader raises RelayError for a value of another type."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise RelayError("the relay's answer cannot be understood: no object")
        self._value = value

    def text(self, name: str) -> str:
        """Return a text, "" where there is none."""
        return str(self._of(name, str, ""))

    def number(self, name: str) -> int:
        """Return a whole number, 0 where there is none."""
        return int(self._of(name, int, 0))

    def number_or_none(self, name: str) -> int | None:
        """Return a whole number, None where there is none."""
        return None if self._value.get(name) is None else self.number(name)

    def truth(self, name: str) -> bool:
        """Return a truth, False where there is none."""
        return bool(self._of(name, bool, False))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(str(one) for one in self._of(name, list, []))

    def objects(self, name: str) -> list[Members]:
        """Return a list of objects."""
        return objects(self._value.get(name))

    def object(self, name: str) -> Members:
        """Return an object, an empty one where there is none."""
        return Members(self._of(name, dict, {}))

    def _of(self, name: str, kind: type, default: Any) -> Any:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RelayError(
                f"the relay's answer cannot be understood: {name} is no {kind.__name__}"
            )
        return value


def objects(value: Any) -> list[Members]:
    """Return a list's objects; null is an empty list (spec/relay.md 2)."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise RelayError("the relay's answer cannot be understood: no list")
    return [Members(one) for one in value]


def read_network(found: Members) -> Network:
    """Return one row of GET networks."""
    return Network(
        found.text("id"),
        found.text("created_at"),
        found.number("node_count"),
        found.number("invite_count"),
    )


def read_node(found: Members) -> Node:
    """Return one row of GET nodes."""
    return Node(
        found.text("network_id"),
        found.text("name"),
        found.text("peer_url"),
        found.truth("connected"),
    )


def read_enrollment(found: Members) -> Enrollment:
    """Return what POST node-enrollments answers."""
    return Enrollment(
        found.text("id"),
        found.text("network_id"),
        found.text("node_name"),
        found.text("owner_subject"),
        found.text("issued_by"),
        found.number("uses_remaining"),
        found.text("expires_at"),
        found.text("enrollment_token"),
    )


def read_registration(found: Members) -> Registration:
    """Return what a node gets that was registered."""
    return Registration(
        found.text("node_token"),
        found.text("node_name"),
        found.text("network_id"),
        found.text("enrollment_id"),
    )


def read_invite(found: Members) -> Invite:
    """Return an invite."""
    return Invite(
        found.text("network_id"),
        found.text("token"),
        found.number("uses_remaining"),
        found.text("expires_at"),
        found.text("created_at"),
    )


def read_policy(found: Members) -> Policy:
    """Return a group's policy."""
    return Policy(found.text("messages_policy"), found.text("debug_policy"))


def read_member(found: Members) -> Member:
    """Return a group's member."""
    return Member(found.text("node_name"), found.text("session_name"), found.text("created_at"))


def read_group(found: Members) -> Group:
    """Return a group."""
    return Group(
        found.text("network_id"),
        found.text("name"),
        found.text("created_at"),
        found.text("created_by"),
        read_policy(found.object("policy")),
        tuple(map(read_member, found.objects("members"))),
    )


def read_binding(found: Members) -> Binding:
    """Return what a group says of a session."""
    return Binding(
        found.text("group_name"), found.text("messages_policy"), found.text("debug_policy")
    )


def read_grant(found: Members) -> Grant:
    """Return a grant: its record, or the answer to issuing it, which has the token."""
    return Grant(
        found.text("id") or found.text("grant_id"),
        found.text("network_id"),
        found.text("target_node"),
        found.number_or_none("session_id"),
        found.text("session_name"),
        found.texts("verbs"),
        found.text("audience_subject_kind"),
        found.text("audience_subject_id"),
        found.text("audience_display"),
        found.text("issued_by"),
        found.text("created_at"),
        found.text("expires_at"),
        found.text("revoked_at"),
        found.text("delegation"),
    )


def read_credential(found: Members) -> Credential:
    """Return a runtime credential or a sender delegation."""
    token = found.text("credential") or found.text("delegation")
    return Credential(token, found.text("network_id"), found.text("expires_at"))


def read_task(found: Members) -> Task:
    """Return a task report, of the list or of an event."""
    return Task(
        found.text("event_id"),
        found.number("stream_seq") or found.number("seq"),
        found.text("network_id"),
        found.text("node_name"),
        found.number("session_id"),
        found.text("session_name"),
        found.text("summary"),
        found.text("state"),
        found.text("timestamp"),
    )
