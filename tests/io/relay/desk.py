"""A relay's API without sockets: requests in, answers out, on a real store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from codewire.credentials.vault import Vault
from codewire.relay.http.api import make_router
from codewire.relay.http.call import Call, Service
from codewire.relay.http.identity import Identities
from codewire.relay.http.limits import Proxies
from codewire.relay.http.routes.login.oidc import Platform
from codewire.relay.providers.github import GitHub
from codewire.relay.providers.oidc import Oidc
from codewire.relay.settings import Settings
from codewire.relay.store.database import open_database
from codewire.relay.store.nodes import Node
from codewire.relay.uplinks.feeds import EventFeeds
from codewire.web.connection import _call
from codewire.web.request import Request, Takeover
from codewire.web.router import Match
from codewire.wire.http import Answer, BadRequest, Head, plain

SECOND = 1_000_000_000
ADMIN = "admin-token"
BASE_URL = "https://relay.example"
START = 1_775_210_400 * SECOND


class Hall:
    """Stands in for uplinks and peers: knows who is there, notes who is dropped."""

    def __init__(self) -> None:
        self.connected: set[tuple[str, str]] = set()
        self.dropped: list[tuple[str, str]] = []
        self.admitted: list[tuple[str, ...]] = []
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def is_connected(self, network: str, name: str) -> bool:
        return (network, name) in self.connected

    def drop(self, network: str, name: str) -> None:
        if (network, name) not in self.dropped:
            self.dropped.append((network, name))

    def open(self, call: Call, network: str, name: str, ask: dict[str, Any]) -> Answer | Takeover:
        self.asked.append((network, name, ask))
        return plain(426, "WebSocket upgrade required")

    def drop_member(self, network: str, who: str) -> None:
        self.dropped.append((network, who))

    def connected(self, network: str) -> set[str] | None:
        return None

    def accept_back(self, call: Call, node: Node, ident: str) -> Answer | Takeover:
        return self.accept(call, node, ident)

    def accept(self, call: Call, *who: Any) -> Answer | Takeover:
        self.admitted.append(tuple(w.name if isinstance(w, Node) else w for w in who))
        return plain(426, "WebSocket upgrade required")


class Desk:
    """A relay's API. `ask` returns status and body: JSON decoded, text as it is."""

    def __init__(self, directory: Path, url: str = "", **settings: Any) -> None:
        given = Settings(base_url=BASE_URL, auth_mode="token", auth_token=ADMIN)
        self.settings = replace(given, **settings)
        self.now = START
        self.hall = Hall()
        vault = Vault.open(str(directory / "secret.key"))
        self.store = open_database(url, str(directory), vault)
        self.feeds = EventFeeds(self.store)
        oidc = Oidc(self.settings.oidc_issuer, "the-client", "the-secret")
        groups = self.settings.oidc_allowed_groups
        more = (Platform(oidc, groups),) if self.settings.auth_mode == "oidc" else ()
        self.service = Service(
            settings=self.settings,
            clock=lambda: self.now,
            identities=Identities(self.settings.auth_token, BASE_URL, more),
            presence=self.hall,
            coordination=self.hall,
            streams=self.hall,
            feeds=self.feeds,
            siblings=self.hall,
            status=lambda: {"version": "1", "uplinks": 0},
            proxies=Proxies(self.settings.trusted_proxy),
            github=GitHub(self.settings.github_url, self.settings.github_api_url),
            oidc=oidc,
            setup_code="setup-code",
        )
        self.router = make_router(self.service, self.store)

    def close(self) -> None:
        self.store.close()

    def answer(
        self,
        method: str,
        target: str,
        body: Any = None,
        token: str = ADMIN,
        address: str = "192.0.2.1",
        **fields: str,
    ) -> Answer | Takeover:
        """Return what a request is answered; `body` is JSON unless it is bytes."""
        given = {name.replace("_", "-").lower(): value for name, value in fields.items()}
        if token:
            given.setdefault("authorization", f"Bearer {token}")
        head = Head((method, target, "HTTP/1.1"), {"host": "relay.example", **given})
        try:
            found = self.router.find(head)
        except BadRequest as error:
            return plain(error.status, str(error))
        if not isinstance(found, Match):
            return found
        data = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        if len(data) > found.route.body_limit > 0:
            return plain(413, "request body too large")
        return _call(found.route.handler, Request(head, data, found.values, address))

    def ask(self, method: str, target: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        answer = self.answer(method, target, body, **options)
        assert isinstance(answer, Answer), answer
        return answer.status, decode(answer)

    def ok(self, method: str, target: str, body: Any = None, **options: Any) -> Any:
        """Return the body of an answer that must be a success."""
        status, said = self.ask(method, target, body, **options)
        assert status in (200, 204), said
        return said

    def enrol(self, network: str = "proj", name: str = "dev-1", **options: Any) -> str:
        """Return the token of a new node."""
        self.ok("POST", "/api/v1/networks", {"network_id": network})
        made = self.ok(
            "POST", "/api/v1/node-enrollments", {"network_id": network, "node_name": name}
        )
        token = made["enrollment_token"]
        path = "/api/v1/node-enrollments/redeem"
        return str(self.ok("POST", path, {"enrollment_token": token, **options})["node_token"])

    def login(self, subject: str, network: str = "", role: str = "member") -> str:
        """Return the token of a session, whose user is in a network."""
        from codewire.relay.store import networks, people

        token = f"sess_{subject.replace(':', '_')}"

        def write(tx: Any) -> None:
            people.upsert_oidc(tx, subject.removeprefix("oidc:"), subject, "", self.now)
            people.session_create(
                tx, token, subject=subject, expires_at=self.now + 3600 * SECOND, now=self.now
            )
            if network:
                networks.ensure(tx, network, self.now)
                networks.add_member(tx, network, subject, role, "", self.now)

        self.store.write(write)
        return token


def status(desk: Desk, method: str, target: str, body: Any = None, **options: Any) -> int:
    return desk.ask(method, target, body, **options)[0]


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def decode(answer: Answer) -> Any:
    fields = dict(answer.fields)
    if fields.get("Content-Type") == "application/json":
        assert answer.body.endswith(b"\n")
        return json.loads(answer.body)
    return answer.body.decode("utf-8", "replace")
