"""The API's document is true: schemathesis asks a running relay for everything that is in it.

Run by test_document.py: to read this file takes seconds, and every worker reads every test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from codewire.relay.http.api import ENDPOINTS
from codewire.relay.http.openapi import describe
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


# What keeps its connection is no answer to look at.
ANSWERING = [endpoint for endpoint in ENDPOINTS if endpoint.kind != "text/event-stream"]
schema = schemathesis.openapi.from_dict(describe(ANSWERING, "http://relay.example"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("relay"))
    site.relay.limiter.check = lambda *_: None  # type: ignore[method-assign]
    site.enrol()
    yield site
    site.close()


def test_the_relay_hands_it_out(site: Site) -> None:
    document = site.ok("GET", "/api/v1/openapi.json", token="")
    assert document == describe(ENDPOINTS, "https://relay.example")
    assert {"/api/v1/networks", "/api/v1/kv/{namespace}/{key}"} < set(document["paths"])


@schema.parametrize()
@settings(
    max_examples=3, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_every_answer_is_documented(site: Site, case: schemathesis.Case) -> None:
    host, port = site.address
    fields = {"Authorization": f"Bearer {ADMIN}"}
    case.call_and_validate(base_url=f"http://{host}:{port}", headers=fields, checks=CHECKS)
