"""Forged, skewed, expired, replayed and foreign tokens at a node that cannot ask its relay.

The issuer is the tests' own (unit/credentials/issuer.py), and so is what decides which are good.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import ConnectionLost, RequestError
from codewire.network.peers import PeerLink
from tests.io.peers.host import Host
from tests.unit.credentials.issuer import NOW, Issuer, b64, rfc3339

# The same name, another key.
IMPOSTOR = Issuer(bytes(32))
Make = Callable[[Host], str]


def changed(host: Host, kind: str, **claims: Any) -> str:
    """Return a token whose claims were changed after it was signed."""
    prefix, _, signature = host.token(kind).split(".")
    payload = json.dumps(host.issuer.claims(kind, **claims)).encode()
    return f"{prefix}.{b64(payload)}.{signature}"


def signed(host: Host, payload: bytes) -> str:
    return host.issuer.seal("cwrt1", payload)


# What a credential is refused with; "" stands for an end without an answer.
CREDENTIALS: list[tuple[str, Make, str]] = [
    ("none", lambda h: "", "peer authentication failed"),
    ("words", lambda h: "let me in", "invalid runtime token format"),
    ("four parts", lambda h: h.token("runtime") + ".x", "invalid runtime token format"),
    ("another kind's prefix", lambda h: h.token("sender"), "invalid runtime token format"),
    ("another kind inside", lambda h: h.token("runtime", kind="observer"),
     'unexpected runtime token kind "observer"'),
    ("no base64", lambda h: "cwrt1.***.***", "decoding runtime token: "),
    ("padded", lambda h: h.token("runtime") + "=", "decoding runtime token: "),
    ("no object", lambda h: signed(h, b"[1]"), "parsing runtime token: "),
    ("no JSON", lambda h: signed(h, b"\xff{"), "parsing runtime token: "),
    ("another network's", lambda h: h.token("runtime", network_id="other"),
     'runtime token network_id = "other", want "proj"'),
    ("from the future", lambda h: h.token("runtime", issued_at=rfc3339(45)),
     "runtime token issued in the future"),
    ("expired", lambda h: h.token("runtime", issued_at=rfc3339(-99), expires_at=rfc3339(-40)),
     "runtime token expired"),
    ("a year's", lambda h: h.token("runtime", expires_at=rfc3339(365 * 86400)),
     "runtime token is valid for more than 24h"),
    ("of an unknown key", lambda h: h.token("runtime", kid="kid_x"),
     'no verifier key for kid "kid_x"'),
    ("an impostor's", lambda h: IMPOSTOR.token("runtime"), "invalid runtime token signature"),
    ("changed", lambda h: changed(h, "runtime", subject_id="admin"),
     "invalid runtime token signature"),
    ("half signed", lambda h: h.token("runtime").rpartition(".")[0] + "." + b64(bytes(32)),
     "invalid runtime token signature"),
    ("without an id", lambda h: h.token("runtime", jti=""),
     "credential replay key is incomplete"),
    ("nobody's", lambda h: h.token("runtime", subject_id=""), ""),
    ("of no kind of subject", lambda h: h.token("runtime", subject_kind=None), ""),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in CREDENTIALS],
                         ids=[row[0] for row in CREDENTIALS])  # fmt: skip
def test_a_bad_credential_is_refused(host: Host, make: Make, words: str) -> None:
    link = PeerLink("dev-1", host.connect())
    with link, pytest.raises((RequestError, ConnectionLost)) as refused:
        link.greet(make(host))
    assert isinstance(refused.value, RequestError) == bool(words)
    assert str(refused.value).startswith(words)
    # Nothing follows a refusal.
    assert link.stream.fileno() == -1 or link.stream.receive() is None


@pytest.mark.parametrize(("issued", "expires"), [(20, 120), (-99, -20), (-86399, 0)])
def test_clocks_may_differ_by_half_a_minute(host: Host, issued: int, expires: int) -> None:
    host.link(
        host.token("runtime", issued_at=rfc3339(issued), expires_at=rfc3339(expires))
    ).stream.close()


def test_a_credential_is_good_once_also_after_a_kill(host: Host) -> None:
    credential = host.token("runtime")
    host.link(credential).stream.close()
    for _ in range(2):
        with pytest.raises(RequestError, match="runtime credential replay detected"):
            host.link(credential)
        host.start()
    # What was used is not remembered for longer than it could be used.
    assert len(Path(host.paths.used_tokens).read_text().splitlines()) == 1
    host.clock.pass_seconds(151)
    host.start()
    assert Path(host.paths.used_tokens).read_text() == ""


def test_of_many_at_the_same_time_one_gets_in(host: Host) -> None:
    credential = host.token("runtime")
    links = [PeerLink("dev-1", host.connect()) for _ in range(8)]
    said = []
    for link in links:
        link.stream.send_control({"type": "AuthHello", "runtime_credential": credential})
    for link in links:
        answer = link.stream.receive()
        assert answer is not None
        said.append(json.loads(answer[1])["type"])
        link.stream.close()
    assert sorted(said) == ["AuthAck", *["Error"] * 7]


def test_what_cannot_be_remembered_is_refused(host: Host) -> None:
    Path(host.paths.used_tokens).unlink(missing_ok=True)
    Path(host.paths.used_tokens).mkdir()
    Path(host.paths.used_tokens, "full").touch()
    # Moved aside, once: there is a file again, and it is remembered.
    credential = host.token("runtime")
    host.link(credential).stream.close()
    with pytest.raises(RequestError, match="replay detected"):
        host.link(credential)


def test_a_damaged_memory_refuses_what_it_may_have_forgotten(host: Host) -> None:
    host.link().stream.close()
    credential = host.token("runtime")
    Path(host.paths.used_tokens).write_bytes(b"{damaged}\n")
    host.clock.pass_seconds(60)
    host.start()
    with pytest.raises(RequestError, match="get a new one"):
        host.link(credential)
    host.link().stream.close()


def test_keys_count_to_their_end_and_no_longer(host: Host) -> None:
    host.clock.pass_seconds(899)
    host.link().stream.close()
    host.clock.pass_seconds(2)
    with pytest.raises(RequestError, match="the relay cannot be asked for the keys"):
        host.link()
    # Nor do those of another relay, or of another network.
    host.keep_keys(host.issuer.bundle(network_id="other", expires_at=rfc3339(9999)))
    host.start()
    with pytest.raises(RequestError, match="the relay cannot be asked for the keys"):
        host.link()


def test_a_node_without_a_network_serves_nobody(host: Host) -> None:
    Path(host.paths.config).write_text("")
    host.start()
    with pytest.raises(RequestError, match="in no relay's network"):
        host.link()


# What a grant to read `planner` on `dev-1` for client github:7 is refused with.
GRANTS: list[tuple[str, Callable[[Host], str | None], str]] = [
    ("none", lambda h: None, "missing observer grant"),
    ("empty", lambda h: "", "missing observer grant"),
    ("another kind", lambda h: h.token("runtime"), "invalid observer delegation format"),
    ("an impostor's", lambda h: IMPOSTOR.token("observer"),
     "invalid observer delegation signature"),
    ("changed", lambda h: changed(h, "observer", session_name="coder"),
     "invalid observer delegation signature"),
    ("expired", lambda h: h.token("observer", issued_at=rfc3339(-99), expires_at=rfc3339(-40)),
     "observer delegation expired"),
    ("from the future", lambda h: h.token("observer", issued_at=rfc3339(45)),
     "observer delegation issued in the future"),
    ("another network's", lambda h: h.token("observer", network_id="other"),
     'observer delegation network_id = "other", want "proj"'),
    ("another node's", lambda h: h.token("observer", target_node="dev-2"),
     "observer grant target node mismatch"),
    ("somebody else's", lambda h: h.token("observer", audience_subject_id="github:8"),
     "observer grant audience mismatch"),
    ("a node's", lambda h: h.token("observer", audience_subject_kind="node"),
     "observer grant audience mismatch"),
    ("for nobody", lambda h: h.token("observer", audience_subject_id=""),
     "observer grant audience mismatch"),
    ("to listen", lambda h: h.token("observer", verbs=["msg.listen"]),
     "observer grant does not allow msg.read"),
    ("another session's", lambda h: h.token("observer", session_name="coder"),
     "observer grant session name mismatch"),
    ("another id's", lambda h: h.token("observer", session_name=None, session_id=2),
     "observer grant session id mismatch"),
    ("an id that has another name", lambda h: h.token("observer", session_id=2),
     "observer grant session id mismatch"),
    ("no session's", lambda h: h.token("observer", session_name=None), "missing session locator"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in GRANTS],
                         ids=[row[0] for row in GRANTS])  # fmt: skip
def test_a_bad_grant_is_refused(host: Host, make: Callable[[Host], str | None], words: str) -> None:
    with pytest.raises(RequestError) as refused:
        host.ask(host.read(make(host)))
    assert str(refused.value) == words and refused.value.code == "unauthorised"
    # The same for who wants to listen, where that is not what it allows.
    if words != "observer grant does not allow msg.read":
        with pytest.raises(RequestError, match=words[:20]):
            host.ask({**host.read(make(host)), "type": "MsgListen"})


@pytest.mark.parametrize("claims", [{}, {"session_name": None, "session_id": 1}, {"session_id": 1}])
@pytest.mark.parametrize("locator", [{"name": "planner"}, {"id": 1}, {"name": "@planner"}])
def test_a_grant_is_good_as_often_as_it_is_shown(
    host: Host, claims: dict[str, Any], locator: dict[str, Any]
) -> None:
    grant = host.token("observer", **claims)
    with host.link() as link:
        for _ in range(2):
            answer = link.ask(host.read(grant, session=locator))
            assert answer["type"] == "MsgReadResult" and answer["messages"] == []
            assert answer["session"] == {"node": "dev-1", "id": 1}


def test_a_node_is_no_client_of_the_same_name(host: Host) -> None:
    """Whoever fell back to a node's credential fails the audience check."""
    grant = host.token("observer")
    with host.link(host.token("runtime", subject_kind="node")) as link, \
            pytest.raises(RequestError, match="observer grant audience mismatch"):  # fmt: skip
        link.ask(host.read(grant))


