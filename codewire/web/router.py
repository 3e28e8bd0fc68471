"""Finds the handler of a request: method and raw path, no patterns beyond `{name}`.

A path is split at its slashes before anything in it is decoded, so that an encoded slash stays
part of its segment; a named segment is decoded once, everything else must match as it came.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from codewire.web.request import Handler
from codewire.wire.http import HEX_DIGITS, MAX_BODY, Answer, BadRequest, Head, plain

# The method of a route whose handler looks at the method itself.
ANY = "*"
NOT_FOUND = plain(404, "404 page not found")


class Route(NamedTuple):
    """Who answers, and how large a body it takes (bytes); 0: none, and one that comes is not read.

    A connection whose request's body was not read ends with the answer.
    """

    handler: Handler
    body_limit: int = MAX_BODY


class Match(NamedTuple):
    """A route and the values of the segments it names."""

    route: Route
    values: dict[str, str]


class _Step:
    """One segment of the paths: what may follow it, and who answers when it is the last."""

    __slots__ = ("following", "names", "routes")

    def __init__(self) -> None:
        self.following: dict[str, _Step] = {}
        self.routes: dict[str, Route] = {}
        # Of the named segments on the way here.
        self.names: dict[str, tuple[str, ...]] = {}


# Stands for every named segment; no segment of a path holds a slash.
NAMED = "/"


class Router:
    """Routes by path and method. Filled before it is used; then read from any thread."""

    def __init__(self, *, redirects: bool = False) -> None:
        """With `redirects`, a path with empty, `.` or `..` segments leads to the clean one."""
        self._root = _Step()
        self._redirects = redirects

    def add(
        self, method: str, pattern: str, handler: Handler, *, body_limit: int = MAX_BODY
    ) -> None:
        """Have `handler` answer `method` (or ANY) at `/a/{name}/b`. GET answers HEAD, too.

        Raises ValueError for a pattern that is none, or is taken.
        """
        if not pattern.startswith("/"):
            raise ValueError(f"{pattern!r} does not begin with a slash")
        step, names = self._root, []
        for segment in pattern[1:].split("/"):
            is_named = segment.startswith("{") and segment.endswith("}")
            if is_named:
                names.append(segment[1:-1])
            step = step.following.setdefault(NAMED if is_named else segment, _Step())
        if method in step.routes or len(set(names)) < len(names):
            raise ValueError(f"{method} {pattern} is there already, or names a segment twice")
        step.routes[method], step.names[method] = Route(handler, body_limit), tuple(names)

    def find(self, head: Head) -> Match | Answer:
        """Return who answers a request, or 404 or 405 (with Allow) where nobody does.

        Raises BadRequest (400) for a named segment that cannot be decoded.
        """
        if self._redirects and (clean := clean_path(head.path)) != head.path:
            query = f"?{head.query}" if head.query else ""
            return plain(307, "Temporary Redirect", (("Location", clean + query),))
        found = _walk(self._root, head.path[1:].split("/"), [])
        if found is None:
            return NOT_FOUND
        step, raw = found
        for method in (head.method, "GET" if head.method == "HEAD" else ANY, ANY):
            if method in step.routes:
                values = dict(zip(step.names[method], map(decode_segment, raw), strict=True))
                return Match(step.routes[method], values)
        return plain(405, "Method Not Allowed", (("Allow", _allowed(step)),))


def _walk(step: _Step, segments: list[str], raw: list[str]) -> tuple[_Step, list[str]] | None:
    """Return the last step of a path and its named segments; what is spelt out comes first."""
    if not segments:
        return (step, raw) if step.routes else None
    segment, rest = segments[0], segments[1:]
    following = step.following.get(segment)
    found = _walk(following, rest, raw) if following is not None else None
    if found is None and segment and NAMED in step.following:
        found = _walk(step.following[NAMED], rest, [*raw, segment])
    return found


def clean_path(path: str) -> str:
    """Return an absolute path without empty, `.` and `..` segments; a last slash stays.

    >>> clean_path("//evil/../a//./b/")
    '/a/b/'
    """
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    is_directory = segments[-1] in ("", ".", "..")
    return "/" + "/".join(kept) + ("/" if kept and is_directory else "")


def _allowed(step: _Step) -> str:
    methods = set(step.routes)
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def decode_segment(segment: str) -> str:
    """Return a path segment's text. Raises BadRequest unless it is percent-encoded UTF-8.

    >>> decode_segment("a%2Fb%252F")
    'a/b%2F'
    """
    for escape in segment.split("%")[1:]:
        if len(escape) < 2 or not HEX_DIGITS.issuperset(escape[:2].encode()):
            raise BadRequest(400, "malformed escape in the path")
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(400, "path is not UTF-8") from error
    if "\0" in text:
        raise BadRequest(400, "NUL in the path")
    return text
