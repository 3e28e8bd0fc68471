"""The notifier: a process beside the worker, started by it, that tells people of events.

It subscribes to the node as any client does, takes up what it has missed from the sessions' files,
and hands letters to one thread a channel, so that none waits for another. It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from codewire.client import Client
from codewire.errors import CodewireError
from codewire.notify import channels
from codewire.notify.letters import TYPES, Letter, event_id, kind_of, letter, moment_ns
from codewire.notify.limit import WINDOW_SECONDS, Limit
from codewire.notify.memory import Memory
from codewire.notify.settings import Notify, load_notify
from codewire.paths import data_dir
from codewire.wire.answers.events import Event

# A channel that fails is tried again after these.
RETRIES = (1.0, 4.0, 15.0)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# Letters that wait for a channel that takes none; more are dropped, and that is logged.
MAX_WAITING = 1000
# After the subscription has begun, what was written just before it is looked for once more.
LOOK_SECONDS = 0.5

Item = tuple[str, Any]


class Notifier:
    """One node's. `_inbox` is the only way to its loop."""

    def __init__(self, settings: Notify, node: str, since_ns: int) -> None:
        self._settings = settings
        self._node = node
        self._paths = data_dir()
        self._node_id = self._paths.read_node_id()
        self._memory = Memory(self._paths, since_ns)
        self._limit = Limit(settings.per_minute, self._memory.sent)
        self._inbox: queue.Queue[Item] = queue.Queue()
        self._client = Client(autostart=False, notify=lambda line: None)
        # Letters that some channel has still to deliver: how many channels, and which events.
        self._unfinished: dict[str, tuple[int, list[str]]] = {}
        self._channels = self._make_channels()

    def _make_channels(self) -> list[queue.Queue[Letter]]:
        settings = self._settings
        sends: list[Callable[[Letter], object]] = []
        if settings.command:
            sends.append(lambda one: channels.run_command(settings.command, one))
        if settings.webhook:
            sends.append(lambda one: channels.post(settings.webhook, one, settings.host()))
        if settings.terminals:
            sends.append(self._tell_terminals)
        found: list[queue.Queue[Letter]] = []
        for send in sends:
            waiting: queue.Queue[Letter] = queue.Queue(MAX_WAITING)
            _start(self._deliver_all, waiting, send)
            found.append(waiting)
        return found

    def _tell_terminals(self, one: Letter) -> None:
        words = {"title": one.get("title", ""), "body": one.get("message", "")}
        say({"notice": {**words, "form": self._settings.terminals}})

    # Threads

    def listen(self) -> None:
        """Hand every event to the loop, for ever; whoever is not there comes back."""
        pause = FIRST_PAUSE
        while True:
            try:
                for item in self._client.subscribe(event_types=TYPES):
                    pause = FIRST_PAUSE
                    kind = "event" if isinstance(item, Event) else "began"
                    self._inbox.put((kind, item))
            except CodewireError:
                pass
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _deliver_all(self, waiting: queue.Queue[Letter], send: Callable[[Letter], object]) -> None:
        while True:
            one = waiting.get()
            for seconds in (*RETRIES, None):
                try:
                    send(one)
                    break
                except Exception as error:  # noqa: BLE001 - the next letter must go out all the same
                    if seconds is None or not isinstance(error, channels.NotSent):
                        say({"log": f"a notification is given up: {error}"})
                        break
                    say({"log": f"{error}; trying again in {seconds:g} s"})
                    time.sleep(seconds)
            self._inbox.put(("delivered", one["event_id"]))

    # The loop

    def run(self) -> None:
        """Tell people, for ever."""
        if self._memory.is_new:
            self._save()
        self._take_missed()
        _start(self.listen)
        look_at: float | None = None
        while True:
            item = self._next(look_at)
            if item is not None:
                look_at = self._handle(*item) or look_at
            if look_at is not None and time.monotonic() >= look_at:
                look_at = None
                self._take_missed()
            self._tell_summary()

    def _next(self, look_at: float | None) -> Item | None:
        due = self._limit.due()
        # Whatever is due, it is looked at once a window: somebody may set the time of day.
        waits = [] if due is None else [max(0.05, min(WINDOW_SECONDS, due - time.time()))]
        waits += [] if look_at is None else [max(0.0, look_at - time.monotonic())]
        try:
            return self._inbox.get(timeout=min(waits) if waits else None)
        except queue.Empty:
            return None

    def _handle(self, kind: str, value: Any) -> float | None:
        """Take one item; return when to look for what was missed, if that is to be done."""
        if kind == "delivered":
            self._delivered(str(value))
        elif kind == "began":
            self._take_missed()
            return time.monotonic() + LOOK_SECONDS
        elif kind == "event":
            self._take(value.session_id, dict(value.sent))
        return None

    def _take_missed(self) -> None:
        for session_id, event in self._memory.missed():
            self._take(session_id, event)

    def _take(self, session_id: int, event: dict[str, Any]) -> None:
        if not kind_of(event):
            return
        name = event_id(self._node_id, session_id, event)
        if not self._memory.begin(name, moment_ns(event)):
            return
        found = letter(self._node, self._node_id, session_id, event, self._info(session_id))
        if found is None or found["event"] not in self._settings.on:
            self._memory.finish(name)
            return
        now = self._limit.take(found, time.time())
        if now is not None:
            self._send(now, [name])

    def _info(self, session_id: int) -> dict[str, Any]:
        try:
            return dict(self._client.within(2.0).status(session_id).info.sent)
        except CodewireError:
            return {}

    def _tell_summary(self) -> None:
        found = self._limit.summary(time.time())
        if found is not None:
            self._send(found[0], [str(one["event_id"]) for one in found[1]])

    def _send(self, one: Letter, names: list[str]) -> None:
        count = 0
        for waiting in self._channels:
            try:
                waiting.put_nowait(one)
                count += 1
            except queue.Full:
                say({"log": "a notification is dropped: too many wait for one channel"})
        self._unfinished[str(one["event_id"])] = count, names
        if not count:
            self._finish(str(one["event_id"]))

    def _delivered(self, name: str) -> None:
        count, names = self._unfinished.get(name, (1, []))
        if count > 1:
            self._unfinished[name] = count - 1, names
        else:
            self._finish(name)

    def _finish(self, name: str) -> None:
        for one in self._unfinished.pop(name, (0, []))[1]:
            self._memory.finish(one)
        self._save()

    def _save(self) -> None:
        try:
            self._memory.save(self._limit.sent)
        except OSError as error:
            say({"log": f"what was told cannot be written down: {error.strerror}"})


def say(value: dict[str, Any]) -> None:
    """Tell the worker one thing. A worker that has gone ends us by our stdin."""
    try:
        os.write(1, json.dumps(value).encode() + b"\n")
    except OSError:
        pass


def _start(function: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=_or_end, args=(function, *args), daemon=True).start()


def _or_end(function: Callable[..., None], *args: Any) -> None:
    """Half a notifier tells nobody: the next one does."""
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - said, then this process ends
        say({"log": f"{type(error).__name__}: {error}"})
        os._exit(1)


def main(argv: list[str]) -> int:
    """Be the notifier of this user's node; `argv` is its name, and since when to tell."""
    if len(argv) != 2 or not argv[1].isdigit():
        sys.stderr.write("Error: 'cw notifier' is started by the node; run 'cw node' instead\n")
        return 1
    try:
        settings = load_notify(data_dir().config)
    except CodewireError as error:
        settings = Notify()
        say({"log": f"nobody is notified: {error}"})
    if settings.tells_anybody():
        _start(lambda: Notifier(settings, argv[0], int(argv[1])).run())
    # Until the worker says stop, or is gone.
    os.read(0, 1)
    os._exit(0)
