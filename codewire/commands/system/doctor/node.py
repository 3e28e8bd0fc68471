"""Checks of the running node: who is at the socket, whether it serves, and if not, why."""

from __future__ import annotations

import os
import signal
import stat
import time
from typing import TYPE_CHECKING, Any

from codewire.commands.system.doctor.finding import FAIL, OK, SKIP, WARN
from codewire.errors import CodewireError, NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.client.local.look import Found
    from codewire.commands.context import Context
    from codewire.commands.system.doctor.finding import Finding
    from codewire.paths import DataDir

# sun_path of a Unix socket, its final NUL not counted (unix(7)).
SOCKET_PATH_BYTES = 107
# A worker younger than this whose predecessors were many dies again and again.
LOOP_SECONDS = 60.0
LOOP_RESTARTS = 5


def node(context: Context) -> Iterator[Finding]:
    """Look at the node that is meant."""
    if context.server:
        yield from _remote(context)
        return
    from codewire.client.local.look import look
    from codewire.paths import data_dir

    paths = data_dir()
    try:
        found = look(paths)
    except CodewireError as error:
        yield "node", FAIL, str(error)
        return
    yield from _socket(paths, found)
    yield from _files_gone(paths, found)
    yield from _who(paths, found)
    yield from _claim(paths, found)
    if found.facts and found.kind == "node":
        yield _version(str(found.facts.get("version")))
        yield from _crash_loop(paths, found.facts)
        yield from _listening(paths, found.facts)
        yield from _fleet(paths, found.facts)
        yield from _uplink(found.facts)
    if found.keeper:
        yield _oom(found.keeper)


def _remote(context: Context) -> Iterator[Finding]:
    try:
        facts = context.client(autostart=False).node_status()
    except (NodeUnreachable, CodewireError) as error:
        yield "node", FAIL, str(error)
        return
    yield "node", OK, f"pid {facts.keeper_pid}, {facts.runtime}"
    yield _version(facts.version)


def _who(paths: DataDir, found: Found) -> Iterator[Finding]:
    from codewire.client.local import nodelog
    from codewire.client.local.processes import describe

    if found.kind == "stranger":
        yield (
            "node",
            FAIL,
            f"another program ({describe(found.peer)}) has its socket, which is no codewire node",
        )
    elif found.kind == "other node":
        yield "node", WARN, f"another codewire program ({describe(found.peer)}) is the node here"
    elif not found.is_alive:
        yield "node", WARN, "not running (the first command starts it)"
    elif found.no_worker:
        reason = found.trouble
        logged = nodelog.last_error(paths.node_log)
        if logged and logged not in reason:
            reason = f"{reason}; node.log: {logged}"
        yield "worker", FAIL, reason
        yield "node", OK, f"pid {found.keeper}"
    elif found.kind == "nobody" and found.keeper:
        yield "node", OK, f"pid {found.keeper}"
    elif found.trouble:
        who = f"pid {found.keeper}: " if found.keeper else ""
        yield "node", FAIL, f"{who}{found.trouble}; 'cw node restart' replaces its worker"
    else:
        yield "node", OK, f"pid {found.keeper}, {found.facts.get('runtime')}"


def _socket(paths: DataDir, found: Found) -> Iterator[Finding]:
    length = len(os.fsencode(paths.socket))
    if found.kind == "nobody" and found.keeper:
        yield "socket", FAIL, _gone(found.keeper)
    elif found.kind == "nobody" and _is_in_the_way(paths.socket):
        yield "socket", FAIL, f"{paths.socket} is no socket: remove it"
    elif length > SOCKET_PATH_BYTES:
        yield "socket", WARN, f"path of {length} bytes is too long for a socket: it moves to /tmp"
    else:
        yield "socket", OK, paths.socket


def _gone(keeper: int) -> str:
    """Word that a file of a living node is gone, and what brings it back."""
    from codewire.client.local.processes import catches

    words = "'cw stop' ends it and its sessions"
    if catches(keeper, signal.SIGUSR1):
        words = f"'kill -USR1 {keeper}' or 'cw node restart' makes it anew"
    return f"gone, although the node (pid {keeper}) lives: {words}"


def _files_gone(paths: DataDir, found: Found) -> Iterator[Finding]:
    """Did something remove a living node's pid file, or all of its directory?"""
    if not found.keeper or found.kind == "other node":
        return
    if not os.path.isdir(paths.root):
        yield "data dir", FAIL, f"{paths.root}: {_gone(found.keeper)}; what was in it is lost"
    elif not os.path.lexists(paths.pid):
        yield "pid file", FAIL, _gone(found.keeper)


