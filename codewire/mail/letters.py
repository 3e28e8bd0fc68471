"""A session's messages.jsonl: the lines in it, written at the end, read from the end.

Each line is an event envelope (spec/wire.md 13); a reader gets it as a MessageResponse (6).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

from codewire.disk.journal import read_line
from codewire.errors import RequestError
from codewire.files import open_regular
from codewire.io.wait import give_way, run_blocking
from codewire.wire.codes import TOO_LARGE
from codewire.wire.events import MAIL

TEXTS = ("message_id", "from_name", "to_name", "request_id", "reply_token", "body")

MAX_BODY_BYTES = 65536
# A body of nothing but control characters takes six bytes for each in JSON. What is longer than
# this was written by somebody else, and is passed over.
MAX_LINE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 18
# What one answer carries; decoding and encoding it takes some 50 ms.
MAX_READ_BYTES = 4 << 20

Letter = dict[str, Any]
# The kind and the id of a message.
Mention = tuple[str, str]


def new_id(prefix: str, key: str = "") -> str:
    """Return a fresh `msg_…`, `req_…` or `rpl_…`; the same one again for the same key."""
    data = hashlib.sha256(f"{prefix}{key}".encode("utf-8", "replace")).digest() if key else b""
    return prefix + base64.urlsafe_b64encode((data or os.urandom(16))[:16]).decode().rstrip("=")


def check_body(body: str) -> str:
    """Return the body if it is small enough. Raises RequestError."""
    size = len(body.encode("utf-8", "replace"))
    if size > MAX_BODY_BYTES:
        raise RequestError(
            f"message body too large: {size} bytes (at most {MAX_BODY_BYTES}); "
            "put it into a file and send the path",
            TOO_LARGE,
        )
    return body


def read_inbox(path: str, count: int) -> tuple[list[Letter], bool]:
    """Return the last `count` messages (0: all), oldest first, and whether some did not fit.

    Blocks for the disk. Raises OSError.
    """
    letters: list[Letter] = []
    size = 0
    for line in lines_backward(path):
        letter = read_letter(line)
        if letter is None:
            continue
        size += len(line)
        if size > MAX_READ_BYTES:
            return letters[::-1], True
        letters.append(letter)
        if len(letters) == count:
            break
    return letters[::-1], False


def read_letter(line: bytes) -> Letter | None:
    """Return a line as MessageResponse, None when it is no message."""
    envelope = read_line(line)
    return None if envelope is None else letter_of(envelope)


def letter_of(envelope: dict[str, Any]) -> Letter | None:
    """Return an event envelope as MessageResponse, None when it is no message."""
    if envelope.get("type") not in MAIL:
        return None
    data = envelope.get("data")
    if not isinstance(data, dict):
        return None
    # Others write these files too: nothing but the right types goes on.
    numbers = {key: data[key] for key in ("from", "to") if type(data.get(key)) is int}
    texts = {key: data[key] for key in TEXTS if isinstance(data.get(key), str)}
    letter: Letter = {
        "message_id": texts.pop("message_id", "") or texts.get("request_id", ""),
        "timestamp": str(envelope.get("timestamp") or ""),
        "from": numbers.get("from", 0),
        "to": numbers.get("to", 0),
        "body": texts.pop("body", ""),
        "type": envelope["type"],
    }
    letter.update({key: text for key, text in texts.items() if text})
    return letter


def mentions(path: str, kind: str, message_id: str) -> bool:
    """Say whether a message of this kind and id is among the last. Blocks for the disk."""
    missing, _ = not_mentioned(path, {(kind, message_id)})
    return not missing


def not_mentioned(path: str, wanted: set[Mention]) -> tuple[set[Mention], bool]:
    """Return which of the messages are not among the last, and whether those are all there are.

    Blocks for the disk.
    """
    missing = {pair: tuple(json.dumps(text).encode() for text in pair) for pair in wanted}
    read = 0
    try:
        for line in lines_backward(path):
            for pair in [pair for pair, words in missing.items() if all(w in line for w in words)]:
                del missing[pair]
            read += len(line)
            if not missing or read > MAX_READ_BYTES:
                return set(missing), False
    except OSError:
        pass
    return set(missing), True


def lines_backward(path: str) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first, without empty and over-long ones.

    Those of its older half (Lines) come after them. Raises OSError.
    """
    missing: OSError | None = None
    try:
        yield from _file_backward(path)
    except FileNotFoundError as error:
        missing = error
    try:
        yield from _file_backward(f"{path}.1")
    except OSError:
        if missing is not None:
            raise missing from None


def _file_backward(path: str) -> Iterator[bytes]:
    # Each call from a thread, for the disk may hang; what is done with the bytes is not.
    fd, start = run_blocking(_open, path)
    try:
        rest = b""
        while start > 0:
            size = min(BLOCK_BYTES, start)
            start -= size
            first, *lines = (run_blocking(os.pread, fd, size, start) + rest).split(b"\n")
            yield from (line for line in reversed(lines) if line)
            # The end of what is cut off here is no JSON, so the whole line will be passed over.
            rest = first if len(first) <= MAX_LINE_BYTES else b""
            give_way()
        if rest:
            yield rest
    finally:
        run_blocking(os.close, fd)


def _open(path: str) -> tuple[int, int]:
    """Return a descriptor of a file and its size. Raises OSError."""
    fd = open_regular(path, os.O_RDONLY)
    return fd, os.fstat(fd).st_size
