"""What a relay's admin does and sees, and the pages it shows."""

from __future__ import annotations

from codewire.relay.store import trust
from codewire.wire.http import Answer
from tests.io.relay.desk import BASE_URL, SECOND, Desk, status


def test_keys_rotate(desk: Desk) -> None:
    node = desk.enrol()
    runtime, bundle = "/api/v1/network-auth/runtime/node", "/api/v1/network-auth/bundle"
    desk.ok("POST", runtime, {}, token=node)
    old = desk.ok("GET", f"{bundle}?network_id=proj")["keys"]
    rotated = desk.ok("POST", "/api/v1/admin/keys/rotate", {})["rotated"]
    assert [entry["network_id"] for entry in rotated] == ["proj"]
    keys = desk.ok("GET", f"{bundle}?network_id=proj")["keys"]
    assert {key["key_id"] for key in keys} == {old[0]["key_id"], rotated[0]["key_id"]}

    def signer() -> str:
        key = desk.store.read(lambda tx: trust.current_if_any(tx, "proj", desk.now))
        assert key is not None
        return key.kid

    assert signer() == old[0]["key_id"]
    desk.now += 16 * 60 * SECOND
    assert signer() == rotated[0]["key_id"]
    member = desk.login("oidc:m", "proj", "owner")
    assert status(desk, "POST", "/api/v1/admin/keys/rotate", {}, token=member) == 403
    unknown = (404, "network not found\n")
    assert desk.ask("POST", "/api/v1/admin/keys/rotate", {"network_id": "x"}) == unknown


def test_the_audit_names_who_did_what(desk: Desk) -> None:
    desk.enrol()
    owner = desk.login("oidc:o", "proj", "owner")
    body = {"network_id": "proj", "target_node": "d", "session_name": "s", "audience": "admin"}
    grant = desk.ok("POST", "/api/v1/access-grants", body, token=owner)["grant_id"]
    desk.ok("DELETE", f"/api/v1/access-grants/{grant}?network_id=proj", token=owner)
    desk.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    found = desk.ok("GET", "/api/v1/admin/audit?network_id=proj")
    assert [(entry["actor"], entry["action"]) for entry in found] == [
        ("admin", "node.revoked"),
        ("oidc:o", "access.grant.revoked"),
        ("oidc:o", "access.grant.created"),
        ("admin", "node.enrolled"),
        ("admin", "enrollment.created"),
        ("admin", "network.created"),
    ]
    assert "cw_enr_" not in str(found)


def test_metrics(desk: Desk) -> None:
    assert status(desk, "GET", "/metrics", token="") == 401
    member = desk.login("oidc:m")
    assert status(desk, "GET", "/metrics", token=member) == 403
    text = desk.ask("GET", "/metrics")[1]
    assert "codewire_relay_uplinks 0\n" in text and 'version="1"' in text


def test_the_join_page_escapes(desk: Desk) -> None:
    page = desk.ok("GET", "/join?invite=CW-INV-%3Cscript%3E%22%26", token="")
    assert "<title>Join CodeWire Relay</title>" in page
    assert "CW-INV-&lt;script&gt;&quot;&amp;" in page and "<script>" not in page
    command = f"cw login &amp;&amp; cw network join --relay-url {BASE_URL} CW-INV-"
    assert command in page
    answer = desk.answer("GET", "/join?invite=x", token="")
    assert isinstance(answer, Answer)
    fields = dict(answer.fields)
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in fields["Content-Security-Policy"]
    # With no-referrer browsers send `Origin: null` along with our own forms, which is refused.
    assert fields["Referrer-Policy"] == "same-origin"
