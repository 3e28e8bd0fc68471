"""The bridge: one node's presence in the fleet, a process of its own (spec/fleet.md 2, 3.5, 6.1).

An ordinary client of the node's socket. It joins whenever NATS lets it, says on stdout how things
are (one JSON object a line, for the worker that started it), and ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.fleet import subjects
from codewire.fleet.answering import Answerer
from codewire.fleet.asking import scatter
from codewire.fleet.link import Link, NatsError, connect, is_exposed
from codewire.fleet.messages import (
    INFO_TYPES,
    VERBS,
    BadMessage,
    Request,
    encode,
    fit,
    read_info,
    read_request,
    reply,
)
from codewire.fleet.settings import load_allow, load_nats
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.fleet.settings import Nats

HEARTBEAT_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
# While NATS has not been away for long it is tried often: it is being restarted.
SHORT_PAUSE, SHORT_SECONDS = 5.0, 300.0
# How long a node that joins looks for another one of its name.
LOOK_SECONDS = 1.0
WORKERS = 8
# Requests of all clients that wait for the node; more are refused.
MAX_WAITING = 256
# A list is asked for once for all who ask within this time.
LIST_SECONDS = 0.1
GOODBYE_SECONDS = 2.0


class Bridge:
    """One node in the fleet. `report` is told its state whenever that changes."""

    def __init__(
        self, nats: Nats, answerer: Answerer, about: dict[str, Any], allow: frozenset[str]
    ) -> None:
        self._nats = nats
        self._answerer = answerer
        self._name = str(about["name"])
        self._url = str(about.get("external_url") or "")
        self._instance = str(about["instance"])
        self._allow = allow
        self._pool = ThreadPoolExecutor(WORKERS, "fleet")
        self._link: Link | None = None
        self._joined_at: float | None = None
        self._next_beat = 0.0
        self._is_duplicate = self._is_joining = False
        self._waiting = 0
        self._queues: dict[str, asyncio.Lock] = {}
        self._listing: asyncio.Task[list[dict[str, Any]]] | None = None
        self._listed_at = 0.0
        self._warned: set[str] = set()
        self._state: dict[str, Any] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Be in the fleet until told to stop; then say goodbye."""
        pause, lost_at = FIRST_PAUSE, time.monotonic()
        while not stopping.is_set():
            try:
                self._link = await connect(self._nats, self._refused, f"cw node {self._name}")
                pause, lost_at = FIRST_PAUSE, 0.0
                await self._stay(self._link, stopping)
                lost_at = time.monotonic()
                self.report("disconnected", "the connection to NATS was lost")
            except NatsError as error:
                lost_at = lost_at or time.monotonic()
                self.report("disconnected", str(error))
            finally:
                if self._link is not None:
                    await self._link.close()
                self._link = None
            await _until(stopping, pause)
            recent = time.monotonic() - lost_at < SHORT_SECONDS
            pause = min(pause * 2, SHORT_PAUSE if recent else LONGEST_PAUSE)

    def report(self, state: str, error: str = "") -> None:
        """Say on stdout how things are, if that is new."""
        link = self._link
        shown: dict[str, Any] = {"state": state, "error": error, "name": self._name}
        if link is not None:
            shown.update(server=link.url, tls=link.has_tls)
        shown["user"] = self._nats.user or ("credentials" if self._nats.creds_file else "")
        if shown != self._state:
            self._state = shown
            say(shown)

    # Being there

    async def _stay(self, link: Link, stopping: asyncio.Event) -> None:
        """Join, answer and beat until the connection is lost or we are to stop."""
        if self._nats.creds_file and is_exposed(self._nats.creds_file):
            self._warn(f"{self._nats.creds_file} can be read by others: chmod 600")
        self._is_joining, self._is_duplicate = True, False
        await link.subscribe(subjects.DISCOVER, self._on_discover)
        await link.subscribe(subjects.HEARTBEAT, self._on_heartbeat)
        await self._settle_name(link)
        now = time.monotonic()
        self._joined_at = self._joined_at or now
        self._next_beat = self._next_beat or now
        while not stopping.is_set() and not link.closed.is_set():
            if time.monotonic() >= self._next_beat:
                missed = (time.monotonic() - self._next_beat) // HEARTBEAT_SECONDS
                self._next_beat += (missed + 1) * HEARTBEAT_SECONDS
                if self._is_duplicate:
                    await self._settle_name(link)
                await self._beat(link)
            lost = asyncio.ensure_future(link.closed.wait())
            await _until(stopping, max(0.0, self._next_beat - time.monotonic()), lost)
            lost.cancel()
        if stopping.is_set() and not link.closed.is_set():
            try:
                await asyncio.wait_for(self._beat(link, stopping=True), GOODBYE_SECONDS)
            except (NatsError, asyncio.TimeoutError):
                # Gone without a word is what upstream's nodes always do.
                pass

    async def _settle_name(self, link: Link) -> None:
        """Take requests under our name, unless another node has it (or comes first by instance)."""
        self._is_joining = True
        others = [
            info
            for info in await scatter(link, LOOK_SECONDS)
            if info.name == self._name
            and info.instance != self._instance
            and not info.is_duplicate
            and not (info.is_joining and info.instance > self._instance)
        ]
        self._is_joining = False
        was_duplicate, self._is_duplicate = self._is_duplicate, bool(others)
        if others:
            words = f"another node of the fleet is called {self._name!r}; it keeps the name"
            self.report("duplicate", words)
            if not was_duplicate:
                self._warn(f"{words}: rename one of them ([node] name) and restart it")
            return
        await link.subscribe(subjects.everything_for(self._name), self._on_request)
        await link.flush()
        self.report("connected")

    async def _beat(self, link: Link, stopping: bool = False) -> None:
        info = await self._info()
        if stopping:
            info["stopping"] = True
        await link.publish(subjects.HEARTBEAT, fit(info, link.max_payload))
        await link.flush()

    async def _info(self) -> dict[str, Any]:
        joined_at = self._joined_at or time.monotonic()
        info: dict[str, Any] = {
            "name": self._name,
            "external_url": self._url or None,
            "sessions": await self._sessions(),
            "uptime_secs": int(time.monotonic() - joined_at),
            "instance": self._instance,
        }
        if self._is_joining:
            info["joining"] = True
        if self._is_duplicate:
            info["duplicate"] = True
        return info

    async def _sessions(self) -> list[dict[str, Any]]:
        """Return the node's sessions, asked for once for all who want them at this moment."""
        is_old = time.monotonic() - self._listed_at > LIST_SECONDS
        if self._listing is None or (self._listing.done() and is_old):
            self._listed_at = time.monotonic()
            self._listing = asyncio.ensure_future(self._in_thread(self._list))
        return await asyncio.shield(self._listing)

    def _list(self) -> list[dict[str, Any]]:
        try:
            return self._answerer.sessions()
        except CodewireError:
            # The worker is being replaced: the node is there, what it has is not known.
            return []

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    # What comes in

    async def _on_discover(self, message: Any) -> None:
        """Answer in both dialects: each reader takes the one it knows."""
        link = self._link
        if link is None or not message.reply or "list" not in self._allow:
            return
        try:
            if read_request(message.data).type != "Discover":
                raise BadMessage(f"only Discover is answered on {subjects.DISCOVER}")
        except BadMessage as error:
            self._warn(f"{subjects.DISCOVER}: {error}")
            return
        info = await self._info()
        for kind in INFO_TYPES:
            data = fit({"type": kind, **info}, link.max_payload)
            await self._publish(link, message.reply, data)

    async def _on_heartbeat(self, message: Any) -> None:
        info = read_info_of_heartbeat(message.data)
        if info is None or info.name != self._name or info.instance == self._instance:
            return
        if not self._is_duplicate:
            self._warn(f"another node of the fleet is called {self._name!r}: rename one of them")

    async def _on_request(self, message: Any) -> None:
        """Take a request; those of one client are answered in their order, others meanwhile."""
        if self._waiting >= MAX_WAITING:
            await self._reply(message, self._answerer.error("too many requests wait: try again"))
            return
        self._waiting += 1
        asyncio.ensure_future(self._serve(message))

    async def _serve(self, message: Any) -> None:
        client = message.reply.rpartition(".")[0] if message.reply.count(".") > 1 else message.reply
        lock = self._queues.setdefault(client, asyncio.Lock())
        try:
            async with lock:
                await self._reply(message, await self._answer(message.data))
        finally:
            self._waiting -= 1
            if not lock.locked():
                self._queues.pop(client, None)

    async def _answer(self, data: bytes) -> dict[str, Any]:
        try:
            request = read_request(data)
        except BadMessage as error:
            self._warn(f"refused: {error}")
            return self._answerer.error(str(error))
        verb = VERBS[request.type]
        if verb not in self._allow:
            return self._answerer.error(f"{verb} is not allowed on this node ([fleet] allow)")
        if request.type == "Discover":
            return {"type": INFO_TYPES[1], **await self._info()}
        return await self._ask(request)

    async def _ask(self, request: Request) -> dict[str, Any]:
        answer: dict[str, Any] = await self._in_thread(self._answerer.answer, request)
        return answer

    async def _reply(self, message: Any, answer: dict[str, Any]) -> None:
        link = self._link
        if link is None or not message.reply:
            return
        data = fit(answer, link.max_payload)
        if len(data) > link.max_payload:
            words = f"the answer is larger than this NATS server takes ({link.max_payload} bytes)"
            data = encode(reply("Error", self._name, message=words))
        await self._publish(link, message.reply, data)

    async def _publish(self, link: Link, subject: str, data: bytes) -> None:
        try:
            await link.publish(subject, data)
        except NatsError as error:
            self._warn(f"answering failed: {error}")

    def _refused(self, words: str) -> None:
        """A permission that the server does not give: said, and shown as the node's state."""
        if "permissions violation" not in words.lower():
            return
        self.report("refused", f"not permitted by the NATS server: {words}")
        self._warn(f"the NATS server refuses: {words}")

    def _warn(self, words: str) -> None:
        """Log something once; what comes from others is bounded."""
        if words not in self._warned and len(self._warned) < MAX_WAITING:
            self._warned.add(words)
            say({"log": words[:300]})


