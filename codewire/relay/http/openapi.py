"""The API's document (OpenAPI 3.1), made of the table of endpoints."""

from __future__ import annotations

from typing import Any

from codewire import __version__
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.inputs import Body
from codewire.wire.http import REASONS

TEXT_KIND = "text/plain"
TEXT = {TEXT_KIND: {"schema": {"type": "string"}}}
KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "whole": {"type": ["integer", "null"]},
    "words": {"type": ["array", "null"], "items": {"type": "string"}},
}
SECURITY: dict[Who, list[dict[str, list[str]]]] = {
    Who.PUBLIC: [],
    Who.USER: [{"user": []}],
    Who.NODE: [{"node": []}],
    Who.EITHER: [{"node": []}, {"user": []}],
}


def describe(endpoints: list[Endpoint], base_url: str) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Codewire relay", "version": __version__},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "user": {**bearer, "description": "A session's token or the admin's"},
                "node": {**bearer, "description": "The token a node got when it was enrolled"},
            }
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    name = endpoint.path.strip("/").replace("api/v1/", "").replace("/", "_")
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{name.replace('{', '').replace('}', '')}",
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.who in SECURITY and SECURITY[endpoint.who]:
        operation["security"] = SECURITY[endpoint.who]
    body = _body(endpoint)
    if body:
        operation["requestBody"] = body
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    segments = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in segments
    ]
    queried = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in endpoint.query]
    fields = [{"name": n, "in": "header", "schema": {"type": "string"}} for n in endpoint.fields]
    return [*named, *queried, *fields]


def _body(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.body is not None:
        return {"content": {"application/json": {"schema": _body_schema(endpoint.body)}}}
    if endpoint.raw_limit:
        return {"content": {"application/octet-stream": {"schema": {}}}}
    return {}


def _body_schema(body: Body) -> dict[str, Any]:
    fields = {name: KINDS[kind] for name, kind in body.fields.items()}
    return {"type": "object", "properties": fields}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    """Return every status with what comes along; what the framing alone refuses included."""
    statuses = {400, *endpoint.errors}
    if endpoint.who is not Who.PUBLIC:
        # 403: a cookie that another site's page may have sent along.
        statuses |= {401, 403}
    if endpoint.limit is not None:
        statuses.add(429)
    if endpoint.body_limit:
        statuses.add(413)
    responses: dict[str, Any] = {
        str(status): {"description": REASONS[status], "content": TEXT} for status in statuses
    }
    for status in endpoint.also:
        responses[str(status)] = {**_success(endpoint), "description": REASONS[status]}
    responses[str(endpoint.status)] = _success(endpoint)
    return dict(sorted(responses.items()))


def _success(endpoint: Endpoint) -> dict[str, Any]:
    success: dict[str, Any] = {"description": REASONS[endpoint.status]}
    if endpoint.status == 200 and endpoint.kind:
        success["content"] = {endpoint.kind: {"schema": endpoint.answers or {}}}
    return success
