"""The client's side: find nodes and ask one of them (spec/fleet.md 4).

A question is published once and never again: a node that answers late may have done it.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, RequestError
from codewire.fleet import subjects
from codewire.fleet.link import Denied, Link, NatsError, connect
from codewire.fleet.messages import Info, decode, encode, one_each, read_info
from codewire.term.width import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.fleet.settings import Nats

# A node's answer to anything but Discover.
ANSWER_SECONDS = 10.0
DISCOVERY_SECONDS = 2.0
# The request key travels as a header: old nodes do not look at it.
KEY_HEADER = "Cw-Request-Key"
NO_RESPONDERS = "503"
# An integer and its comma take four bytes of JSON at most.
BYTES_A_BYTE = 4
OVERHEAD = 200
MAX_INFOS = 10_000


def discover(nats: Nats, seconds: float = DISCOVERY_SECONDS, wanted: str = "") -> list[Info]:
    """Return the nodes that answer within so many seconds, by name. Blocks. Raises NatsError.

    Ends at once when nobody is there, and with `wanted` at that node's first answer.
    """
    return asyncio.run(_discover(nats, seconds, wanted))


async def _discover(nats: Nats, seconds: float, wanted: str) -> list[Info]:
    link = await connect(nats, lambda words: None)
    try:
        return await scatter(link, seconds, wanted)
    finally:
        await link.close()


async def scatter(link: Link, seconds: float, wanted: str = "") -> list[Info]:
    """Ask every node on a connection. Raises NatsError."""
    infos: list[Info] = []
    is_over = asyncio.Event()

    async def take(message: Any) -> None:
        if _status(message) == NO_RESPONDERS:
            is_over.set()
            return
        info = read_info(message.data)
        if info is not None and len(infos) < MAX_INFOS:
            infos.append(info)
            if wanted and info.name == wanted and not (info.is_duplicate or info.is_joining):
                is_over.set()

    async def nobody(message: Any) -> None:
        if _status(message) == NO_RESPONDERS:
            is_over.set()

    inbox = link.new_inbox()
    await link.subscribe(inbox, take)
    await link.publish(subjects.DISCOVER, encode({"type": "Discover"}), inbox)
    if wanted:
        # Of a node that is not there the server knows at once; others would be waited for.
        probe = link.new_inbox()
        await link.subscribe(probe, nobody)
        question = encode({"type": "ListSessions"})
        await link.publish(subjects.subject(wanted, "list"), question, probe)
    lost = asyncio.ensure_future(link.closed.wait())
    over = asyncio.ensure_future(is_over.wait())
    await asyncio.wait({lost, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    lost.cancel()
    over.cancel()
    return one_each(infos)


def ask(nats: Nats, node: str, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return a node's answer. Blocks for ANSWER_SECONDS at most after the connection is made.

    Raises NatsError, also for an answer to another question; RequestError with the node's own
    words if it answers with an Error.
    """
    return asyncio.run(_ask_all(nats, node, verb, lambda most: [request]))[-1]


# verb -> the type of its answer.
ANSWERS = {
    "launch": "Launched",
    "kill": "Killed",
    "send": "InputSent",
    "list": "SessionList",
    "status": "SessionStatus",
}


def send_input(nats: Nats, node: str, session_id: int, data: bytes) -> int:
    """Type bytes into a session and return how many its node took. Errors as of `ask`.

    In one message if this server takes it; else in several, each sent once the one before is
    answered.
    """

    def pieces(most: int) -> list[dict[str, Any]]:
        return [
            {"type": "SendInput", "id": session_id, "data": list(piece)}
            for piece in split_input(data, most)
        ]

    answers = asyncio.run(_ask_all(nats, node, "send", pieces))
    return sum(number(answer, "bytes") for answer in answers)


async def _ask_all(
    nats: Nats, node: str, verb: str, make: Callable[[int], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return a node's answers; `make` is told how large a message may be."""
    denied: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def refuse(words: str) -> None:
        if "permissions violation" in words.lower() and not denied.done():
            denied.set_result(words)

    subject = subjects.subject(subjects.checked_name(node), verb)
    link = await connect(nats, refuse)
    try:
        answers = []
        for request in make(link.max_payload):
            data = encode(request)
            if len(data) > link.max_payload:
                raise NatsError(
                    f"input of {len(data)} bytes is too large for this NATS server "
                    f"(limit {link.max_payload})"
                )
            answers.append(await _ask(link, node, subject, data, denied))
        return answers
    finally:
        await link.close()


async def _ask(
    link: Link, node: str, subject: str, data: bytes, denied: asyncio.Future[str]
) -> dict[str, Any]:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def take(message: Any) -> None:
        if not answer.done():
            answer.set_result(message)

    inbox = link.new_inbox()
    await link.subscribe(inbox, take)
    await link.publish(subject, data, inbox, headers={KEY_HEADER: os.urandom(12).hex()})
    lost = asyncio.ensure_future(link.closed.wait())
    waiting: set[Any] = {answer, denied, lost}
    await asyncio.wait(waiting, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    lost.cancel()
    verb = subject.rpartition(".")[2]
    if answer.done():
        return _read(answer.result(), node, ANSWERS[verb])
    if denied.done():
        raise Denied(f"not permitted by the NATS server: {subject}")
    late = "; it may still happen" if verb in ("launch", "send", "kill") else ""
    if link.closed.is_set():
        raise NatsError(f"the connection to NATS was lost before node '{node}' answered{late}")
    raise NatsError(f"node '{node}' did not answer within {ANSWER_SECONDS:g} s (timed out){late}")


def _status(message: Any) -> str:
    headers = message.headers or {}
    return str(headers.get("Status", ""))


def _read(message: Any, node: str, wanted: str) -> dict[str, Any]:
    if _status(message) == NO_RESPONDERS:
        raise NatsError(f"node '{node}' is not in the fleet")
    try:
        answer = decode(message.data)
    except CodewireError as error:
        # Of a question it says "invalid request: …".
        words = str(error).partition(": ")[2]
        raise NatsError(f"parsing fleet response: {words or error}") from error
    if answer.get("type") == "Error":
        raise RequestError(str(answer.get("message") or "the node gave no reason"))
    if answer.get("type") != wanted:
        raise _unexpected(answer)
    return answer


def _unexpected(answer: dict[str, Any]) -> NatsError:
    return NatsError(f"Unexpected response: {printable(json.dumps(answer)[:200])}")


def sender(answer: dict[str, Any], node: str) -> str:
    """Return who an answer says it is from."""
    named = answer.get("node") or answer.get("daemon")
    return named if isinstance(named, str) else node


def number(answer: dict[str, Any], key: str) -> int:
    """Return a whole number of an answer. Raises NatsError."""
    value = answer.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unexpected(answer)
    return value


def split_input(data: bytes, max_payload: int) -> list[bytes]:
    """Return input in pieces that fit a message, whatever its bytes are."""
    size = max(1, (max_payload - OVERHEAD) // BYTES_A_BYTE)
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]
