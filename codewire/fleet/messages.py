"""The JSON of the fleet, in three dialects at once (spec/fleet.md 1 and 3). Pure.

Requests are read strictly and answered whatever they are; replies carry both names of the sender.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from codewire.errors import CodewireError

MAX_ID = (1 << 32) - 1
# Words of a prompt that are kept when a reply has to become shorter.
SHORT_PROMPT = 200
INFO_TYPES = ("DaemonInfo", "NodeInfo")
# What an old reader knows of a session; further keys are no harm and only size.
LISTED = ("id", "prompt", "working_dir", "created_at", "status", "attached", "pid")
DETAILED = (*LISTED, "output_size_bytes", "last_output_snippet")
# More than a node takes in one message, whatever its server does.
MAX_REQUEST = 4 << 20
# Deeper than any message of ours; Python's reader recurses.
MAX_DEPTH = 64
TEXTS, BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), re.compile(rb"[\[\]{}]")
WHOLE_SECONDS = re.compile(r"^(\d+-\d+-\d+T\d+:\d+:\d+)Z$")
# type of a request -> the word that `[fleet] allow` has for it.
VERBS = {
    "Discover": "list",
    "ListSessions": "list",
    "GetStatus": "status",
    "Launch": "launch",
    "SendInput": "send",
    "Kill": "kill",
}


class BadMessage(CodewireError):
    """A message that cannot be read; the text goes back to its sender."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what is not of its type is empty. `type` is a key of VERBS."""

    type: str
    id: int = 0
    command: tuple[str, ...] = ()
    working_dir: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Info:
    """What a node says of itself. `instance` is "" for old ones; uptime in seconds."""

    name: str
    external_url: str
    sessions: tuple[dict[str, Any], ...]
    uptime_secs: int
    instance: str = ""
    type: str = "NodeInfo"
    is_duplicate: bool = False
    is_joining: bool = False
    has_held: bool = False
    is_stopping: bool = False
    is_truncated: bool = False


def encode(message: dict[str, Any]) -> bytes:
    """Return compact JSON."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def decode(data: bytes) -> dict[str, Any]:
    """Return the object a message holds. Raises BadMessage."""
    if _depth(data) > MAX_DEPTH:
        raise BadMessage("invalid request: nested too deeply")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except BadMessage:
        raise
    except (ValueError, RecursionError):
        raise BadMessage("invalid request: not a JSON object") from None
    if not isinstance(value, dict):
        raise BadMessage("invalid request: not a JSON object")
    return value


def _depth(data: bytes) -> int:
    """Return how deep brackets go; what stands in texts does not count."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in BRACKETS.findall(TEXTS.sub(b"", data)):
        depth += 1 if bracket in (b"[", b"{") else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadMessage("invalid request: a field is given twice")
    return found


def read_request(data: bytes) -> Request:
    """Return a request as any dialect sends it. Raises BadMessage with what to answer."""
    if len(data) > MAX_REQUEST:
        raise BadMessage(f"invalid request: more than {MAX_REQUEST} bytes")
    value = decode(data)
    kind = value.get("type")
    if not isinstance(kind, str):
        raise BadMessage("invalid request: type must be a text")
    if kind not in VERBS:
        raise BadMessage(f"unknown request type: {kind[:64]}")
    if kind == "Launch":
        return Request(kind, command=_command(value), working_dir=_directory(value))
    if kind in ("Kill", "GetStatus"):
        return Request(kind, _id(value))
    if kind == "SendInput":
        return Request(kind, _id(value), data=_data(value))
    return Request(kind)


