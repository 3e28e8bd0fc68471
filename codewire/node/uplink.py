"""The node's uplink: its standing connection to a relay, and the streams it serves over it.

It dials out, so a node behind NAT can be reached. Whatever goes wrong here is logged, shown in the
node's status and tried again: no session depends on it.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, OutOfThreads, ProtocolError, RelayRefused
from codewire.io.wait import run_blocking, spawn
from codewire.io.watchdog import Watchdog
from codewire.network.configuration import load_configuration
from codewire.network.websocket import open_websocket
from codewire.node.caller import relay_caller
from codewire.node.enrolment import enrol, is_possible
from codewire.node.server import serve
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.timestamps import format_nanos
from codewire.wire.websocket import GOING_AWAY

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream
    from codewire.network.configuration import Configuration
    from codewire.node.context import Node

log = logging.getLogger(__name__)

# What a relay may ask of this node beyond what the first releases could.
FEATURES = ("stream",)
NETWORK_OWNERS = "network-owners"

PING_SECONDS = 20.0
DEAD_SECONDS = 60.0
DIAL_SECONDS = 15.0
# The relay waits for a node's side of a stream no longer than that.
BACK_SECONDS = 8.0
# The pause before an attempt doubles from the first to the last; a connection that held for
# STEADY_SECONDS begins anew.
FIRST_PAUSE, LAST_PAUSE = 1.0, 32.0
STEADY_SECONDS = 60.0
# How often config.toml is looked at.
LOOK_SECONDS = 2.0
# The wall clock ran on by that much more than the other: the machine slept, and the relay may have
# given this node up.
SLEPT_SECONDS = 10.0
MAX_STREAMS = 256
MAX_ID = 64

# How the relay ends an uplink (4401, 4409: ours).
REVOKED, REPLACED = 4401, 4409
NOT_ACCEPTED = (
    "the relay does not accept this node's token: it was revoked or replaced. Enrol the node "
    "again: cw network join INVITE, or remove relay_node_token from config.toml"
)
TAKEN_OVER = "another node uses this node's token: it was replaced there"
NO_PEERS = "this node does not answer peers yet"
NO_NETWORK_OWNERS = "the node's owner has not set node.allow_network_owners"


class Stopped(CodewireError):
    """Trying again is of no use before the configuration changes."""


class Uplink:
    """A node's connection to the relay of its configuration, if there is one."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._path = node.paths.config
        self._watchdog = Watchdog(PING_SECONDS, DEAD_SECONDS)
        self._is_watched = False
        self._failures = 0
        self._said = ""
        self._streams: set[str] = set()
        self._is_over = threading.Event()
        self._stream: WebSocketStream | None = None

    def run(self) -> None:
        """Keep the uplink until `stop`. Raises nothing."""
        while not self._is_over.is_set():
            seen = _signature(self._path)
            try:
                self._keep()
                self._await_change(seen, None)
            except (Stopped, RelayRefused) as error:
                is_final = isinstance(error, Stopped) or not error.is_transient
                self._fail(str(error), "stopped" if is_final else "waiting")
                self._await_change(seen, None if is_final else self._pause())
            except (CodewireError, OSError) as error:
                self._fail(str(error), "waiting")
                self._await_change(seen, self._pause())
            except Exception as error:
                log.exception("the uplink failed")
                self._fail(f"{type(error).__name__}: {error}", "waiting")
                self._await_change(seen, LAST_PAUSE)

    def stop(self) -> None:
        """End the connection with a goodbye, and `run`. From any thread; sessions need neither."""
        self._is_over.set()
        if self._stream is not None:
            self._stream.shutdown(GOING_AWAY)

    def _keep(self) -> None:
        """Connect where a relay is configured, and serve until the connection ends.

        Returns where none is. Raises why it ended.
        """
        relay = load_configuration(self._path)
        if not is_possible(relay):
            self._node.relay.clear()
            return
        self._tell("connecting", relay)
        relay = enrol(relay, self._node.settings, self._path)
        fields = (
            ("X-CodeWire-Peer-URL", self._node.settings.external_url),
            ("X-CodeWire-Features", ",".join(self._features())),
        )
        try:
            stream = open_websocket(
                relay.server, "/node/connect", relay.node_token, fields, DIAL_SECONDS
            )
        except RelayRefused as error:
            if error.status == 401:
                raise Stopped(NOT_ACCEPTED) from error
            raise CodewireError(str(error)) from error
        self._serve(relay, stream)

    def _features(self) -> tuple[str, ...]:
        is_open = self._node.settings.allow_network_owners
        return (*FEATURES, NETWORK_OWNERS) if is_open else FEATURES

    def _serve(self, relay: Configuration, stream: WebSocketStream) -> None:
        """Do what the relay asks until the connection ends. Raises why it did."""
        is_over = threading.Event()
        began = time.monotonic()
        self._watch(stream)
        self._stream = stream
        try:
            spawn(self._look_after, relay, stream, is_over)
            self._tell("connected", relay)
            self._said = ""
            log.info("connected to relay %s (network %s)", relay.url, relay.node_network)
            while (frame := stream.receive()) is not None:
                if frame[0] == CONTROL:
                    self._take(relay, stream, frame[1])
        finally:
            is_over.set()
            self._stream = None
            self._watchdog.remove(stream)
            stream.close()
            if time.monotonic() - began > STEADY_SECONDS:
                self._failures = 0
        if stream.close_code == REVOKED:
            raise Stopped(NOT_ACCEPTED)
        if stream.close_code == REPLACED:
            raise CodewireError(TAKEN_OVER)
        raise CodewireError("the relay ended the connection" if stream.close_code else "lost")

    def _watch(self, stream: WebSocketStream) -> None:
        if not self._is_watched:
            spawn(self._watchdog.run)
            self._is_watched = True
        self._watchdog.add(stream)

    # What the relay asks for

    def _take(self, relay: Configuration, uplink: WebSocketStream, payload: bytes) -> None:
        """Act on a message of the relay's; what is not understood is ignored."""
        try:
            message = decode_control(payload)
        except ProtocolError:
            return
        ident = message.get("session_id")
        if message.get("type") != "StreamRequest":
            return
        if not isinstance(ident, str) or not _is_id(ident):
            return
        problem = self._problem(message)
        if not problem:
            try:
                self._streams.add(ident)
                spawn(self._serve_stream, relay, ident, str(message.get("subject") or "relay"))
            except OutOfThreads as error:
                self._streams.discard(ident)
                problem = str(error)
        if problem:
            refused = {"type": "StreamRefused", "session_id": ident, "reason": problem}
            uplink.send_control(refused)

    def _problem(self, message: dict[str, Any]) -> str:
        """Return why a stream is refused, "" for one that is served."""
        if message.get("service") != "node":
            return NO_PEERS
        if message.get("role") != "owner" and not self._node.settings.allow_network_owners:
            return NO_NETWORK_OWNERS
        if len(self._streams) >= MAX_STREAMS:
            return "the node serves as many streams as it can"
        return ""

    def _serve_stream(self, relay: Configuration, ident: str, subject: str) -> None:
        """Dial back and serve whoever is there, as a client like any other."""
        path = f"/node/back/{ident}"
        try:
            stream = open_websocket(relay.server, path, relay.node_token, (), BACK_SECONDS)
            self._watch(stream)
            try:
                serve(self._node, stream, relay_caller(stream, subject))
            finally:
                self._watchdog.remove(stream)
        except CodewireError as error:
            log.info("a stream of %s ends: %s", subject, error)
        finally:
            self._streams.discard(ident)

    # How it is

    def _tell(self, state: str, relay: Configuration) -> None:
        """Say in the node's status how the uplink is; the last error stays until it is mended."""
        error = self._node.relay.get("error", "") if state != "connected" else ""
        self._node.relay.update(
            state=state,
            url=relay.url,
            network=relay.node_network or relay.network,
            since=format_nanos(time.time_ns()),
            error=error,
        )

    def _fail(self, problem: str, state: str) -> None:
        self._node.relay.update(state=state, error=problem, since=format_nanos(time.time_ns()))
        if problem != self._said:
            self._said = problem
            log.warning("no connection to the relay: %s", problem)

    def _pause(self) -> float:
        """Return the seconds until the next attempt; some spread, for a thousand nodes at once."""
        self._failures += 1
        longest = min(LAST_PAUSE, FIRST_PAUSE * float(1 << min(self._failures - 1, 10)))
        return longest * random.uniform(0.5, 1.5)

    # The configuration

    def _await_change(self, seen: object, seconds: float | None) -> None:
        """Return when config.toml is another one than `seen`, or after so many seconds."""
        end = None if seconds is None else time.monotonic() + seconds
        while _signature(self._path) == seen and not self._is_over.is_set():
            left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
            if left <= 0:
                return
            self._is_over.wait(left)
        self._failures = 0

    def _look_after(
        self, relay: Configuration, stream: WebSocketStream, is_over: threading.Event
    ) -> None:
        """End a connection that is no longer the configured one; knock after a sleep."""
        wall, clock = time.time(), time.monotonic()
        # It may have been changed since it was read for this connection: dialling takes a while.
        seen: object = None
        while not is_over.wait(LOOK_SECONDS):
            slept = (time.time() - wall) - (time.monotonic() - clock)
            wall, clock = time.time(), time.monotonic()
            if slept > SLEPT_SECONDS:
                stream.ping()
            now = _signature(self._path)
            if now != seen:
                seen = now
                if not _is_same(relay, self._path):
                    stream.shutdown()


def _is_same(relay: Configuration, path: str) -> bool:
    """Say whether what is configured leads to the same connection; a broken file changes none."""
    try:
        now = load_configuration(path)
    except CodewireError:
        return True
    return (now.url, now.node_token) == (relay.url, relay.node_token)


def _signature(path: str) -> object:
    try:
        found = run_blocking(os.stat, path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID and text.isascii() and text.isalnum()
