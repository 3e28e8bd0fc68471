"""Names of a network's nodes on a command line: whose they are, how long they are believed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client.reach.servers import Options
from codewire.commands import places
from codewire.commands.relays.places import RelayRoute
from codewire.errors import NodeRefused, NodeUnreachable
from codewire.mcp.shared_tools import list_nodes
from codewire.network import directory
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site
from tests.io.relay.test_streams import login, own


class User:
    """Somebody on a machine of their own, who has nodes `mine` and, of another owner, `theirs`."""

    def __init__(self, root: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self.root = site, root
        own(site, login(site, "me", "proj"), "mine")
        own(site, login(site, "stranger", "proj"), "theirs")
        host, port = site.address
        monkeypatch.setenv("CODEWIRE_DIR", str(root))
        monkeypatch.setenv("HOME", str(root))
        monkeypatch.setenv("CODEWIRE_RELAY_URL", f"http://{host}:{port}")
        monkeypatch.setenv("CODEWIRE_RELAY_NETWORK", "proj")
        monkeypatch.setenv("CODEWIRE_RELAY_AUTH_TOKEN", "sess_me")

    @property
    def file(self) -> Path:
        return self.root / directory.FILE

    def age(self, seconds: float) -> None:
        """Make what is remembered older."""
        known = json.loads(self.file.read_text())
        known["at"] -= seconds
        self.file.write_text(json.dumps(known))


@pytest.fixture
def user(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    yield User(tmp_path / "home", site, monkeypatch)


def find(name: str, *, is_word: bool = False) -> object:
    return places.find_node(name, Options(), only_elsewhere=is_word, is_word=is_word)


def test_a_word_means_ones_own_nodes_only(user: User) -> None:
    assert isinstance(find("mine", is_word=True), RelayRoute)
    assert find("theirs", is_word=True) is None and find("planner", is_word=True) is None
    # Where a node must be meant, it is for the relay to say no.
    assert isinstance(find("theirs"), RelayRoute)
    assert find("planner") is None
    assert "network proj of relay" in places.unknown_node("planner")
    assert places.node_names() == ["mine", "theirs"]
    # As agents are told.
    told = json.loads(list_nodes(None, {}))  # type: ignore[arg-type]
    assert [(node["name"], node["owned"]) for node in told] == [("mine", True), ("theirs", False)]
    # Private, and without the token.
    assert user.file.stat().st_mode & 0o777 == 0o600 and "sess_me" not in user.file.read_text()


def test_what_is_remembered_is_not_asked_for(user: User) -> None:
    assert find("mine", is_word=True)
    user.site.ok("DELETE", "/api/v1/nodes/mine?network_id=proj", token=ADMIN)
    assert find("mine", is_word=True)
    user.age(directory.FRESH_SECONDS)
    assert find("mine", is_word=True) is None
    # A name that must be a node's, and is not remembered, is asked for: it may be new.
    own(user.site, "sess_me", "new")
    assert find("new", is_word=True) is None and find("new") is not None


def test_another_users_list_is_another_list(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("mine", is_word=True)
    monkeypatch.setenv("CODEWIRE_RELAY_AUTH_TOKEN", "sess_stranger")
    assert find("mine", is_word=True) is None and find("theirs", is_word=True)


def test_a_relay_that_says_nothing_holds_up_a_word_for_a_second(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("mine", is_word=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(directory, "WORD_SECONDS", 0.2)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        known = json.loads(user.file.read_text())
        monkeypatch.setenv("CODEWIRE_RELAY_URL", url)
        assert find("mine", is_word=True) is None
        # Nor is it asked again at once.
        assert [find("mine", is_word=True) for _ in range(20)] == [None] * 20
        silent.settimeout(20)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        # What was known before stays, so that nothing is started here instead.
        known["key"] = json.loads(user.file.read_text())["key"]
        user.file.write_text(json.dumps({**known, "at": 0}))
        route = find("mine", is_word=True)
        assert isinstance(route, RelayRoute)
        assert f"relay {url}: no answer within" in places.unknown_node("planner")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"key": 1}', '{"nodes": 7}', "[" * 100_000])
def test_a_damaged_list_is_none(user: User, text: str) -> None:
    assert find("mine", is_word=True)
    user.file.write_text(text)
    assert find("mine", is_word=True)


def test_what_the_relay_refuses_is_said_in_its_words(user: User) -> None:
    theirs, mine = find("theirs"), find("mine")
    assert isinstance(theirs, RelayRoute) and isinstance(mine, RelayRoute)
    with pytest.raises(NodeRefused, match="only the node's owner may use it"):
        theirs.open()
    with pytest.raises(NodeUnreachable, match='node "mine" is not connected') as away:
        mine.open()
    assert not isinstance(away.value, NodeRefused)
    user.site.ok("DELETE", "/api/v1/nodes/mine?network_id=proj", token=ADMIN)
    # Whoever is no owner of the network learns no more of a name that is gone.
    with pytest.raises(NodeRefused, match="only the node's owner may use it"):
        mine.open()
