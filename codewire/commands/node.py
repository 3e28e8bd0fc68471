"""`cw node`, `cw start`, `cw stop` and their kin: the node as a process.

The node itself takes the data directory (and says who has it already); here it is only started
and stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from codewire import config, paths
from codewire.client.reach.autostart import is_alive
from codewire.commands import output
from codewire.errors import CodewireError, ConfigError, NodeSilent, NodeUnreachable
from codewire.wire.timestamps import parse_timestamp

if TYPE_CHECKING:
    from codewire.commands.context import Context

# Longer than the node gives its sessions to end (30 s) before it leaves anyway.
STOP_SECONDS = 35.0
RESTART_SECONDS = 15.0
POLL_SECONDS = 0.02
# pid_t is an int; a longer number in the pid file is damage.
MAX_PID = (1 << 31) - 1

NO_NODE = "no node is running (start one with 'cw start')"


def node(args: dict[str, Any], context: Context) -> int:
    """Run the node: the server that owns the sessions. Ctrl-C or SIGTERM stops it.

    Usually not needed: the first command that needs a node starts one in the background.

    Usage:
      cw node [options]

    Options:
      -d, --detach  Start it in the background and return

    Examples:
      cw node
      cw node --detach
      cw node status
      cw node restart
      cw node stop
    """
    context.refuse_server("cw node")
    _check_config()
    if not args["--detach"]:
        _become_node()
    started, pid = _start_detached()
    if not started:
        raise CodewireError(f"node already running (pid {pid})")
    return 0


def start(args: dict[str, Any], context: Context) -> int:
    """Start the node in the background; one that already runs is left alone.

    Usage:
      cw start [options]

    Options:
          --foreground  Stay and run the node here, as `cw node` does

    Examples:
      cw start
    """
    context.refuse_server("cw start")
    _check_config()
    if args["--foreground"]:
        _become_node()
    started, pid = _start_detached()
    if not started:
        output.notice(f"node already running (pid {pid})")
    return 0


def stop(args: dict[str, Any], context: Context) -> int:
    """Stop the node, and with it all its sessions; returns when it is gone.

    Usage:
      cw stop [options]

    Examples:
      cw stop
    """
    context.refuse_server("cw stop")
    directory = paths.data_dir()
    pid = _read_pid_file(directory.pid)
    if not is_alive(pid) or not _is_node(pid):
        os.unlink(directory.pid)
        output.notice("node already stopped (stale pid file removed)")
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise CodewireError(f"node (pid {pid}) belongs to another user") from None
    output.notice(f"sent SIGTERM to node (pid {pid})")
    deadline = time.monotonic() + STOP_SECONDS
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise CodewireError(f"node (pid {pid}) is still stopping after {STOP_SECONDS:.0f}s")
        time.sleep(POLL_SECONDS)
    from codewire.commands.kill import name_left

    return 1 if name_left(directory.left) else 0


def status(args: dict[str, Any], context: Context) -> int:
    """Show the running node: version, processes, sessions, where its files are.

    Usage:
      cw node status [options]

    Options:
      -j, --json                Print it as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw node status
      cw node status --json
    """
    found = _ask_node(context)
    if output.wants_json(args):
        output.show_json(found)
        return 0
    output.line(f"Node {found['keeper_pid']}")
    pairs = [
        ("Version", found.get("version")),
        ("Protocol", found.get("protocol")),
        ("Runtime", found.get("runtime")),
        ("Started", found.get("started_at")),
        ("Worker PID", found.get("worker_pid")),
        ("Worker Started", found.get("worker_started_at")),
        ("Worker Restarts", found.get("worker_restarts")),
        ("Sessions", f"{found['sessions_running']} running, {found['sessions_total']} in all"),
        ("Data Dir", found.get("data_dir")),
        ("Socket", found.get("socket")),
        ("Listening", found.get("listen")),
    ]
    output.fields(pairs, width=17)
    return 0


def restart(args: dict[str, Any], context: Context) -> int:
    """Replace the node's worker, for example after an upgrade; sessions and their logs live on.

    Attached clients reconnect by themselves and miss nothing.

    Usage:
      cw node restart [options]

    Examples:
      cw node restart
    """
    if context.server:
        context.client().node_restart()
        output.notice("the node is being restarted")
        return 0
    # The keeper is asked, not the worker: a stuck worker can be replaced, too.
    pid = _running_node()
    moment = time.time_ns()
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + RESTART_SECONDS
    while parse_timestamp((found := _ask_node(context))["worker_started_at"]) < moment:
        if time.monotonic() > deadline:
            raise CodewireError(f"the node's worker (pid {found['worker_pid']}) was not replaced")
        time.sleep(POLL_SECONDS)
    output.notice(f"node restarted (worker pid {found['worker_pid']})")
    return 0


def _running_node() -> int:
    """Return the keeper's pid. Raises NodeUnreachable."""
    pid = _pid_or_zero()
    if not pid or not is_alive(pid) or not _is_node(pid):
        raise NodeUnreachable(NO_NODE)
    return pid


def _check_config() -> None:
    try:
        config.load_settings(paths.data_dir().config)
    except ConfigError as error:
        raise ConfigError(f"initializing node: loading config: {error}") from error


def _become_node() -> None:
    """Replace this process by the node; never returns."""
    # Started by a client, it has nobody to talk to: it keeps (and rotates) its own log.
    command = paths.keeper_command(foreground=not os.environ.get("CODEWIRE_AUTOSTART"))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os.execve(command[0], command, paths.node_environment())


def _start_detached() -> tuple[bool, int]:
    """Start a node unless one answers; return whether it is new, and its pid."""
    from codewire.client.reach.autostart import ensure_node

    notices: list[str] = []
    ensure_node(paths.data_dir(), notices.append)
    for text in notices:
        output.note(text)
    return bool(notices), _pid_or_zero()


def _pid_or_zero() -> int:
    try:
        return _read_pid_file(paths.data_dir().pid)
    except CodewireError:
        return 0


def _ask_node(context: Context) -> dict[str, Any]:
    try:
        return context.client(autostart=False).node_status()
    except NodeSilent:
        raise
    except NodeUnreachable:
        if context.server:
            raise
        raise NodeUnreachable(NO_NODE) from None


def _read_pid_file(path: str) -> int:
    """Return the pid in the pid file. Raises CodewireError with upstream's words."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(64).strip()
    except OSError as error:
        cause = f"reading pid file: {output.go_cause(error)}"
        raise CodewireError(f"{cause} (is the node running?)") from error
    if text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PID:
        return int(text)
    from codewire.wire.texts import go_quote

    raise CodewireError(f"invalid pid file: strconv.Atoi: parsing {go_quote(text)}: invalid syntax")


def _is_node(pid: int) -> bool:
    """Say whether a process is a node, and not a stranger that got the pid after a crash."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        words = []
    mark = [word.encode() for word in paths.keeper_command()[2:3]]
    if words[2:3] == mark:
        return True
    from codewire.client.api import Client

    try:
        return bool(Client(autostart=False).node_status()["keeper_pid"] == pid)
    except CodewireError:
        return False
