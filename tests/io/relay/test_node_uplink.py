"""A node's uplink to a running relay: how it comes in, stays, and what it makes of refusals."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.config import load_settings, read_toml
from codewire.errors import RequestError
from codewire.io.websockets import WebSocketStream
from codewire.node import uplink
from codewire.node.caller import Caller, Kind, authorise
from codewire.node.uplink import Uplink
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site
from tests.io.relay.test_streams import PATH, WS, login
from tests.processes import wait_until

PROJ = "network_id=proj"


class Stand:
    """An uplink, with no more of a node than it looks at."""

    def __init__(self, directory: Path, site: Site) -> None:
        self.config = directory / "config.toml"
        self.site = site
        self.callers: list[Caller] = []
        self._uplinks: list[Uplink] = []
        self.facts: dict[str, Any] = {}
        self.write("")

    @property
    def url(self) -> str:
        host, port = self.site.address
        return f"http://{host}:{port}"

    def write(self, text: str) -> None:
        whole = f'relay_url = "{self.url}"\n{text}\n'
        self.config.with_suffix(".new").write_text(whole)
        os.replace(self.config.with_suffix(".new"), self.config)

    def start(self, name: str = "dev-1", **settings: Any) -> None:
        given = load_settings("", {"CODEWIRE_NODE_NAME": name})._replace(**settings)
        paths = SimpleNamespace(config=str(self.config))
        node = SimpleNamespace(paths=paths, settings=given, relay=self.facts)
        self._uplinks.append(Uplink(node))  # type: ignore[arg-type]
        threading.Thread(target=self._uplinks[-1].run, daemon=True).start()

    def wait_for(self, state: str) -> str:
        """Return the error that a state is shown with."""
        wait_until(lambda: self.facts.get("state") == state, 30, f"{state}: {self.facts}")
        return str(self.facts["error"])

    def stop(self) -> None:
        for one in self._uplinks:
            one.stop()


@pytest.fixture
def stand(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    for name in [name for name in os.environ if name.startswith(("CODEWIRE_", "CW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(uplink, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(uplink, "FIRST_PAUSE", 0.05)
    stand = Stand(tmp_path, site)

    def serve(node: object, stream: WebSocketStream, caller: Caller) -> None:
        """Echo: what a node does with a client is tested elsewhere."""
        stand.callers.append(caller)
        while (frame := stream.receive()) is not None:
            stream.send_frame(*frame)
        stream.close()

    monkeypatch.setattr(uplink, "serve", serve)
    site.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    yield stand
    stand.stop()


def test_a_selected_network_and_its_users_token_are_consent(stand: Stand) -> None:
    stand.start()
    assert stand.facts == {}
    stand.write(f'relay_network = "proj"\nrelay_session = "{ADMIN}"\n# mine')
    stand.wait_for("connected")
    written = read_toml(str(stand.config))
    assert written["relay_node_network"] == "proj" and "# mine" in stand.config.read_text()
    assert len(written["relay_node_token"]) == 64
    [node] = stand.site.ok("GET", f"/api/v1/nodes?{PROJ}")
    assert (node["name"], node["features"]) == ("dev-1", ["stream"])
    client = stand.site.dial(PATH, ADMIN)[1]
    assert client is not None
    client.send_data(b"hello")
    assert client.receive() is not None
    [caller] = stand.callers
    assert (caller.kind, caller.name) == (Kind.RELAY, "admin")
    # Not what its sessions are told: that takes a grant, from owners, too.
    authorise(caller, "manage", None)
    with pytest.raises(RequestError, match="needs a grant"):
        authorise(caller, "msg.read", 1)


def test_an_invite_is_used_up(stand: Stand) -> None:
    made = stand.site.ok("POST", "/api/v1/invites", {"network_id": "proj"})
    stand.write(f'relay_invite_token = "{made["token"]}"')
    stand.start("by-invite")
    stand.wait_for("connected")
    written = read_toml(str(stand.config))
    assert "relay_invite_token" not in written and written["relay_node_network"] == "proj"
    assert stand.facts["network"] == "proj"


def test_a_lost_relay_is_looked_for(stand: Stand) -> None:
    stand.write(f'relay_node_token = "{stand.site.enrol()}"')
    stand.start()
    stand.wait_for("connected")
    found = stand.site.relay.hub.find("proj", "dev-1")
    assert found is not None
    found.outbox.close(1001, "")
    wait_until(lambda: stand.site.relay.hub.find("proj", "dev-1") not in (None, found), 30)
    stand.wait_for("connected")
    assert stand.facts["error"] == ""


def test_what_is_changed_while_it_dials_counts(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    dial = uplink.open_websocket
    tokens = [stand.site.enrol("dev-2")]

    def change(*args: Any) -> WebSocketStream:
        stream = dial(*args)
        if tokens:
            stand.write(f'relay_node_token = "{tokens.pop()}"')
        return stream

    monkeypatch.setattr(uplink, "open_websocket", change)
    stand.write(f'relay_node_token = "{stand.site.enrol()}"')
    stand.start()
    wait_until(lambda: stand.site.relay.hub.find("proj", "dev-2"), 30)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.site.ok("DELETE", f"/api/v1/nodes/dev-1?{PROJ}"), "revoked or replaced"),
        (lambda s: s.site.enrol(), "revoked or replaced"),
    ],
)
def test_a_token_of_no_use_stops_it(
    stand: Stand, spoil: Callable[[Stand], Any], words: str
) -> None:
    stand.write(f'relay_node_token = "{stand.site.enrol()}"')
    stand.start()
    stand.wait_for("connected")
    spoil(stand)
    assert words in stand.wait_for("stopped")
    stand.write(f'relay_node_token = "{stand.site.enrol()}"')
    stand.wait_for("connected")


def test_what_is_refused_is_not_asked_for_again(stand: Stand) -> None:
    stranger = login(stand.site, "stranger")
    stand.write(f'relay_selected_network = "proj"\nrelay_session = "{stranger}"')
    stand.start()
    assert stand.wait_for("stopped") == "membership required"
    stand.write('relay_invite_token = "CW-INV-none"')
    wait_until(lambda: "invalid or expired invite" in stand.facts["error"], 30)
    stand.write("relay_node_token = broken")
    wait_until(lambda: "parsing" in stand.facts["error"], 30)


def test_what_it_does_not_serve_it_refuses(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    spawn = uplink.spawn

    def note(function: Callable[..., None], *args: Any) -> None:
        if function.__name__ == "_serve_stream":
            begun.append(args[1])
        spawn(function, *args)

    monkeypatch.setattr(uplink, "spawn", note)
    owner = login(stand.site, "chief", "proj", "owner")
    stand.write(f'relay_node_token = "{stand.site.enrol()}"')
    stand.start(allow_network_owners=True)
    stand.wait_for("connected")
    fields = dict(
        Upgrade="websocket", Connection="Upgrade",
        Sec_WebSocket_Version="13", Sec_WebSocket_Key="MDEyMzQ1Njc4OWFiY2RlZg==",
    )  # fmt: skip
    answer = stand.site.send("GET", WS.format("dev-1", "proj", "peer"), **fields)
    assert uplink.NO_PEERS in answer.recv(65536).decode()
    # Odd words of a relay cost nothing.
    found = stand.site.relay.hub.find("proj", "dev-1")
    assert found is not None
    for ident in ("../x", "", 7, None, "x" * 65):
        found.send({"type": "StreamRequest", "service": "node", "session_id": ident})
    found.send({"type": "Unknown"})
    status, client = stand.site.dial(PATH, owner)
    assert status == 101 and client is not None
    # Once it echoes it is served, and what was asked for before has been looked at.
    client.send_data(b"hello")
    assert client.receive() is not None
    assert [caller.name for caller in stand.callers] == ["oidc:chief"] and len(begun) == 1


def test_the_pause_doubles_up_to_its_longest(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "FIRST_PAUSE", 1.0)
    link = Uplink(SimpleNamespace(paths=SimpleNamespace(config="")))  # type: ignore[arg-type]
    middle = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0]
    pauses = [link._pause() for _ in middle]
    for pause, wanted in zip(pauses, middle, strict=True):
        assert wanted / 2 <= pause <= wanted * 1.5
