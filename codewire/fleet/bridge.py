"""The bridge: one node's presence in the fleet (spec/fleet.md 2, 3.5, 6.1).

An ordinary client of the node's socket. It joins whenever NATS lets it and tells how things are to
whoever runs it (process.py).
"""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.fleet import subjects
from codewire.fleet.answering import NODE_SECONDS
from codewire.fleet.asking import scatter
from codewire.fleet.link import Link, NatsError, Refused, connect, is_exposed
from codewire.fleet.messages import (
    INFO_TYPES,
    VERBS,
    BadMessage,
    Info,
    encode,
    fit,
    read_heartbeat,
    read_request,
    reply,
)
from codewire.io.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.fleet.answering import Answerer
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
# A node that does not answer is shown with the sessions it had: it must not miss the window.
PATIENCE_SECONDS = 0.7
GOODBYE_SECONDS = 2.0
# Others of our name that are remembered while we join.
MAX_RIVALS = 64
DENIED = re.compile(r'permissions violation for (\w+) (?:to )?"([^"]*)', re.IGNORECASE)


class Bridge:
    """One node in the fleet. `tell` is told its state whenever that changes, and log lines."""

    def __init__(
        self,
        nats: Nats,
        answerer: Answerer,
        about: dict[str, Any],
        allow: frozenset[str],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._tell = tell
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
        # Who had the name before goes first when several join at one moment.
        self._is_duplicate = self._is_joining = self._has_held = self._is_leaving = False
        self._rivals: list[Info] = []
        self._wake = asyncio.Event()
        # What the server does not permit: so that we hear nothing, or something else.
        self._deaf = self._limited = self._last_error = ""
        self._known: list[dict[str, Any]] = []
        self._own: Any = None
        self._waiting = 0
        self._queues: dict[str, asyncio.Lock] = {}
        self._listing: asyncio.Future[Any] | None = None
        self._listed_at = 0.0
        self._warned: set[str] = set()
        self._state: dict[str, Any] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Be in the fleet until told to stop; then say goodbye."""
        pause, lost_at = FIRST_PAUSE, time.monotonic()
        while not stopping.is_set():
            is_refused = False
            try:
                self._link = await connect(self._nats, self._refused, f"cw node {self._name}")
                pause, lost_at = FIRST_PAUSE, 0.0
                await self._stay(self._link, stopping)
                lost_at = time.monotonic()
                self.report("disconnected", "the connection to NATS was lost")
            except NatsError as error:
                lost_at = lost_at or time.monotonic()
                is_refused = isinstance(error, Refused)
                self.report("refused" if is_refused else "disconnected", str(error))
            finally:
                if self._link is not None:
                    await self._link.close()
                self._link = None
            await _until(stopping, LONGEST_PAUSE if is_refused else pause)
            recent = time.monotonic() - lost_at < SHORT_SECONDS
            pause = min(pause * 2, SHORT_PAUSE if recent else LONGEST_PAUSE)

    def report(self, state: str, error: str = "") -> None:
        """Say on stdout how things are, if that is new."""
        link = self._link
        shown: dict[str, Any] = {"state": state, "error": error, "name": self._name}
        if error:
            self._last_error = error
        elif self._last_error:
            shown["last_error"] = self._last_error
        if link is not None:
            shown.update(server=link.url, tls=link.has_tls)
        shown["user"] = self._nats.user or ("credentials" if self._nats.creds_file else "")
        if shown != self._state:
            self._state = shown
            self._tell(shown)

    # Being there

    async def _stay(self, link: Link, stopping: asyncio.Event) -> None:
        """Join, answer and beat until the connection is lost or we are to stop."""
        if self._nats.creds_file and is_exposed(self._nats.creds_file):
            self._warn(f"{self._nats.creds_file} can be read by others: chmod 600")
        self._is_joining, self._is_duplicate = True, False
        self._deaf = self._limited = ""
        self._wake.clear()
        await link.subscribe(subjects.DISCOVER, self._on_discover)
        await link.subscribe(subjects.HEARTBEAT, self._on_heartbeat)
        now = time.monotonic()
        self._joined_at = self._joined_at or now
        self._next_beat = self._next_beat or now + HEARTBEAT_SECONDS
        await self._settle_name(link)
        while not stopping.is_set() and not link.closed.is_set():
            is_due = time.monotonic() >= self._next_beat
            if is_due:
                missed = (time.monotonic() - self._next_beat) // HEARTBEAT_SECONDS
                self._next_beat += (missed + 1) * HEARTBEAT_SECONDS
            if self._is_duplicate and (is_due or self._wake.is_set()):
                await self._settle_name(link)
            elif is_due:
                await self._beat(link)
            self._wake.clear()
            others = [asyncio.ensure_future(each.wait()) for each in (link.closed, self._wake)]
            await _until(stopping, max(0.0, self._next_beat - time.monotonic()), *others)
            for each in others:
                each.cancel()
        if stopping.is_set() and not link.closed.is_set():
            try:
                await asyncio.wait_for(self._leave(link), GOODBYE_SECONDS)
            except (NatsError, asyncio.TimeoutError):
                # Gone without a word is what upstream's nodes always do.
                pass

    async def _leave(self, link: Link) -> None:
        """Hear nothing more, then say goodbye: who waits for the name may have it at once."""
        self._is_leaving = True
        await link.unsubscribe(self._own)
        await link.flush()
        goodbye = {**self._about(self._shown()), "stopping": True}
        await link.publish(subjects.HEARTBEAT, fit(goodbye, link.max_payload))
        await link.flush()

    async def _settle_name(self, link: Link) -> None:
        """Take requests under our name, unless another node has it or goes before us."""
        was_duplicate = self._is_duplicate
        self._is_joining, self._is_duplicate, self._rivals = True, False, []
        if not self._has_held:
            # Heard by one that asked before we were there to answer.
            await self._beat(link)
        found = [*await scatter(link, LOOK_SECONDS), *self._rivals]
        self._is_joining = False
        self._is_duplicate = any(self._goes_before(info) for info in found)
        if self._is_duplicate:
            self._has_held = False
            words = f"another node of the fleet is called {self._name!r}; it keeps the name"
            if not was_duplicate:
                self._warn(f"{words}: rename one of them ([node] name) and restart it")
            self.report("duplicate", words)
            return
        self._has_held = True
        self._own = await link.subscribe(subjects.everything_for(self._name), self._on_request)
        await link.flush()
        self._report_joined()

    def _goes_before(self, info: Info) -> bool:
        """Say whether a node is another one that has our name, or gets it of several that join."""
        if info.name != self._name or info.instance == self._instance or info.is_duplicate:
            return False
        ours = (not self._has_held, self._instance)
        return not info.is_joining or (not info.has_held, info.instance) < ours

    def _report_joined(self) -> None:
        if self._deaf:
            self.report("refused", f"not permitted by the NATS server: {self._deaf}")
        elif not self._is_duplicate and not self._is_joining:
            limited = self._limited and f"not permitted by the NATS server: {self._limited}"
            self.report("connected", limited)

    async def _beat(self, link: Link) -> None:
        data = fit(await self._info(), link.max_payload)
        await link.publish(subjects.HEARTBEAT, data)
        await link.flush()

    async def _info(self) -> dict[str, Any]:
        await self._refresh()
        return self._about(self._shown())

    def _shown(self) -> list[dict[str, Any]]:
        return self._known if "list" in self._allow else []

    def _about(self, sessions: list[dict[str, Any]]) -> dict[str, Any]:
        joined_at = self._joined_at or time.monotonic()
        info: dict[str, Any] = {
            "name": self._name,
            "external_url": self._url or None,
            "sessions": sessions,
            "uptime_secs": int(time.monotonic() - joined_at),
            "instance": self._instance,
        }
        if self._is_joining:
            info["joining"] = True
            if self._has_held:
                info["held"] = True
        if self._is_duplicate:
            info["duplicate"] = True
        return info

    async def _refresh(self) -> None:
        """Ask for the node's sessions, once for all who want them now; a node that hangs keeps
        what it had."""
        is_old = time.monotonic() - self._listed_at > LIST_SECONDS
        if self._listing is None or (self._listing.done() and is_old):
            self._listed_at = time.monotonic()
            self._listing = asyncio.ensure_future(self._in_thread(self._list))
        await asyncio.wait({self._listing}, timeout=PATIENCE_SECONDS)

    def _list(self) -> None:
        try:
            self._known = self._answerer.sessions()
        except CodewireError:
            # The worker is being replaced: the node is there, and has its sessions.
            pass

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    # What comes in

    async def _on_discover(self, message: Any) -> None:
        """Answer in both dialects: each reader takes the one it knows."""
        link = self._link
        if link is None or not message.reply or self._is_leaving or "list" not in self._allow:
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
        info = read_heartbeat(message.data)
        if info is None or info.name != self._name or info.instance == self._instance:
            return
        if info.is_stopping:
            self._wake.set()
        elif self._is_joining:
            self._rivals = [*self._rivals[-MAX_RIVALS:], info]
        elif not self._is_duplicate:
            self._warn(f"another node of the fleet is called {self._name!r}: rename one of them")
            if info.is_joining and self._link is not None and not self._is_leaving:
                # It may not have been permitted to ask, or we not to answer.
                await self._publish(self._link, subjects.HEARTBEAT, encode(self._about([])))

    async def _on_request(self, message: Any) -> None:
        """Take a request; those of one client are answered in their order, others meanwhile."""
        if self._is_leaving:
            await self._reply(message, self._answerer.error("the node is stopping"))
            return
        if self._waiting >= MAX_WAITING:
            await self._reply(message, self._answerer.error("too many requests wait: try again"))
            return
        self._waiting += 1
        asyncio.ensure_future(self._serve(message))

    async def _serve(self, message: Any) -> None:
        client = message.reply.rpartition(".")[0] if message.reply.count(".") > 1 else message.reply
        lock = self._queues.setdefault(client, asyncio.Lock())
        deadline = Deadline.after(NODE_SECONDS)
        try:
            async with lock:
                await self._reply(message, await self._answer(message.data, deadline))
        finally:
            self._waiting -= 1
            if not lock.locked():
                self._queues.pop(client, None)

    async def _answer(self, data: bytes, deadline: Deadline) -> dict[str, Any]:
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
        answer: dict[str, Any] = await self._in_thread(self._answerer.answer, request, deadline)
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
        """A permission that the server does not give: said, and shown with the node's state."""
        found = DENIED.search(words)
        if found is None:
            return
        # The library has made it lower case.
        own = (subjects.DISCOVER, subjects.everything_for(self._name.lower()))
        if found[1].lower() == "subscription" and found[2].lower() in own:
            self._deaf = self._deaf or f"subscribing to {found[2]}"
        else:
            self._limited = self._limited or f"{found[1].lower()} to {found[2]}"
        self._report_joined()
        self._warn(f"the NATS server refuses: {words}")

    def _warn(self, words: str) -> None:
        """Log something once; what comes from others is bounded."""
        if words not in self._warned and len(self._warned) < MAX_WAITING:
            self._warned.add(words)
            self._tell({"log": words[:300]})


async def _until(event: asyncio.Event, seconds: float, *others: Any) -> None:
    """Wait for an event or another future, at most so long."""
    wait = asyncio.ensure_future(event.wait())
    await asyncio.wait({wait, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    wait.cancel()
