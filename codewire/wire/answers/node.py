"""What a node says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT


class NodeStatus(NamedTuple):
    """Versions, processes, times (RFC 3339) and counts of a node; `listen` is "" if it does not.

    `fleet` is how its bridge to a fleet is: `state`, with it `server`, `error` and `last_error`.
    `relay` is how its uplink is: `state`, `url`, `network`, `since` and `error`; `groups`, if any,
    is why the relay does not know its sessions' groups.
    """

    version: str = ""
    protocol: int = 0
    runtime: str = ""
    keeper_pid: int = 0
    worker_pid: int = 0
    started_at: str = ""
    worker_started_at: str = ""
    worker_restarts: int = 0
    sessions_running: int = 0
    sessions_total: int = 0
    data_dir: str = ""
    socket: str = ""
    grace_seconds: float = 0.0
    listen: str = ""
    fleet: Mapping[str, Any] = NOTHING_SENT
    relay: Mapping[str, Any] = NOTHING_SENT
    sent: Mapping[str, Any] = NOTHING_SENT
