"""The whole API: every family's endpoints, and the router that serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import json_answer
from codewire.relay.http.endpoint import Endpoint, Who, add_to
from codewire.relay.http.openapi import describe
from codewire.relay.http.routes import (
    credentials,
    grants,
    groups,
    invites,
    kv,
    networks,
    nodes,
    service,
    siblings,
    ssh,
    streams,
    tasks,
    uplinks,
)
from codewire.relay.http.routes.login import device, github, oidc, selfhosted, sessions
from codewire.web.router import Router

if TYPE_CHECKING:
    from codewire.relay.http.call import Call, Service
    from codewire.relay.store.database import Database


def show_document(call: Call, store: Database) -> Any:
    """Return the API's document."""
    settings = call.service.settings
    return json_answer(describe(endpoints(settings.auth_mode), settings.base_url))


ENDPOINTS: list[Endpoint] = [
    *service.ENDPOINTS,
    Endpoint(
        "GET",
        "/api/v1/openapi.json",
        show_document,
        Who.PUBLIC,
        "This document",
        answers={"type": "object"},
    ),
    *networks.ENDPOINTS,
    *nodes.ENDPOINTS,
    *invites.ENDPOINTS,
    *groups.ENDPOINTS,
    *grants.ENDPOINTS,
    *credentials.ENDPOINTS,
    *kv.ENDPOINTS,
    *tasks.ENDPOINTS,
    *uplinks.ENDPOINTS,
    *streams.ENDPOINTS,
    *siblings.ENDPOINTS,
    *ssh.ENDPOINTS,
    *selfhosted.ENDPOINTS,
]


# What is there in one mode only.
OF_MODE: dict[str, list[Endpoint]] = {
    "github": [*sessions.ENDPOINTS, *github.ENDPOINTS],
    "oidc": [*sessions.ENDPOINTS, *oidc.ENDPOINTS, *device.ENDPOINTS],
}


def endpoints(mode: str) -> list[Endpoint]:
    """Return the endpoints of a relay whose users log in in this way."""
    return [*ENDPOINTS, *OF_MODE.get(mode, [])]


def make_router(relay: Service, store: Database) -> Router:
    """Return what serves the API."""
    return add_to(Router(redirects=True), endpoints(relay.settings.auth_mode), relay, store)
