"""Who may log in to a node by SSH: every user name with everything that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.credentials.tokens import token_hash
from codewire.relay.ssh.access import Admitted, by_key, by_password
from codewire.relay.store import networks, people
from codewire.relay.store.tx import Tx
from tests.io.relay.desk import ADMIN, SECOND, Desk
from tests.io.relay.provider import Provider
from tests.unit.credentials.test_sshkeys import ED25519, P256, RSA, SK_ED25519

HOUR = 3600 * SECOND
OWNER, MEMBER, CHIEF = "oidc:owner", "oidc:member", "oidc:chief"
NODE = Admitted("proj", "dev-1", "node:dev-1")
OWNED = Admitted("proj", "dev-1", OWNER)
# Those that name the node, and those that do not.
RIGHT_USERS = ("proj/dev-1", "/dev-1", "dev-1")
WRONG_USERS = (
    "proj/dev-2", "other/dev-1", "dev-2", "dev", "dev-1/", "proj/dev-1/", "/proj/dev-1", "",
    "/", "proj/", "PROJ/dev-1", "dev-1 ", "proj/dev-1\0", "root", "a" * 1_000_000,
)  # fmt: skip


class Place(Desk):
    """A relay with a node of its owner's, in a network that is somebody else's."""

    def __init__(self, directory: Path, url: str = "", **settings: object) -> None:
        super().__init__(directory, url, **settings)
        self.sessions = {
            OWNER: self.login(OWNER, "proj"),
            MEMBER: self.login(MEMBER, "proj"),
            CHIEF: self.login(CHIEF, "proj", "owner"),
        }
        self.node_token = self.own("proj", "dev-1", OWNER)
        self.node_hash = token_hash(self.node_token)
        self.other_token = self.own("proj", "dev-2", MEMBER)

    def own(self, network: str, name: str, owner: str) -> str:
        """Return the token of a new node of somebody's."""
        token = self.sessions[owner]
        made = self.ok(
            "POST",
            "/api/v1/node-enrollments",
            {"network_id": network, "node_name": name},
            token=token,
        )
        body = {"enrollment_token": made["enrollment_token"]}
        found = self.ok("POST", "/api/v1/node-enrollments/redeem", body, token="")
        return str(found["node_token"])

    def join(self, network: str, who: str) -> None:
        """Have somebody be in a network, too."""

        def write(tx: Tx) -> None:
            networks.ensure(tx, network, self.now)
            networks.add_member(tx, network, who, "member", "", self.now)

        self.store.write(write)

    def try_password(self, password: str, user: str = "proj/dev-1") -> Admitted | None:
        return by_password(self.store, user, password, self.now)

    def try_key(self, key: str, user: str = "proj/dev-1") -> Admitted | None:
        return by_key(self.store, user, key)

    def add_key(self, key: str, who: str) -> None:
        self.ok("POST", "/api/v1/ssh-keys", {"public_key": key}, token=self.sessions[who])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """For who changes nothing. The owner's key is the first, the others' come after."""
    place = Place(tmp_path_factory.mktemp("relay"))
    for key, who in ((ED25519, OWNER), (P256, MEMBER), (RSA, CHIEF)):
        place.add_key(key, who)
    yield place
    place.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


PASSWORDS = {
    "the node's token": ("{0.node_token}", NODE),
    "the node's token, copied with blanks": (" {0.node_token}\n", NODE),
    "its owner's session": ("{0.sessions[oidc:owner]}", OWNED),
    "another node's token": ("{0.other_token}", None),
    "another member's session": ("{0.sessions[oidc:member]}", None),
    "a session of the network's owner": ("{0.sessions[oidc:chief]}", None),
    "the admin's token": (ADMIN, None),
    "a session that is none": ("sess_unknown", None),
    "what a platform might know": ("cw_live_0123456789abcdef", None),
    "a hash of the node's token": ("{0.node_hash}", None),
    "nothing": ("", None),
    "blanks": ("   ", None),
    "a megabyte": ("x" * (1 << 20), None),
    "the node's token, and a megabyte": ("{0.node_token}" + " " * (1 << 20), None),
    "half a character": ("\ud800", None),
    "NUL": ("\0", None),
}  # fmt: skip


@pytest.mark.parametrize("user", RIGHT_USERS)
@pytest.mark.parametrize("what", PASSWORDS)
def test_passwords(place: Place, user: str, what: str) -> None:
    text, expected = PASSWORDS[what]
    assert place.try_password(text.format(place), user) == expected


KEYS = {
    "its owner's": (ED25519, OWNED),
    "its owner's, with a comment": (f"{ED25519} me@home", OWNED),
    "another member's": (P256, None),
    "of the network's owner": (RSA, None),
    "nobody's": (SK_ED25519, None),
    "nothing": ("", None),
    "a fingerprint": ("SHA256:EKQAz+Vc45RGPfexhZyxqWtCzytR1yLEDvjFVElYPQg", None),
    "a certificate": ("ssh-ed25519-cert-v01@openssh.com AAAA", None),
    "a megabyte": ("ssh-ed25519 " + "A" * (1 << 20), None),
    "half a character": ("ssh-ed25519 \ud800", None),
}


