"""Subjects and names on NATS (spec/fleet.md 2 and 6). Pure: a bad name never reaches a socket."""

from __future__ import annotations

from codewire.config import NAME_CHARACTERS
from codewire.errors import UsageError

DISCOVER = "cw.fleet.discover"
HEARTBEAT = "cw.fleet.heartbeat"
MAX_NAME = 64
MAX_ID = (1 << 32) - 1


def name_problem(name: str) -> str:
    """Return why a name cannot be a node's in a fleet, "" if it can."""
    if not name or not NAME_CHARACTERS.issuperset(name):
        return f"node name must be non-empty and alphanumeric (with - or _), got: {name!r}"
    if len(name) > MAX_NAME:
        return f"node name must be at most {MAX_NAME} characters long, got {len(name)}"
    if name == "fleet":
        return 'node name "fleet" is taken: it is the fleet\'s own subject'
    return ""


def checked_name(name: str) -> str:
    """Return a node's name. Raises UsageError for one that cannot be in a fleet."""
    if problem := name_problem(name):
        raise UsageError(problem)
    return name


def subject(name: str, verb: str) -> str:
    """Return the subject of a node's verb: list, launch, kill, status, send."""
    return f"cw.{name}.{verb}"


def everything_for(name: str) -> str:
    """Return what a node subscribes to besides DISCOVER."""
    return f"cw.{name}.>"


def parse_target(text: str) -> tuple[str, int]:
    """Return node and session of `NODE:ID`. Raises UsageError."""
    node, colon, session = text.partition(":")
    if not colon:
        raise UsageError("fleet target must be <node>:<session_id>")
    digits = session.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) <= MAX_ID):
        raise UsageError(f"session ID must be a number, got {session!r}")
    return checked_name(node), int(digits)
