"""Every call of a relay's HTTP API as a method (spec/relay.md 3), typed.

`user` methods need a user's token, `node` methods a node's, others none; see the tables there for
who may. A refusal's `text` is the relay's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.network import answers
from codewire.network.answers import Members, objects
from codewire.network.caller import API, Caller, encode_query, encode_segment
from codewire.network.events import follow_events, read_events
from codewire.network.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from codewire.credentials.bundle import Bundle
    from codewire.network.events import Event

# A namespace full of values of 1 MiB, in base64.
MAX_KV_BODY = 256 << 20
ACCESS_EVENTS = f"{API}/access/cache/events"
TASK_EVENTS = f"{API}/tasks/events"


class Relay(Caller):
    """The API. Each method is one exchange."""

    # The relay itself

    def is_healthy(self) -> bool:
        """Say whether the relay answers as one."""
        return self.ask(Request("GET", "/healthz")) == b"ok"

    def auth_mode(self) -> str:
        """Return how people log in: none, token, github or oidc."""
        return Members(self.get(f"{API}/auth/config")).text("auth_mode")

    def validate(self) -> None:
        """Check the user's token; RelayRefused (401) for a wrong one."""
        self.get(f"{API}/auth/validate")

    # Networks

    def networks(self) -> list[answers.Network]:
        """Return the user's networks."""
        return [answers.read_network(one) for one in objects(self.get(f"{API}/networks"))]

    def create_network(self, network_id: str) -> str:
        """Create a network, or take one without members; return its id."""
        answer = self.post(f"{API}/networks", {"network_id": network_id})
        return Members(answer).text("network_id")

    def join_network(self, invite_token: str) -> str:
        """Become a member by an invite; return the network's id."""
        answer = self.post(f"{API}/networks/join", {"invite_token": invite_token})
        return Members(answer).text("network_id")

    def network_members(self, network_id: str) -> list[answers.NetworkMember]:
        """Return who belongs to a network."""
        found = objects(self.get(_network_members(network_id)))
        return [answers.read_network_member(one) for one in found]

    def remove_network_member(self, network_id: str, subject: str) -> None:
        """Have somebody, or the user, belong to a network no more; the last owner stays (409)."""
        self.delete(f"{_network_members(network_id)}/{encode_segment(subject)}", {})

    # Nodes

    def nodes(self, network_id: str = "", *, of_all: bool = False) -> list[answers.Node]:
        """Return a network's nodes, those of all the user's networks, or of the caller's own."""
        query = {"network_id": network_id, "all": "true" if of_all else ""}
        return [answers.read_node(one) for one in objects(self.get(f"{API}/nodes", query))]

    def revoke_node(self, network_id: str, name: str) -> None:
        """Have a node belong to the network no more; its token is worth nothing."""
        self.delete(f"{API}/nodes/{encode_segment(name)}", {"network_id": network_id})

    def create_enrollment(
        self, network_id: str, *, node_name: str = "", uses: int = 1, ttl: str = ""
    ) -> answers.Enrollment:
        """Create a token by which nodes register; `ttl` is like 10m."""
        value = {
            "network_id": network_id,
            "node_name": node_name or None,
            "uses": uses,
            "ttl": ttl or None,
        }
        return answers.read_enrollment(Members(self.post(f"{API}/node-enrollments", value)))

    def redeem_enrollment(
        self, enrollment_token: str, *, node_name: str = "", peer_url: str = ""
    ) -> answers.Registration:
        """Register a node by such a token."""
        value = {
            "enrollment_token": enrollment_token,
            "node_name": node_name or None,
            "peer_url": peer_url or None,
        }
        answer = self.post(f"{API}/node-enrollments/redeem", value)
        return answers.read_registration(Members(answer))

    # SSH

    def ssh_door(self) -> answers.SshDoor:
        """Return where SSH is served; network/ssh.py checks it. RelayRefused (404): nowhere."""
        return answers.read_ssh_door(Members(self.get(f"{API}/ssh")))

    def ssh_keys(self) -> list[answers.SshKey]:
        """Return the user's public keys."""
        return [answers.read_ssh_key(one) for one in objects(self.get(f"{API}/ssh-keys"))]

    def add_ssh_key(self, public_key: str, name: str = "") -> answers.SshKey:
        """Add a public key of the user's, in one line."""
        value = {"public_key": public_key, "name": name or None}
        return answers.read_ssh_key(Members(self.post(f"{API}/ssh-keys", value)))

    def remove_ssh_key(self, fingerprint: str) -> None:
        """Remove a public key of the user's."""
        self.delete(f"{API}/ssh-keys", {"fingerprint": fingerprint})

    # Invites

    def create_invite(self, network_id: str, *, uses: int = 1, ttl: str = "") -> answers.Invite:
        """Create an invite into a network the user owns."""
        value = {"network_id": network_id, "uses": uses, "ttl": ttl or None}
        return answers.read_invite(Members(self.post(f"{API}/invites", value)))

    def invites(self, network_id: str) -> list[answers.Invite]:
        """Return a network's invites that have not expired."""
        found = objects(self.get(f"{API}/invites", {"network_id": network_id}))
        return [answers.read_invite(one) for one in found]

    def delete_invite(self, network_id: str, token: str) -> None:
        """Remove an invite."""
        self.delete(f"{API}/invites/{encode_segment(token)}", {"network_id": network_id})

    def join(self, node_name: str, invite_token: str) -> answers.Registration:
        """Register a node by an invite."""
        value = {"node_name": node_name, "invite_token": invite_token}
        return answers.read_registration(Members(self.post(f"{API}/join", value)))

    # Groups

    def create_group(self, network_id: str, name: str) -> answers.Group:
        """Create a group with the default policy."""
        value = {"network_id": network_id, "name": name}
        return answers.read_group(Members(self.post(f"{API}/groups", value)))

    def groups(self, network_id: str) -> list[answers.Group]:
        """Return a network's groups."""
        found = objects(self.get(f"{API}/groups", {"network_id": network_id}))
        return [answers.read_group(one) for one in found]

    def group(self, network_id: str, name: str) -> answers.Group:
        """Return a group with its members."""
        return answers.read_group(Members(self.get(_group(name), {"network_id": network_id})))

    def delete_group(self, network_id: str, name: str) -> None:
        """Remove a group."""
        self.delete(_group(name), {"network_id": network_id})

    def add_member(
        self, network_id: str, group: str, node_name: str, session_name: str
    ) -> answers.Member:
        """Have a session belong to a group. A node leaves out its network's id."""
        value = {
            "network_id": network_id or None,
            "node_name": node_name,
            "session_name": session_name,
        }
        return answers.read_member(Members(self.post(f"{_group(group)}/members", value)))

    def remove_member(self, network_id: str, group: str, node_name: str, session_name: str) -> None:
        """Have a session leave a group."""
        query = {"network_id": network_id, "node_name": node_name, "session_name": session_name}
        self.delete(f"{_group(group)}/members", query)

    def set_policy(
        self, network_id: str, group: str, messages_policy: str, debug_policy: str
    ) -> answers.Policy:
        """Replace a group's policy; both values."""
        value = {
            "network_id": network_id,
            "messages_policy": messages_policy,
            "debug_policy": debug_policy,
        }
        return answers.read_policy(Members(self.put(f"{_group(group)}/policy", value)))

    def bindings(self, node_name: str, session_name: str) -> list[answers.Binding]:
        """Return what its groups say of a session of the calling node."""
        query = {"node_name": node_name, "session_name": session_name}
        found = objects(self.get(f"{API}/groups/bindings", query))
        return [answers.read_binding(one) for one in found]

    # Grants

    def issue_grant(
        self,
        network_id: str,
        target_node: str,
        audience: str,
        *,
        session_id: int | None = None,
        session_name: str = "",
        verbs: Sequence[str] = (),
        ttl: str = "",
    ) -> answers.Grant:
        """Let somebody read or listen to a session; exactly one of its id and name is given."""
        value = {
            "network_id": network_id,
            "target_node": target_node,
            "session_id": session_id,
            "session_name": session_name or None,
            "audience": audience,
            "verbs": list(verbs) or None,
            "ttl": ttl or None,
        }
        return answers.read_grant(Members(self.post(f"{API}/access-grants", value)))

    def grants(
        self,
        network_id: str,
        *,
        target_node: str = "",
        audience: str = "",
        active: bool = False,
        mine: bool = False,
    ) -> list[answers.Grant]:
        """Return a network's grants, newest first."""
        query = {
            "network_id": network_id,
            "target_node": target_node,
            "audience": audience,
            "active": "true" if active else "",
            "mine": "true" if mine else "",
        }
        return [answers.read_grant(one) for one in objects(self.get(f"{API}/access-grants", query))]

    def grant(self, network_id: str, grant_id: str) -> answers.Grant:
        """Return the record of a grant."""
        return answers.read_grant(Members(self.get(_grant(grant_id), {"network_id": network_id})))

    def revoke_grant(self, network_id: str, grant_id: str) -> None:
        """Revoke a grant; a second time is no error."""
        self.delete(_grant(grant_id), {"network_id": network_id})

    # Credentials

    def bundle(self, network_id: str) -> Bundle:
        """Return the keys that the network's tokens are checked by. Raises CredentialError, too."""
        from codewire.credentials.bundle import Bundle

        return Bundle.from_json(self.get(f"{API}/network-auth/bundle", {"network_id": network_id}))

    def runtime_credential(self, network_id: str = "") -> answers.Credential:
        """Return a credential of the user in a network, or without one of the calling node."""
        kind = "client" if network_id else "node"
        answer = self.post(f"{API}/network-auth/runtime/{kind}", {}, {"network_id": network_id})
        return answers.read_credential(Members(answer))

    def sender_delegation(
        self,
        verbs: Sequence[str],
        *,
        session_id: int | None = None,
        session_name: str = "",
        audience_node: str = "",
    ) -> answers.Credential:
        """Return what a session of the calling node shows another node as its sender."""
        value = {
            "from_session_id": session_id,
            "from_session_name": session_name or None,
            "verbs": list(verbs),
            "audience_node": audience_node or None,
        }
        answer = self.post(f"{API}/network-auth/delegation/node", value)
        return answers.read_credential(Members(answer))

    # Keys and values

    def kv_put(
        self, network_id: str, namespace: str, key: str, value: bytes, *, ttl: str = ""
    ) -> None:
        """Have a key be this value, for as long as `ttl` (1h) says."""
        path = _kv(namespace, key) + encode_query({"network_id": network_id})
        self.ask(Request("PUT", path, value, (("X-TTL", ttl),) if ttl else ()))

    def kv_get(self, network_id: str, namespace: str, key: str) -> bytes:
        """Return a key's value; RelayRefused (404) where there is none."""
        path = _kv(namespace, key) + encode_query({"network_id": network_id})
        return self.ask(Request("GET", path))

    def kv_delete(self, network_id: str, namespace: str, key: str) -> None:
        """Remove a key."""
        self.delete(_kv(namespace, key), {"network_id": network_id})

    def kv_list(self, network_id: str, namespace: str, prefix: str = "") -> list[answers.Entry]:
        """Return the entries whose keys begin with `prefix`."""
        query = encode_query({"network_id": network_id, "prefix": prefix})
        request = Request("GET", f"{API}/kv/{encode_segment(namespace)}{query}")
        found = objects(self.json_of(request, MAX_KV_BODY))
        return [_entry(one) for one in found]

    # Tasks

    def tasks(
        self, network_id: str, *, node: str = "", session_id: int = 0, state: str = ""
    ) -> list[answers.Task]:
        """Return the latest reports."""
        query = _tasks(network_id, node, session_id, state)
        return [answers.read_task(one) for one in objects(self.get(f"{API}/tasks", query))]

    # Events

    def access_events(self, network_id: str, last_id: str = "") -> Iterator[Event]:
        """Yield what is revoked, until the stream ends."""
        path = ACCESS_EVENTS + encode_query({"network_id": network_id})
        return read_events(self, path, last_id)

    def follow_access_events(
        self,
        network_id: str,
        last_id: str,
        on_lost: Callable[[str], None],
        wait: Callable[[float], object],
    ) -> Iterator[Event]:
        """Yield what is revoked, for ever; see events.follow_events."""
        path = ACCESS_EVENTS + encode_query({"network_id": network_id})
        return follow_events(self, path, last_id, on_lost, wait)

    def follow_task_events(
        self,
        network_id: str,
        last_id: str,
        on_lost: Callable[[str], None],
        wait: Callable[[float], object],
        *,
        node: str = "",
        session_id: int = 0,
        state: str = "",
    ) -> Iterator[Event]:
        """Yield task reports, for ever; see events.follow_events."""
        path = TASK_EVENTS + encode_query(_tasks(network_id, node, session_id, state))
        return follow_events(self, path, last_id, on_lost, wait)


def _network_members(network_id: str) -> str:
    return f"{API}/networks/{encode_segment(network_id)}/members"


def _group(name: str) -> str:
    return f"{API}/groups/{encode_segment(name)}"


def _grant(grant_id: str) -> str:
    return f"{API}/access-grants/{encode_segment(grant_id)}"


def _kv(namespace: str, key: str) -> str:
    return f"{API}/kv/{encode_segment(namespace)}/{encode_segment(key)}"


def _tasks(network_id: str, node: str, session_id: int, state: str) -> dict[str, str]:
    return {
        "network_id": network_id,
        "node": node,
        "session_id": str(session_id) if session_id else "",
        "state": state,
    }


def _entry(found: Members) -> answers.Entry:
    import binascii

    from codewire.errors import RelayError

    try:
        value = binascii.a2b_base64(found.text("value"))
    except binascii.Error as error:
        raise RelayError(f"the relay's answer cannot be understood: value: {error}") from error
    return answers.Entry(found.text("key"), value, found.text("expires_at"))