def read_info_of_heartbeat(data: bytes) -> Any:
    """Return what a heartbeat says, None for what is none: it has no type."""
    if not data.startswith(b"{") or len(data) < 3:
        return None
    return read_info(b'{"type":"NodeInfo",' + data[1:])


def say(value: dict[str, Any]) -> None:
    """Tell the worker one thing. A worker that has gone ends us by our stdin."""
    try:
        os.write(1, json.dumps(value).encode() + b"\n")
    except OSError:
        pass


async def _until(event: asyncio.Event, seconds: float, *others: Any) -> None:
    """Wait for an event or another future, at most so long."""
    wait = asyncio.ensure_future(event.wait())
    await asyncio.wait({wait, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    wait.cancel()


async def serve(bridge: Bridge) -> None:
    """Run a bridge until stdin says `stop` or ends."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = asyncio.ensure_future(bridge.run(stopping))
    word = asyncio.ensure_future(reader.readline())
    await asyncio.wait({running, word}, return_when=asyncio.FIRST_COMPLETED)
    if word.done() and word.result():
        stopping.set()
        await asyncio.wait({running}, timeout=GOODBYE_SECONDS + 1)


def main(argv: list[str]) -> int:
    """Be the bridge of this user's node; `argv` is its name, instance and external URL."""
    if len(argv) != 3:
        sys.stderr.write("Error: 'cw fleet-bridge' is started by the node; run 'cw node' instead\n")
        return 1
    paths = data_dir()
    about = dict(zip(("name", "instance", "external_url"), argv, strict=True))
    try:
        nats = load_nats(paths.config, paths.root)
        allow = load_allow(paths.config)
        problem = subjects.name_problem(str(about["name"]))
    except CodewireError as error:
        say({"state": "refused", "error": str(error)})
        return 1
    if nats is None or problem:
        say({"state": "refused", "error": problem or "NATS is not configured any more"})
        return 1
    asyncio.run(serve(Bridge(nats, Answerer(paths, str(about["name"])), about, allow)))
    # Threads that wait for a node which hangs must not keep us.
    os._exit(0)
