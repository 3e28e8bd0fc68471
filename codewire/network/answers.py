"""What a relay answers, read into types: missing members are empty, wrong ones refused.

A field's default is what a missing member means, and says of which type a member must be.

spec/relay.md 3, spec/network-auth.md 4, 6, 7. Times stay the RFC 3339 texts that they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from codewire.errors import RelayError

T = TypeVar("T")


class Network(NamedTuple):
    """A network that the caller may see."""

    network_id: str = ""
    created_at: str = ""
    node_count: int = 0
    invite_count: int = 0


class NetworkMember(NamedTuple):
    """Somebody who belongs to a network."""

    subject: str = ""
    role: str = ""
    created_at: str = ""


class Node(NamedTuple):
    """A node of a network; `network_id` is "" where the caller is a node of it."""

    network_id: str = ""
    name: str = ""
    peer_url: str = ""
    connected: bool = False
    # A relay of another make says none of these. `owned`: whether the node is the caller's.
    owned: bool = False
    owner_subject: str = ""
    last_seen_at: str = ""
    features: tuple[str, ...] = ()


class Enrollment(NamedTuple):
    """The right to register nodes; `token` is told this once."""

    id: str = ""
    network_id: str = ""
    node_name: str = ""
    owner_subject: str = ""
    issued_by: str = ""
    uses_remaining: int = 0
    expires_at: str = ""
    token: str = ""


class Registration(NamedTuple):
    """What a node is from now on."""

    node_token: str = ""
    node_name: str = ""
    network_id: str = ""
    enrollment_id: str = ""


class Invite(NamedTuple):
    """An invite into a network."""

    network_id: str = ""
    token: str = ""
    uses_remaining: int = 0
    expires_at: str = ""
    created_at: str = ""


class Policy(NamedTuple):
    """Of a group: who may message its sessions, and who may look."""

    messages_policy: str = ""
    debug_policy: str = ""
    network_id: str = ""
    group_name: str = ""
    updated_at: str = ""


class Member(NamedTuple):
    """A session of a group."""

    node_name: str = ""
    session_name: str = ""
    created_at: str = ""
    network_id: str = ""
    group_name: str = ""


class Group(NamedTuple):
    """A group; its members only where one was asked for."""

    network_id: str = ""
    name: str = ""
    created_at: str = ""
    created_by: str = ""
    policy: Policy = Policy()
    members: tuple[Member, ...] = ()


class Binding(NamedTuple):
    """What a group says of one session."""

    group_name: str = ""
    messages_policy: str = ""
    debug_policy: str = ""


class Grant(NamedTuple):
    """The record of an access grant; `token` is there when it is issued, never again."""

    id: str = ""
    network_id: str = ""
    target_node: str = ""
    session_id: int | None = None
    session_name: str = ""
    verbs: tuple[str, ...] = ()
    audience_subject_kind: str = ""
    audience_subject_id: str = ""
    audience_display: str = ""
    issued_by: str = ""
    created_at: str = ""
    expires_at: str = ""
    revoked_at: str = ""
    token: str = ""


class Credential(NamedTuple):
    """A signed token and when it ends: of the caller itself, or of one of a node's sessions.

    `source_node` is what the latter's node is called in its network.
    """

    token: str = ""
    network_id: str = ""
    expires_at: str = ""
    source_node: str = ""


class Entry(NamedTuple):
    """A key of the relay's KV store."""

    key: str = ""
    value: bytes = b""
    expires_at: str = ""


class Task(NamedTuple):
    """The latest report of a session."""

    event_id: str = ""
    stream_seq: int = 0
    network_id: str = ""
    node_name: str = ""
    session_id: int = 0
    session_name: str = ""
    summary: str = ""
    state: str = ""
    timestamp: str = ""


class SshDoor(NamedTuple):
    """Where a relay serves SSH; `user` is told a node, `key_count` a user."""

    host: str = ""
    port: int = 0
    host_key: str = ""
    fingerprint: str = ""
    user: str = ""
    key_count: int = 0


class SshKey(NamedTuple):
    """A public key that its owner logs in with."""

    fingerprint: str = ""
    name: str = ""
    public_key: str = ""
    created_at: str = ""


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

    def like(self, name: str, default: Any) -> Any:
        """Return what is there, or the default, of whose type it must be."""
        for kind, reader in (
            (str, self.text),
            (bool, self.truth),
            (int, self.number),
            (tuple, self.texts),
        ):
            if isinstance(default, kind):
                return reader(name)
        return self.number_or_none(name)

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


def _read(kind: type[T], found: Members, **known: Any) -> T:
    """Return an answer of this kind; `known` are the fields that go by other names."""
    defaults: dict[str, Any] = vars(kind)["_field_defaults"]
    members = {name: found.like(name, defaults[name]) for name in defaults if name not in known}
    return kind(**members, **known)


def read_network(found: Members) -> Network:
    """Return one row of GET networks."""
    return _read(Network, found, network_id=found.text("id"))


def read_network_member(found: Members) -> NetworkMember:
    """Return one row of GET networks/…/members."""
    return _read(NetworkMember, found)


def read_node(found: Members) -> Node:
    """Return one row of GET nodes."""
    return _read(Node, found)


def read_enrollment(found: Members) -> Enrollment:
    """Return what POST node-enrollments answers."""
    return _read(Enrollment, found, token=found.text("enrollment_token"))


def read_registration(found: Members) -> Registration:
    """Return what a node gets that was registered."""
    return _read(Registration, found)


def read_invite(found: Members) -> Invite:
    """Return an invite."""
    return _read(Invite, found)


def read_policy(found: Members) -> Policy:
    """Return a group's policy."""
    return _read(Policy, found)


def read_member(found: Members) -> Member:
    """Return a group's member."""
    return _read(Member, found)


def read_group(found: Members) -> Group:
    """Return a group."""
    policy = read_policy(found.object("policy"))
    members = tuple(map(read_member, found.objects("members")))
    return _read(Group, found, policy=policy, members=members)


def read_binding(found: Members) -> Binding:
    """Return what a group says of a session."""
    return _read(Binding, found)


def read_grant(found: Members) -> Grant:
    """Return a grant: its record, or the answer to issuing it, which has the token."""
    identity = found.text("id") or found.text("grant_id")
    return _read(Grant, found, id=identity, token=found.text("delegation"))


def read_credential(found: Members) -> Credential:
    """Return a runtime credential or a sender delegation."""
    token = found.text("credential") or found.text("delegation")
    return _read(Credential, found, token=token)


def read_ssh_door(found: Members) -> SshDoor:
    """Return what GET ssh answers."""
    return _read(SshDoor, found)


def read_ssh_key(found: Members) -> SshKey:
    """Return a public key."""
    return _read(SshKey, found)


def read_task(found: Members) -> Task:
    """Return a task report, of the list or of an event."""
    return _read(Task, found, stream_seq=found.number("stream_seq") or found.number("seq"))
