"""From what a user typed to a session: an id, a name, or a tag (spec/cli.md 3).

Names may be shared by finished sessions: the living one is meant, else the newest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import NoSuchName

if TYPE_CHECKING:
    from typing import Literal

    from codewire.client.api import Client
    from codewire.wire.answers.sessions import SessionInfo

MAX_ID = 0xFFFFFFFF


def resolve_session(client: Client, ref: str) -> int:
    """Return the id of the session meant by `ref`: digits, or a name, with at most one leading @.

    An id is not checked: the request that uses it will be. Raises NoSuchName for unknown names.
    """
    session_id, name = _as_id(ref), _name(ref)
    if session_id is None and name:
        session_id = _named(client.find_sessions(name), name)
    if session_id is None:
        from codewire.wire.texts import go_quote

        raise NoSuchName(f"no session named {go_quote(_name(ref))}")
    return session_id


def resolve_session_or_tag(
    client: Client, ref: str
) -> tuple[Literal["id"], int] | tuple[Literal["tag"], str]:
    """Return ("id", session id) or, when no session has that name, ("tag", tag).

    Only tags that some session carries count; `@word` is never a tag. Raises NoSuchName.
    """
    session_id = _as_id(ref)
    if session_id is not None:
        return "id", session_id
    sessions = client.find_sessions(_name(ref), ref) if _name(ref) else []
    session_id = _named(sessions, _name(ref))
    if session_id is not None:
        return "id", session_id
    if any(ref in session.tags for session in sessions) and ref[:1] != "@":
        return "tag", ref
    from codewire.wire.texts import go_quote

    raise NoSuchName(f"no session or tag named {go_quote(ref)}")


NONE_FREE = "No unattached running sessions available"


def oldest_unattached(sessions: list[SessionInfo]) -> SessionInfo:
    """Return the running session nobody is attached to that was created first.

    Raises NoSuchName when there is none.
    """
    free = [session for session in sessions if session.is_running and not session.attached]
    if not free:
        raise NoSuchName(NONE_FREE)
    # Ids are handed out in the order of creation; timestamps are whole seconds only.
    return min(free, key=lambda session: session.id)


def _as_id(ref: str) -> int | None:
    digits = _name(ref)
    if not (digits.isascii() and digits.isdigit()):
        return None
    # int() refuses thousands of digits; an id has at most ten.
    number = int(digits) if len(digits) <= 20 else MAX_ID + 1
    return number if number <= MAX_ID else None


def _name(ref: str) -> str:
    return ref.removeprefix("@")


def _named(sessions: list[SessionInfo], name: str) -> int | None:
    """Return the id of the running, else the newest session of that name."""
    matches = [session for session in sessions if name and session.name == name]
    if not matches:
        return None
    return max(matches, key=lambda session: (session.is_running, session.id)).id
