"""Grants that hold no longer: revoked, run out, renamed away, or against the group's policy."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import RequestError
from codewire.network import bindings
from codewire.network.answers import Binding
from codewire.network.relay import Relay
from codewire.node.handlers.peer import Peer
from codewire.node.peers import reading
from tests.io.peers.host import Host
from tests.unit.credentials.issuer import NOW, SECOND

# A node refuses what is revoked within five seconds of hearing of it, later on a busy machine.
SOON = 15.0


def test_a_revoked_grant_is_refused_also_after_a_kill(host: Host) -> None:
    grant = host.token("observer", jti="og_1")
    assert host.ask(host.read(grant))["type"] == "MsgReadResult"
    host.peers.gate.revoke("proj", "og_1", NOW + 120 * SECOND)
    host.office.sessions.scribe.write()
    for _ in range(2):
        with pytest.raises(RequestError, match="^observer grant revoked$"):
            host.ask(host.read(grant))
        host.start()
    # Told again at each connect: one line is enough, and it goes when the grant has run out.
    host.peers.gate.revoke("proj", "og_1", NOW + 120 * SECOND)
    host.office.sessions.scribe.write()
    lines = Path(host.paths.used_tokens).read_text().splitlines()
    assert len([line for line in lines if "og_1" in line]) == 1
    assert host.ask(host.read(host.token("observer", jti="og_2")))["type"] == "MsgReadResult"
    host.clock.pass_seconds(200)
    host.start()
    assert "og_1" not in Path(host.paths.used_tokens).read_text()


def test_another_networks_revocation_is_none_of_ours(host: Host) -> None:
    host.peers.gate.revoke("other", "og_1")
    assert host.ask(host.read(host.token("observer", jti="og_1")))["type"] == "MsgReadResult"


def listening(host: Host, **claims: Any) -> Any:
    """Return what somebody hears, once the node has acknowledged that."""
    link = host.link()
    grant = host.token("observer", **{"jti": "og_1", **claims})
    heard = link.follow({**host.read(grant), "type": "MsgListen"})
    assert next(heard)["type"] == "MsgListenAck"
    return heard


def test_who_listens_hears_nothing_after_the_revocation(host: Host) -> None:
    heard = listening(host)
    started = time.monotonic()
    host.peers.gate.revoke("proj", "og_1")
    host.office.box.send(host.office.draft("secret"))
    with pytest.raises(RequestError, match="^observer grant revoked$"):
        next(heard)
    assert time.monotonic() - started < SOON


def test_who_listens_while_nothing_is_said_is_cut_off_at_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_waiting = threading.Event()

    class Noting(Peer):
        def wait(self, timeout: float | None = None) -> None:
            is_waiting.set()
            super().wait(timeout)

    monkeypatch.setattr(reading, "LOOK_SECONDS", 4 * SOON)
    monkeypatch.setattr(reading, "Peer", Noting)
    heard = listening(host)
    assert is_waiting.wait(20)
    started = time.monotonic()
    host.peers.gate.revoke("proj", "og_1")
    with pytest.raises(RequestError, match="^observer grant revoked$"):
        next(heard)
    assert time.monotonic() - started < SOON


def test_who_listens_is_told_when_the_grant_runs_out(host: Host) -> None:
    heard = listening(host)
    host.clock.pass_seconds(151)
    host.office.box.send(host.office.draft("secret"))
    with pytest.raises(RequestError, match="^observer delegation expired$"):
        next(heard)


def test_a_grant_by_name_follows_the_name(host: Host) -> None:
    heard = listening(host)
    host.session(1).record.name = "other"
    host.office.box.send(host.office.draft("secret"))
    with pytest.raises(RequestError, match="session name mismatch"):
        next(heard)


class Asked:
    """Stands in for a relay's answers about groups."""

    def __init__(self) -> None:
        self.bindings: list[Binding] = []
        self.asked: list[tuple[str, str]] = []

    def answer(self, relay: Relay, node: str, session: str) -> list[Binding]:
        self.asked.append((node, session))
        return self.bindings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(Relay, "bindings", lambda *given: asked.answer(*given))
    return asked


@pytest.mark.parametrize("kind", ["MsgRead", "MsgListen"])
@pytest.mark.parametrize(
    ("debug", "is_allowed"),
    [(["none"], False), (["full", "none"], False), (["observe-only"], True), (["full"], True),
     ([], True)],
)  # fmt: skip
def test_a_group_that_lets_nobody_look_wins_over_a_grant(
    host: Host, asked: Asked, kind: str, debug: list[str], is_allowed: bool
) -> None:
    asked.bindings = [Binding(f"g{n}", "open", policy) for n, policy in enumerate(debug)]
    request = {**host.read(host.token("observer")), "type": kind}
    if is_allowed:
        assert host.ask(request)["type"] in ("MsgReadResult", "MsgListenAck")
    else:
        with pytest.raises(RequestError, match="group policy forbids looking"):
            host.ask(request)
    assert asked.asked == [("", "planner")]


def test_a_policy_that_changes_counts_for_who_listens(
    host: Host, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "FRESH_SECONDS", 0.0)
    heard = listening(host)
    asked.bindings = [Binding("mesh", "open", "none")]
    host.office.box.send(host.office.draft("secret"))
    with pytest.raises(RequestError, match="group policy forbids looking"):
        next(heard)


def test_without_a_relay_what_it_said_last_counts(
    host: Host, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "FRESH_SECONDS", 0.0)
    asked.bindings = [Binding("mesh", "open", "none")]
    with pytest.raises(RequestError, match="group policy forbids looking"):
        host.ask(host.read(host.token("observer")))
    # From here on nobody answers.
    monkeypatch.undo()
    with pytest.raises(RequestError, match="group policy forbids looking"):
        host.ask(host.read(host.token("observer")))
    host.start()
    host.session(1).record.tags = ["group:mesh"]
    with pytest.raises(RequestError, match="cannot be asked what the session's groups allow"):
        host.ask(host.read(host.token("observer")))
    host.session(1).record.tags = []
    assert host.ask(host.read(host.token("observer")))["type"] == "MsgReadResult"


def test_watchers_are_forgotten_with_their_connection(host: Host) -> None:
    listening(host)
    assert len(host.peers.gate._watchers) == 1
    host.close()
    assert host.peers.gate._watchers == ()
