"""The relay's API as its clients call it: what is asked, what comes of answers and failures."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import CredentialError, RelayError, RelayRefused, RelayUnreachable
from codewire.network import answers
from codewire.network.caller import encode_segment
from codewire.network.exchange import Server
from codewire.network.relay import Relay
from tests.io.network.scriptedrelay import Asked, ScriptedRelay, answer

GROUP = {
    "network_id": "proj", "name": "mesh", "created_at": "T", "created_by": "admin",
    "policy": {"messages_policy": "open", "debug_policy": "none"},
    "members": [{"node_name": "dev-1", "session_name": "planner", "created_at": "T"}],
}  # fmt: skip
GRANT = {
    "id": "og_1", "network_id": "proj", "target_node": "dev-1", "session_name": "planner",
    "verbs": ["msg.read"], "audience_subject_kind": "client", "audience_subject_id": "admin",
    "issued_by": "admin", "created_at": "T", "expires_at": "U",
}  # fmt: skip
READ_GRANT = answers.Grant(
    "og_1", "proj", "dev-1", None, "planner", ("msg.read",), "client", "admin", "", "admin", "T",
    "U", "", "",
)  # fmt: skip
REGISTERED = {
    "status": "registered", "node_token": "t", "node_name": "dev-1", "network_id": "proj",
    "enrollment_id": "e",
}  # fmt: skip
TASK = {
    "event_id": "e", "stream_seq": 7, "network_id": "proj", "node_name": "dev-1", "session_id": 3,
    "summary": "s", "state": "working", "timestamp": "T",
}  # fmt: skip
Call = Callable[[Relay], Any]

# What is called, what the relay is asked, what it answers, and what comes of that.
CALLS: list[tuple[Call, str, Any, Any, Any]] = [
    (lambda r: r.is_healthy(), "GET /healthz", None, "ok", True),
    (lambda r: r.auth_mode(), "GET /api/v1/auth/config", None, {"auth_mode": "token"}, "token"),
    (lambda r: r.validate(), "GET /api/v1/auth/validate", None, {"status": "ok"}, None),
    (lambda r: r.networks(), "GET /api/v1/networks", None,
     [{"id": "proj", "created_at": "T", "node_count": 2, "invite_count": 1}],
     [answers.Network("proj", "T", 2, 1)]),
    (lambda r: r.networks(), "GET /api/v1/networks", None, "null\n", []),
    (lambda r: r.create_network("proj"), "POST /api/v1/networks", {"network_id": "proj"},
     {"status": "created", "network_id": "proj"}, "proj"),
    (lambda r: r.join_network("CW-INV-1"), "POST /api/v1/networks/join",
     {"invite_token": "CW-INV-1"}, {"status": "joined", "network_id": "proj"}, "proj"),
    (lambda r: r.nodes("proj"), "GET /api/v1/nodes?network_id=proj", None,
     [{"network_id": "proj", "name": "dev-1", "peer_url": "wss://x", "connected": True}],
     [answers.Node("proj", "dev-1", "wss://x", True)]),
    (lambda r: r.nodes(of_all=True), "GET /api/v1/nodes?all=true", None,
     [{"name": "dev-1", "connected": False}], [answers.Node("", "dev-1", "", False)]),
    (lambda r: r.revoke_node("proj", "dev-1"), "DELETE /api/v1/nodes/dev-1?network_id=proj", None,
     {"status": "revoked", "node": "dev-1"}, None),
    (lambda r: r.create_enrollment("proj", node_name="dev-1", ttl="10m"),
     "POST /api/v1/node-enrollments",
     {"network_id": "proj", "node_name": "dev-1", "uses": 1, "ttl": "10m"},
     {"id": "i", "network_id": "proj", "node_name": "dev-1", "owner_subject": "admin",
      "issued_by": "admin", "uses_remaining": 1, "expires_at": "T", "enrollment_token": "t"},
     answers.Enrollment("i", "proj", "dev-1", "admin", "admin", 1, "T", "t")),
    (lambda r: r.redeem_enrollment("t"), "POST /api/v1/node-enrollments/redeem",
     {"enrollment_token": "t"}, REGISTERED, answers.Registration("t", "dev-1", "proj", "e")),
    (lambda r: r.create_invite("proj", uses=2), "POST /api/v1/invites",
     {"network_id": "proj", "uses": 2},
     {"network_id": "proj", "token": "x", "created_by": None, "uses_remaining": 2,
      "expires_at": "T", "created_at": "U"}, answers.Invite("proj", "x", 2, "T", "U")),
    (lambda r: r.invites("proj"), "GET /api/v1/invites?network_id=proj", None, [], []),
    (lambda r: r.delete_invite("proj", "x"), "DELETE /api/v1/invites/x?network_id=proj", None, b"",
     None),
    (lambda r: r.join("dev-1", "x"), "POST /api/v1/join",
     {"node_name": "dev-1", "invite_token": "x"}, REGISTERED,
     answers.Registration("t", "dev-1", "proj", "e")),
    (lambda r: r.create_group("proj", "mesh").name, "POST /api/v1/groups",
     {"network_id": "proj", "name": "mesh"}, GROUP, "mesh"),
    (lambda r: r.groups("proj")[0].policy, "GET /api/v1/groups?network_id=proj", None, [GROUP],
     answers.Policy("open", "none")),
    (lambda r: r.group("proj", "mesh").members, "GET /api/v1/groups/mesh?network_id=proj", None,
     GROUP, (answers.Member("dev-1", "planner", "T"),)),
    (lambda r: r.delete_group("proj", "mesh"), "DELETE /api/v1/groups/mesh?network_id=proj", None,
     {"status": "deleted"}, None),
    (lambda r: r.add_member("", "mesh", "dev-1", "planner"), "POST /api/v1/groups/mesh/members",
     {"node_name": "dev-1", "session_name": "planner"}, GROUP["members"][0],
     answers.Member("dev-1", "planner", "T")),
    (lambda r: r.remove_member("proj", "mesh", "dev-1", "a b"),
     "DELETE /api/v1/groups/mesh/members?network_id=proj&node_name=dev-1&session_name=a%20b", None,
     {"status": "removed"}, None),
    (lambda r: r.set_policy("proj", "mesh", "open", "none"), "PUT /api/v1/groups/mesh/policy",
     {"network_id": "proj", "messages_policy": "open", "debug_policy": "none"}, GROUP["policy"],
     answers.Policy("open", "none")),
    (lambda r: r.bindings("dev-1", "planner"),
     "GET /api/v1/groups/bindings?node_name=dev-1&session_name=planner", None,
     [{"group_name": "mesh", "messages_policy": "open", "debug_policy": "none"}],
     [answers.Binding("mesh", "open", "none")]),
    (lambda r: r.issue_grant("proj", "dev-1", "admin", session_id=0, verbs=["read"]),
     "POST /api/v1/access-grants",
     {"network_id": "proj", "target_node": "dev-1", "session_id": 0, "audience": "admin",
      "verbs": ["read"]},
     {**GRANT, "id": None, "grant_id": "og_1", "session_id": 0, "delegation": "cwog1.x.y"},
     READ_GRANT._replace(session_id=0, token="cwog1.x.y")),
    (lambda r: r.grants("proj", target_node="dev-1", active=True, mine=True),
     "GET /api/v1/access-grants?network_id=proj&target_node=dev-1&active=true&mine=true", None,
     [GRANT], [READ_GRANT]),
    (lambda r: r.grant("proj", "og_1"), "GET /api/v1/access-grants/og_1?network_id=proj", None,
     {**GRANT, "revoked_at": "V"}, READ_GRANT._replace(revoked_at="V")),
    (lambda r: r.revoke_grant("proj", "og_1"), "DELETE /api/v1/access-grants/og_1?network_id=proj",
     None, {"status": "revoked"}, None),
    (lambda r: r.bundle("proj").network_id, "GET /api/v1/network-auth/bundle?network_id=proj", None,
     {"network_id": "proj", "keys": [], "expires_at": "2026-04-03T10:00:00Z"}, "proj"),
    (lambda r: r.runtime_credential("proj"),
     "POST /api/v1/network-auth/runtime/client?network_id=proj", {},
     {"credential": "cwrt1.x.y", "network_id": "proj", "expires_at": "T"},
     answers.Credential("cwrt1.x.y", "proj", "T")),
    (lambda r: r.runtime_credential(), "POST /api/v1/network-auth/runtime/node", {},
     {"credential": "c", "network_id": "proj", "expires_at": "T"},
     answers.Credential("c", "proj", "T")),
    (lambda r: r.sender_delegation(["msg"], session_id=0, audience_node="dev-2"),
     "POST /api/v1/network-auth/delegation/node",
     {"from_session_id": 0, "verbs": ["msg"], "audience_node": "dev-2"},
     {"delegation": "d", "network_id": "proj", "expires_at": "T"},
     answers.Credential("d", "proj", "T")),
    (lambda r: r.kv_delete("proj", "ns", "a/b"), "DELETE /api/v1/kv/ns/a%2Fb?network_id=proj", None,
     b"", None),
    (lambda r: r.kv_get("proj", "ns", ".."), "GET /api/v1/kv/ns/%2E%2E?network_id=proj", None,
     b"\0\xff", b"\0\xff"),
    (lambda r: r.kv_list("proj", "ns", "é%"),
     "GET /api/v1/kv/ns?network_id=proj&prefix=%C3%A9%25", None,
     [{"key": "k", "value": "AP8=", "expires_at": "T"}, {"key": "e", "value": None}],
     [answers.Entry("k", b"\0\xff", "T"), answers.Entry("e", b"", "")]),
    (lambda r: r.tasks("proj", node="dev-1", session_id=3, state="working"),
     "GET /api/v1/tasks?network_id=proj&node=dev-1&session_id=3&state=working", None, [TASK],
     [answers.Task("e", 7, "proj", "dev-1", 3, "", "s", "working", "T")]),
]  # fmt: skip


@pytest.fixture
def scripted() -> Iterator[ScriptedRelay]:
    relay = ScriptedRelay()
    yield relay
    relay.close()


@pytest.mark.parametrize(("call", "asked", "body", "said", "result"), CALLS)
def test_each_call_asks_and_reads(
    scripted: ScriptedRelay, call: Call, asked: str, body: Any, said: Any, result: Any
) -> None:
    scripted.script = answer(200, said)
    assert call(Relay(scripted.url, "tok")) == result
    (request,) = scripted.asked
    assert f"{request.method} {request.target}" == asked
    assert request.fields["authorization"] == "Bearer tok"
    assert request.fields["host"] == f"127.0.0.1:{scripted.port}"
    if body is None:
        assert request.body == b""
    else:
        assert request.json == body
        assert request.fields["content-type"] == "application/json"


def test_a_value_is_put_as_it_is(scripted: ScriptedRelay) -> None:
    scripted.script = answer(204)
    Relay(scripted.url, "t").kv_put("proj", "ns", "k", b"\0\xff", ttl="1h")
    (request,) = scripted.asked
    assert (request.method, request.body, request.fields["x-ttl"]) == ("PUT", b"\0\xff", "1h")


def test_a_prefix_of_the_url_is_kept_and_no_token_is_shown_without_one(
    scripted: ScriptedRelay,
) -> None:
    scripted.script = answer(200, "ok")
    assert Relay(f"{scripted.url}/a/b/").is_healthy()
    assert scripted.asked[0].target == "/a/b/healthz"
    assert "authorization" not in scripted.asked[0].fields


@pytest.mark.parametrize("text", ["a/b", "..", ".", "é", "a?b#c%", "\ud800", "", "a b+c"])
def test_a_segment_stays_one(text: str) -> None:
    encoded = encode_segment(text)
    assert encoded not in (".", "..")
    assert not set(encoded) & set("/?#% +") - {"%"}


# Framing


def chunked(*pieces: bytes) -> bytes:
    parts = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join(parts) + b"0\r\n\r\n"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODIES = [
    HEAD + b'Content-Length: 20\r\n\r\n{"auth_mode":"none"}trailing',
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b'{"auth_', b'mode":"none"}'),
    HEAD + b'Connection: close\r\n\r\n{"auth_mode":"none"}',
    b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b'Content-Length: 20\r\n\r\n{"auth_mode":"none"}',
    b'HTTP/1.0 200 OK\r\n\r\n{"auth_mode":"none"}',
]


@pytest.mark.parametrize("said", BODIES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_ends_where_it_says(scripted: ScriptedRelay, said: bytes, size: int) -> None:
    def script(asked: Asked, sock: socket.socket) -> None:
        for start in range(0, len(said), size):
            sock.sendall(said[start : start + size])

    scripted.script = script
    assert Relay(scripted.url).auth_mode() == "none"


# What goes wrong


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "cannot be reached: connection closed before response"),
        (HEAD + b"Content-Length: 20\r\n\r\n{", "cannot be reached: the connection ended in the"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "cannot be reached: the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP as it should"),
        (b"\x16\x03\x01", "does not speak HTTP as it should: not HTTP"),
        (HEAD + b"Content-Length: x\r\n\r\n", "malformed Content-Length"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", "transfer coding gzip"),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", "the answer is too large"),
        (HEAD + b"X: " + b"x" * 20000, "header larger than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "the answer does not begin"),
        (answer(200, "<html>"), "answered what is no JSON"),
        (answer(200, b"[" * 5000 + b"]" * 5000), "answered what is no JSON: nested too deeply"),
        (answer(200, [1]), "cannot be understood: no object"),
        (answer(200, {"auth_mode": 7}), "cannot be understood: auth_mode is no str"),
    ],
)
def test_a_bad_answer_is_told_in_one_line(scripted: ScriptedRelay, said: bytes, words: str) -> None:
    scripted.script = said
    with pytest.raises(RelayError, match=words) as caught:
        Relay(scripted.url, "secret").auth_mode()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "text", "words", "is_transient"),
    [
        (400, "network_id required\n", "^network_id required$", False),
        (401, "unauthorized\n", "does not accept this token$", False),
        (403, "owner access required\n", "^owner access required$", False),
        (404, "node not found\n", "^node not found$", False),
        (404, "404 page not found\n", "older .* does not know GET /api/v1/networks$", False),
        (405, "Method Not Allowed\n", "older than what is asked", False),
        (429, "rate limit exceeded\n", "asked too often", True),
        (500, "internal error\n", "^internal error$", True),
        (503, "<html>\n", "^HTTP 503 from http://127", True),
        (502, "x" * 100_000, "^x{400}$", True),
        (307, "", "redirects elsewhere \\(307\\)", False),
    ],
)
def test_a_refusal_is_told_in_the_relays_words(
    scripted: ScriptedRelay, status: int, text: str, words: str, is_transient: bool
) -> None:
    scripted.script = answer(status, text)
    with pytest.raises(RelayRefused, match=words) as caught:
        Relay(scripted.url, "t").networks()
    assert (caught.value.status, caught.value.is_transient) == (status, is_transient)


def test_without_a_token_a_401_asks_for_one(scripted: ScriptedRelay) -> None:
    scripted.script = answer(401, "unauthorized")
    with pytest.raises(RelayRefused, match="asks for a token$"):
        Relay(scripted.url).networks()


def test_a_bundle_that_is_none_is_told(scripted: ScriptedRelay) -> None:
    scripted.script = answer(200, {})
    with pytest.raises(CredentialError):
        Relay(scripted.url, "t").bundle("proj")


def test_a_relay_that_is_not_there_is_told() -> None:
    # Bound, so that nobody else comes by it, and not listening.
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(RelayUnreachable, match=f"relay http://127.0.0.1:{port} cannot be "
                           "reached: connection refused"):  # fmt: skip
            Relay(f"http://127.0.0.1:{port}").networks()


def test_a_relay_that_says_nothing_is_waited_for_so_long(scripted: ScriptedRelay) -> None:
    over = threading.Event()
    scripted.script = lambda asked, sock: over.wait(20)
    try:
        with pytest.raises(RelayUnreachable, match="no answer within 0.2s"):
            Relay(scripted.url, seconds=0.2).networks()
    finally:
        over.set()


@pytest.mark.parametrize("url", ["", "host", "ftp://h", "https://", "http://a@b", "http://h:x"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(RelayError, match="not a URL of a relay|bad host or port"):
        Relay(url).networks()


def test_a_token_with_a_line_break_adds_no_field(scripted: ScriptedRelay) -> None:
    with pytest.raises(RelayError, match="line break"):
        Relay(scripted.url, "a\r\nX: y").networks()
    assert scripted.asked == []


# TLS and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory / "key.pem",
         "-out", directory / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return directory


def test_a_certificate_is_checked(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    relay = ScriptedRelay(context)
    relay.script = answer(200, "ok")
    try:
        with pytest.raises(RelayError, match="certificate not trusted"):
            Relay(relay.url, "secret").is_healthy()
        assert relay.asked == []
        assert Relay(Server(relay.url, ca=str(certificate / "cert.pem")), "t").is_healthy()
        assert Relay(Server(relay.url, insecure=True), "t").is_healthy()
    finally:
        relay.close()


def test_a_proxy_is_asked_for_a_tunnel(
    scripted: ScriptedRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[bytes] = []
    proxy = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = proxy.accept()
        with sock:
            lines.append(sock.recv(4096).split(b"\r\n")[0])
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            scripted.script = answer(200, "ok")
            scripted.answer(sock)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert Relay("http://relay.example:8080").is_healthy()
    assert lines == [b"CONNECT relay.example:8080 HTTP/1.1"]
    thread.join(20)
    proxy.close()
