"""What every handler gets: the node's parts and a few facts about it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from codewire import __version__
from codewire.config import Settings
from codewire.errors import RequestError
from codewire.io.streams import FrameStream
from codewire.io.wait import RUNTIME
from codewire.keeper import protocol
from codewire.keeper.workerside.custody import Custody
from codewire.mail.mailbox import Mailbox
from codewire.node.caller import Caller
from codewire.node.grouping import Grouping
from codewire.node.notices import Notices
from codewire.node.showing import Showing
from codewire.paths import DataDir
from codewire.session.kv import KeyValues
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.wire.codes import BAD_REQUEST
from codewire.wire.timestamps import format_nanos

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """The worker's parts, built once by worker.py."""

    paths: DataDir
    settings: Settings
    custody: Custody
    sessions: Lifecycle
    mailbox: Mailbox
    kv: KeyValues
    grouping: Grouping
    started_ns: int = field(default_factory=time.time_ns)
    client_numbers: Iterator[int] = field(default_factory=itertools.count)
    # Addresses other machines can reach this node at, as host:port; filled in by web.py.
    listening: list[str] = field(default_factory=list)
    # How the fleet's bridge is, as it says; empty without one.
    fleet: dict[str, Any] = field(default_factory=dict)
    # How the uplink is (uplink.py); empty without a relay.
    relay: dict[str, Any] = field(default_factory=dict)
    showing: Showing = field(default_factory=Showing)
    notices: Notices = field(default_factory=Notices)

    @staticmethod
    def timeout(request: Message) -> float:
        """Return how many seconds a request may wait, 0 where it does not say."""
        if request.get("timeout_ms"):
            return float(request["timeout_ms"]) / 1000
        return float(request.get("timeout_seconds") or 0)

    def session(self, request: Message) -> Session:
        """Return the session a request names by `id`. Raises RequestError."""
        session_id = request.get("id")
        if session_id is None:
            raise RequestError("missing session id", BAD_REQUEST)
        return self.sessions.registry.get(session_id)

    def status(self) -> Message:
        """Return the facts `cw node status` shows. Times are RFC 3339."""
        hello = self.custody.hello
        everything = self.sessions.registry.all()
        return {
            "version": __version__,
            "protocol": protocol.VERSION,
            "runtime": RUNTIME,
            "keeper_pid": hello.keeper_pid,
            "worker_pid": os.getpid(),
            "started_at": format_nanos(hello.started_ns),
            "worker_started_at": format_nanos(self.started_ns),
            "worker_restarts": hello.restarts,
            "sessions_running": sum(1 for s in everything if s.is_running()),
            "sessions_total": len(everything),
            "data_dir": self.paths.root,
            "socket": hello.socket_path,
            "grace_seconds": self.settings.grace_seconds,
            **({"relay": dict(self.relay)} if self.relay else {}),
            **({"fleet": dict(self.fleet)} if self.fleet else {}),
            **({"listen": ", ".join(self.listening)} if self.listening else {}),
        }


# What answers a request with one message, and what has the connection for itself from then on.
Handler = Callable[[Node, Message, Caller], Message]
Streamer = Callable[[Node, FrameStream, Message, Caller], None]


def refusal(text: str, code: str, request: Message | None = None) -> Message:
    """Return an Error frame; a stream's has its code only where the `request` asks for `codes`.

    What upstream answers there is recorded byte for byte (spec/wire.md, golden exchanges).
    """
    has_code = code and (request is None or request.get("codes"))
    return {"type": "Error", "message": text, "code": code if has_code else None}