@pytest.mark.parametrize("user", RIGHT_USERS)
@pytest.mark.parametrize("what", KEYS)
def test_keys(place: Place, user: str, what: str) -> None:
    key, expected = KEYS[what]
    assert place.try_key(key, user) == expected


@pytest.mark.parametrize("user", WRONG_USERS, ids=range(len(WRONG_USERS)))
def test_a_user_that_names_another_node_or_none(place: Place, user: str) -> None:
    assert place.try_password(place.node_token, user) is None
    assert place.try_password(place.sessions[OWNER], user) is None
    assert place.try_key(ED25519, user) is None


def test_a_session_ends(fresh: Place) -> None:
    assert fresh.try_password(fresh.sessions[OWNER]) == OWNED
    fresh.now += HOUR
    assert fresh.try_password(fresh.sessions[OWNER]) is None


def test_a_revoked_node_has_no_door(fresh: Place) -> None:
    fresh.add_key(ED25519, OWNER)
    fresh.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj", token=fresh.sessions[CHIEF])
    assert fresh.try_password(fresh.node_token) is None
    assert fresh.try_password(fresh.sessions[OWNER]) is None
    assert fresh.try_key(ED25519) is None


def test_a_replaced_token_is_worth_nothing(fresh: Place) -> None:
    newer = fresh.own("proj", "dev-1", OWNER)
    assert fresh.try_password(fresh.node_token) is None
    assert fresh.try_password(newer) == NODE


def test_who_was_removed_from_the_network_stays_outside(fresh: Place) -> None:
    fresh.add_key(ED25519, OWNER)
    path = "/api/v1/networks/proj/members/oidc%3Aowner"
    fresh.ok("DELETE", path, token=fresh.sessions[CHIEF])
    assert fresh.try_password(fresh.sessions[OWNER]) is None
    assert fresh.try_key(ED25519) is None


def test_a_removed_key_opens_nothing(fresh: Place) -> None:
    fresh.add_key(ED25519, OWNER)
    assert fresh.try_key(ED25519) == OWNED
    fresh.ok(
        "DELETE",
        "/api/v1/ssh-keys?fingerprint=SHA256%3AEKQAz%2BVc45RGPfexhZyxqWtCzytR1yLEDvjFVElYPQg",
        token=fresh.sessions[OWNER],
    )
    assert fresh.try_key(ED25519) is None


def test_a_name_alone_must_mean_one_node(fresh: Place) -> None:
    fresh.add_key(ED25519, OWNER)
    fresh.join("other", OWNER)
    token = fresh.own("other", "dev-1", OWNER)
    session = fresh.sessions[OWNER]
    for user in ("dev-1", "/dev-1"):
        assert fresh.try_password(session, user) is None
        assert fresh.try_key(ED25519, user) is None
        # A token is one node's.
        assert fresh.try_password(token, user) == Admitted("other", "dev-1", "node:dev-1")
    assert fresh.try_password(session, "other/dev-1") == Admitted("other", "dev-1", OWNER)
    assert fresh.try_key(ED25519, "proj/dev-1") == OWNED


def test_other_peoples_nodes_of_that_name_do_not_count(fresh: Place) -> None:
    fresh.add_key(ED25519, OWNER)
    fresh.join("other", MEMBER)
    fresh.own("other", "dev-1", MEMBER)
    assert fresh.try_password(fresh.sessions[OWNER], "dev-1") == OWNED
    assert fresh.try_key(ED25519, "dev-1") == OWNED


def test_a_stranger_who_adds_somebodys_key_takes_nothing_away(fresh: Place) -> None:
    fresh.add_key(ED25519, MEMBER)
    fresh.add_key(ED25519, OWNER)
    assert fresh.try_key(ED25519) == OWNED
    assert fresh.try_key(ED25519, "proj/dev-2") == Admitted("proj", "dev-2", MEMBER)
    fresh.join("other", MEMBER)
    fresh.own("other", "dev-1", MEMBER)
    # Whose dev-1 is not said: neither is opened.
    assert fresh.try_key(ED25519, "dev-1") is None


def test_the_admins_own_node_and_its_session(fresh: Place) -> None:
    fresh.enrol("mine", "box")
    assert fresh.try_password(ADMIN, "mine/box") is None
    until = fresh.now + HOUR

    def log_in(tx: Tx) -> None:
        who = people.upsert_admin(tx, fresh.now)
        people.session_create(tx, "sess_admin", subject=who, expires_at=until, now=fresh.now)

    fresh.store.write(log_in)
    assert fresh.try_password("sess_admin", "mine/box") == Admitted("mine", "box", "admin")
    # The admin is no owner of other people's nodes.
    assert fresh.try_password("sess_admin", "proj/dev-1") is None


def test_no_platform_is_asked(tmp_path: Path) -> None:
    provider = Provider()
    desk = Desk(tmp_path, auth_mode="oidc", oidc_issuer=provider.url, oidc_client_id="c")
    try:
        # By HTTP the platform's user is one.
        assert desk.ok("GET", "/api/v1/auth/validate", token="access")["status"] == "ok"
        asked = len(provider.asked)
        assert asked
        desk.enrol()
        for password in ("access", "another-token"):
            assert by_password(desk.store, "proj/dev-1", password, desk.now) is None
        assert len(provider.asked) == asked
    finally:
        desk.close()
        provider.close()