def _id(value: dict[str, Any]) -> int:
    number = value.get("id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_ID:
        raise BadMessage("invalid request: id must be a whole number from 0 to 4294967295")
    return number


def _command(value: dict[str, Any]) -> tuple[str, ...]:
    words = value.get("command")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadMessage("invalid request: command must be a list of texts")
    if not words or not words[0]:
        raise BadMessage("command must not be empty")
    if any("\0" in word for word in words):
        raise BadMessage("spawning process: a word of the command holds a NUL character")
    return tuple(words)


def _directory(value: dict[str, Any]) -> str:
    directory = value.get("working_dir")
    if directory is None:
        return ""
    if not isinstance(directory, str) or "\0" in directory:
        raise BadMessage("invalid request: working_dir must be a text")
    return directory


def _data(value: dict[str, Any]) -> bytes:
    """Return the bytes: a list of integers (Rust), base64 (Go), or nothing."""
    data = value.get("data")
    if data is None:
        return b""
    if isinstance(data, str):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise BadMessage("invalid request: data is no base64") from None
    if not isinstance(data, list) or not all(
        isinstance(byte, int) and not isinstance(byte, bool) and 0 <= byte <= 255 for byte in data
    ):
        raise BadMessage("invalid request: data must be a list of bytes or base64")
    return bytes(data)


def reply(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return a reply with the sender as every dialect calls it."""
    return {"type": kind, "node": name, "daemon": name, **fields}


def session_entry(session: dict[str, Any], keys: tuple[str, ...] = LISTED) -> dict[str, Any]:
    """Return a session as that era showed it; what an old reader must have is always there."""
    kinds = {"id": int, "pid": int, "attached": bool, "output_size_bytes": int}
    shown = {key: session[key] for key in keys if isinstance(session.get(key), kinds.get(key, str))}
    return {
        "id": 0,
        "prompt": "",
        "working_dir": "",
        "created_at": "",
        "status": "",
        **shown,
        "attached": session.get("attached") is True,
    }


def old_session_entry(session: dict[str, Any], keys: tuple[str, ...] = LISTED) -> dict[str, Any]:
    """Return a session of ours as that era showed it, its time with nine digits, too."""
    entry = session_entry(session, keys)
    return {**entry, "created_at": WHOLE_SECONDS.sub(r"\1.000000000+00:00", entry["created_at"])}


def fit(message: dict[str, Any], limit: int, sessions: str = "sessions") -> bytes:
    """Return a reply of at most `limit` bytes: prompts cut, then finished sessions left out.

    The oldest go first; those that run go last. A node that is too busy never vanishes.
    """
    data = encode(message)
    if len(data) <= limit or sessions not in message:
        return data
    entries = [
        {**entry, "prompt": str(entry["prompt"])[:SHORT_PROMPT]} for entry in message[sessions]
    ]
    order = sorted(entries, key=lambda entry: (entry["status"] != "running", -entry["id"]))
    sizes = [len(encode(entry)) + 1 for entry in order]
    room = limit - len(encode({**message, sessions: [], "truncated": True}))
    kept: list[dict[str, Any]] = []
    for entry, size in zip(order, sizes, strict=True):
        if size > room:
            break
        room -= size
        kept.append(entry)
    kept.sort(key=lambda entry: int(entry["id"]))
    return encode({**message, sessions: kept, "truncated": True})


def read_info(data: bytes) -> Info | None:
    """Return what a node says of itself in either dialect, None for anything else."""
    try:
        value = decode(data)
    except BadMessage:
        return None
    name, url, sessions = value.get("name"), value.get("external_url"), value.get("sessions")
    uptime, instance = value.get("uptime_secs"), value.get("instance")
    if value.get("type") not in INFO_TYPES or not isinstance(name, str):
        return None
    if not isinstance(sessions, list) or not isinstance(uptime, (int, float)):
        return None
    if isinstance(uptime, bool) or not 0 <= uptime < 1 << 62:
        return None
    return Info(
        name=name,
        external_url=url if isinstance(url, str) else "",
        sessions=tuple(session_entry(each) for each in sessions if _is_session(each)),
        uptime_secs=int(uptime),
        instance=instance if isinstance(instance, str) else "",
        type=str(value["type"]),
        is_duplicate=value.get("duplicate") is True,
        is_joining=value.get("joining") is True,
        has_held=value.get("held") is True,
        is_stopping=value.get("stopping") is True,
        is_truncated=value.get("truncated") is True,
    )


def read_heartbeat(data: bytes) -> Info | None:
    """Return what a heartbeat says, None for what is none: it has no type."""
    if not data.startswith(b"{") or len(data) < 3:
        return None
    return read_info(b'{"type":"NodeInfo",' + data[1:])


def _is_session(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), int)


def info_json(info: Info) -> dict[str, Any]:
    """Return a node for programs: what it said, without `type`."""
    shown: dict[str, Any] = {
        "name": info.name,
        "external_url": info.external_url or None,
        "sessions": list(info.sessions),
        "uptime_secs": info.uptime_secs,
    }
    if info.instance:
        shown["instance"] = info.instance
    if info.is_duplicate:
        shown["duplicate"] = True
    if info.is_truncated:
        shown["truncated"] = True
    return shown


def one_each(infos: list[Info]) -> list[Info]:
    """Return each node once, by name: one that answers in both dialects counts once.

    The same name with another instance, or the same type twice, is another node.
    """
    found: dict[tuple[str, str, int], Info] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for info in infos:
        key = (info.name, info.instance, info.type)
        number = 0 if info.instance else seen.get(key, 0)
        seen[key] = seen.get(key, 0) + 1
        found.setdefault((info.name, info.instance, number), info)
    return sorted(found.values(), key=lambda info: (info.name, info.instance))