@pytest.mark.parametrize(
    ("changes", "claims", "words"),
    [
        ({"from": None}, {}, "remote send requires verified sender delegation"),
        ({"sender_cap": None}, {}, "missing sender delegation"),
        ({"from": {"name": "planner"}}, {}, "sender locator must include source node"),
        ({"from": {"node": "dev-3", "name": "planner"}}, {},
         "sender delegation source node mismatch"),
        ({"from": {"node": "dev-2", "name": "other"}}, {},
         "sender delegation session name mismatch"),
        ({"from": {"node": "dev-2", "id": 9}}, {}, "sender delegation session id mismatch"),
        ({}, {"audience_node": "dev-9"}, "sender delegation audience mismatch"),
        ({}, {"verbs": ["reply"]}, "sender delegation does not allow msg"),
        ({}, {"network_id": "other"}, 'sender delegation network_id = "other", want "proj"'),
    ],
)  # fmt: skip
def test_a_bad_delegation_is_refused(
    host: Host, changes: dict[str, Any], claims: dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError) as refused:
        host.ask(host.send(host.delegation(**claims), **changes))
    assert str(refused.value) == words
    assert host.office.box.read(host.session(2), 0).messages == []


def test_a_delegation_sends_once_also_after_a_kill(host: Host) -> None:
    token = host.delegation()
    assert host.ask(host.send(token))["message_id"].startswith("msg_")
    for _ in range(2):
        with pytest.raises(RequestError, match="sender credential replay detected"):
            host.ask(host.send(token))
        host.start()
    [letter] = host.office.box.read(host.session(2), 0).messages
    assert (letter["from"], letter["from_name"], letter["body"]) == (0, "dev-2:planner", "hello")


def test_the_published_vector_is_what_our_issuer_signs(host: Host) -> None:
    assert rfc3339(0) == "2026-04-03T10:00:00+00:00" and NOW == 1_775_210_400_000_000_000
    assert b64(host.issuer.public) == "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
    payload = {
        "kind": "runtime", "network_id": "project-alpha", "subject_kind": "node",
        "subject_id": "dev-1", "issuer": "relay:project-alpha", "kid": "kid_test",
        "issued_at": "2026-04-03T10:00:00Z", "expires_at": "2026-04-03T10:05:00Z",
        "jti": "rt_test",
    }  # fmt: skip
    token = host.issuer.seal("cwrt1", json.dumps(payload, separators=(",", ":")).encode())
    assert token.endswith("MPxjBZ5dO72sNiYhgtMm9tVgmKGfVx1lzvxSfrvZ5XDDHLmVh5tQtGN_"
                          "JO-fIUp3Wix9TwyINdfGzdip4xyuAQ")  # fmt: skip
    host.keep_keys(host.issuer.bundle(network_id="project-alpha"))
    config = Path(host.paths.config)
    config.write_text(config.read_text().replace('"proj"', '"project-alpha"'))
    host.start()
    host.link(token).stream.close()
