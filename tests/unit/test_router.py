"""Routes: raw paths, named segments decoded once, methods, and what nobody answers."""

from __future__ import annotations

import pytest

from codewire.web.request import Handler, Request
from codewire.web.router import ANY, Match, Router, decode_segment
from codewire.wire.http import Answer, BadRequest, Head, plain


def handler(name: str) -> Handler:
    def answer(request: Request) -> Answer:
        return plain(200, name)

    return answer


def a_router() -> Router:
    router = Router()
    for method, pattern in (
        ("GET", "/"),
        ("GET", "/nodes"),
        ("POST", "/nodes"),
        ("GET", "/nodes/{name}"),
        ("DELETE", "/nodes/{name}"),
        ("GET", "/nodes/list"),
        ("GET", "/nodes/{name}/ws"),
        ("GET", "/nodes/list/all"),
        ("POST", "/{kind}/{name}/x"),
        (ANY, "/any"),
        ("GET", "/kv/{key}"),
        ("PUT", "/kv/{other}"),
    ):
        router.add(method, pattern, handler(f"{method} {pattern}"))
    return router


@pytest.mark.parametrize("target", ["//nodes", "/./nodes?a=//b", "/x/../nodes", "/nodes/.."])
def test_unclean_paths_lead_to_the_clean_one(target: str) -> None:
    router = Router(redirects=True)
    router.add("GET", "/nodes", handler("nodes"))
    found = router.find(Head(("GET", target, "HTTP/1.1"), {}))
    assert isinstance(found, Answer) and found.status == 307
    location = dict(found.fields)["Location"]
    assert location.startswith("/") and not location.startswith("//")
    assert location.partition("?")[2] == target.partition("?")[2]


def find(method: str, target: str) -> tuple[str, dict[str, str]] | Answer:
    """Return the route's name and its values, or the refusal."""
    found = a_router().find(Head((method, target, "HTTP/1.1"), {}))
    if isinstance(found, Answer):
        return found
    assert isinstance(found, Match)
    said = found.route.handler(Request(Head((method, target, "HTTP/1.1"), {})))
    assert isinstance(said, Answer)
    return said.body.decode().strip(), found.values


@pytest.mark.parametrize(
    ("method", "target", "route", "values"),
    [
        ("GET", "/", "GET /", {}),
        ("GET", "/?a=/b/c", "GET /", {}),
        ("GET", "http://h:1/nodes?x", "GET /nodes", {}),
        ("POST", "/nodes", "POST /nodes", {}),
        ("HEAD", "/nodes", "GET /nodes", {}),
        ("GET", "/nodes/dev-1", "GET /nodes/{name}", {"name": "dev-1"}),
        ("GET", "/nodes/list", "GET /nodes/list", {}),
        ("GET", "/nodes/list/ws", "GET /nodes/{name}/ws", {"name": "list"}),
        ("GET", "/nodes/a%2Fb", "GET /nodes/{name}", {"name": "a/b"}),
        ("GET", "/nodes/a%252Fb", "GET /nodes/{name}", {"name": "a%2Fb"}),
        ("GET", "/nodes/%c3%a9+x", "GET /nodes/{name}", {"name": "é+x"}),
        ("GET", "/nodes/%2e%2e", "GET /nodes/{name}", {"name": ".."}),
        ("POST", "/nodes/list/x", "POST /{kind}/{name}/x", {"kind": "nodes", "name": "list"}),
        ("BREW", "/any", "* /any", {}),
        ("HEAD", "/any", "* /any", {}),
        ("GET", "/kv/k", "GET /kv/{key}", {"key": "k"}),
        ("PUT", "/kv/k", "PUT /kv/{other}", {"other": "k"}),
    ],
)
def test_routes(method: str, target: str, route: str, values: dict[str, str]) -> None:
    assert find(method, target) == (route, values)


@pytest.mark.parametrize(
    "target",
    [
        "/nodes/",
        "/nodes//ws",
        "//nodes",
        "/no",
        "/%6eodes",
        "/nodes/a/b",
        "/nodes/a%2Fws/x/y",
    ],
)
def test_what_nobody_answers(target: str) -> None:
    found = find("GET", target)
    assert isinstance(found, Answer) and found.status == 404


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("PUT", "/nodes", "GET, HEAD, POST"),
        ("get", "/nodes/a", "DELETE, GET, HEAD"),
        ("HEAD", "/a/b/x", "POST"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_methods_nobody_answers(method: str, target: str, allowed: str) -> None:
    found = find(method, target)
    assert isinstance(found, Answer) and found.status == 405
    assert dict(found.fields)["Allow"] == allowed


@pytest.mark.parametrize("segment", ["%", "a%2", "%zz", "%+1", "%ff", "%c3", "%00", "a%20%0"])
def test_segments_that_are_none(segment: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_segment(segment)
    assert caught.value.status == 400


@pytest.mark.parametrize("pattern", ["nodes", "/nodes", "/a/{x}/{x}"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ValueError):
        a_router().add("GET", pattern, handler(""))


def test_a_long_path_costs_little() -> None:
    found = find("GET", "/nodes" * 2000)
    assert isinstance(found, Answer) and found.status == 404