def _is_in_the_way(path: str) -> bool:
    """Say whether a directory stands where the socket should: a node removes only files."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _claim(paths: DataDir, found: Found) -> Iterator[Finding]:
    """Who holds the lock outside of the directory, which keeps a second node away?"""
    from codewire.client.local.look import claim_holder
    from codewire.client.local.processes import describe

    name, holder = claim_holder(paths)
    if holder is None:
        if found.keeper:
            yield (
                "lock",
                WARN,
                f"@{name}: the node does not hold it (it is older, or in another network "
                "namespace): were the data directory removed, a second node could start",
            )
        return
    pid, uid = holder
    if pid and pid in (found.keeper, found.peer):
        yield "lock", OK, f"@{name} (abstract socket), held by the node (pid {pid})"
    elif uid not in (os.getuid(), -1):
        yield "lock", WARN, f"@{name} is held by another user (uid {uid}, {describe(pid)})"
    elif not found.is_alive:
        yield (
            "lock",
            FAIL,
            f"@{name} is held by {describe(pid)}: no node starts here before that has ended",
        )
    else:
        yield "lock", WARN, f"@{name} is held by {describe(pid)}, and not by the node"


def _version(version: str) -> Finding:
    from codewire import __version__

    if version == __version__:
        return "version", OK, version
    return "version", WARN, f"node {version}, cw {__version__}: run 'cw node restart'"


def _crash_loop(paths: DataDir, facts: dict[str, Any]) -> Iterator[Finding]:
    """Does the worker serve, but only until it dies again?"""
    from codewire.client.local import nodelog
    from codewire.wire.timestamps import parse_timestamp

    restarts = facts.get("worker_restarts")
    if not isinstance(restarts, int) or restarts <= LOOP_RESTARTS:
        return
    started = parse_timestamp(str(facts.get("worker_started_at")))
    if 0 <= time.time_ns() - started < LOOP_SECONDS * 1e9:
        reason = nodelog.last_error(paths.node_log) or "see node.log"
        yield "worker", WARN, f"was restarted {restarts} times, just now again: {reason}"


def _listening(paths: DataDir, facts: dict[str, Any]) -> Iterator[Finding]:
    """Does the running node listen where config.toml says?"""
    from codewire.config import load_settings

    try:
        wanted = load_settings(paths.config).listen
    except CodewireError:
        return
    if wanted and not facts.get("listen"):
        yield (
            "listening",
            WARN,
            f"the running node does not listen at {wanted}: node.log says why if it tried; "
            "'cw node restart' has it try again",
        )


def _fleet(paths: DataDir, facts: dict[str, Any]) -> Iterator[Finding]:
    """Is the running node in the fleet, where one is configured?"""
    from codewire.config import load_settings

    fleet = facts.get("fleet")
    try:
        settings = load_settings(paths.config)
    except CodewireError:
        return
    if not isinstance(fleet, dict) or not fleet:
        if settings.has_nats:
            yield (
                "fleet",
                WARN,
                "configured, but the running node has not joined: 'cw node restart'",
            )
        return
    state, error = str(fleet.get("state")), str(fleet.get("error") or "")
    words = f"{state}{f': {error}' if error else ''}"
    if state != "connected":
        yield "fleet", FAIL if state == "refused" else WARN, words
    elif error:
        yield "fleet", WARN, words
    elif not settings.external_url:
        yield "fleet", WARN, f"{state}, but nobody can attach: node.external_url is not set"
    else:
        yield "fleet", OK, f"{state}: {fleet.get('server')}"


def _uplink(facts: dict[str, Any]) -> Iterator[Finding]:
    """Is the node connected to its relay?"""
    relay = facts.get("relay")
    if not isinstance(relay, dict):
        return
    state, url, error = (str(relay.get(key) or "") for key in ("state", "url", "error"))
    if state == "connected":
        yield "relay", OK, f"connected to {url}"
    else:
        yield "relay", FAIL if state == "stopped" else WARN, f"{url} {state}: {error}".rstrip(": ")
    if relay.get("groups"):
        yield "groups", WARN, str(relay["groups"])


def _oom(pid: int) -> Finding:
    try:
        with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
            adjustment = int(file.read())
    except (OSError, ValueError):
        return "oom", SKIP, "not known"
    if adjustment > 0:
        return "oom", WARN, f"the node is killed early when memory runs out (+{adjustment})"
    return "oom", OK, f"oom_score_adj {adjustment}"
