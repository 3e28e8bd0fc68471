"""`cw node`, `cw start`, `cw stop` and their kin: the node as a process.

The node itself takes the data directory (and says who has it already); here it is only started
and stopped. Who it is, and whether it serves, client/local/ finds out.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire import config, paths
from codewire.commands import output
from codewire.errors import CodewireError, ConfigError, NodeSilent, NodeUnreachable, NoWorker
from codewire.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewire.client.local.look import Found
    from codewire.commands.context import Context
    from codewire.wire.answers.node import NodeStatus

# What may be at the socket, as client.local.look says it.
OTHER_NODE, STRANGER, NOBODY = "other node", "stranger", "nobody"
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
          --stdio   Speak to the node on stdin and stdout, starting one if need be: for who
                    reaches this machine by running a command on it

    Examples:
      cw node
      cw node --detach
      cw node status
      cw node restart
      cw node stop
    """
    _check_config()
    if args["--stdio"]:
        from codewire.client.local.stdio import bridge

        bridge(paths.data_dir(), output.notice)
        return 0
    if not args["--detach"]:
        _become_node()
    pid = _start_detached()
    if pid:
        raise CodewireError(f"node already running (pid {pid})")
    return 0


def start(args: dict[str, Any], context: Context) -> int:
    """Start the node in the background; one that already runs is left alone.

    Returns when the node serves. One that cannot is ended again, and its reason printed.

    Usage:
      cw start [options]

    Options:
          --foreground  Stay and run the node here, as `cw node` does

    Examples:
      cw start
    """
    _check_config()
    if args["--foreground"]:
        _become_node()
    pid = _start_detached()
    if pid:
        output.notice(f"node already running (pid {pid})")
    return 0


def stop(args: dict[str, Any], context: Context) -> int:
    """Stop the node, and with it all its sessions; returns when they are gone.

    Sessions get the time that `grace_seconds` of config.toml allows. A second stop waits along and
    cuts nothing short; with --now they are killed at once.

    Usage:
      cw stop [options]

    Options:
          --now  Kill the sessions, without the grace time

    Examples:
      cw stop
      cw stop --now
    """
    from codewire.client.local import ending

    directory = paths.data_dir()
    found = _look(directory)
    if found.is_alive:
        end = ending.Ending(directory, found, output.notice)
        end.run(_grace_seconds(found), bool(args["--now"]))
        from codewire.commands.sessions.kill import name_left

        if name_left(directory.left):
            return 1
    elif found.kind == NOBODY:
        _end_left_over(directory, bool(args["--now"]))
        _remove_stale(directory.pid)
        output.notice("node already stopped (stale pid file removed)")
    # Who took the socket of a node that lived on without it.
    if found.kind == OTHER_NODE:
        ending.end_other_node(found, output.notice)
    elif found.kind == STRANGER:
        raise CodewireError(_strangers_words(directory, found))
    return 0


def _end_left_over(directory: paths.DataDir, now: bool) -> None:
    """End, or name, what a node that was killed has left of its sessions. Raises CodewireError."""
    from codewire.client.local import leftover

    living = leftover.left_over(directory)
    if not living:
        return
    if not now:
        raise CodewireError(
            "no node runs, but processes of its sessions live on: "
            f"{leftover.named(living)}; 'cw stop --now' kills them"
        )
    leftover.end_all(living)
    output.notice(f"killed what a node had left: {leftover.named(living)}")


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
        output.show_json(found.sent)
        return 0
    output.line(f"Node {found.keeper_pid}")
    pairs = [
        ("Version", found.version),
        ("Protocol", found.protocol),
        ("Runtime", found.runtime),
        ("Started", found.started_at),
        ("Worker PID", found.worker_pid),
        ("Worker Started", found.worker_started_at),
        ("Worker Restarts", found.worker_restarts),
        ("Sessions", f"{found.sessions_running} running, {found.sessions_total} in all"),
        ("Fleet", _fleet_words(found.fleet)),
        ("Relay", _relay_words(found.relay)),
        ("Groups", found.relay.get("groups")),
        ("Data Dir", found.data_dir),
        ("Socket", found.socket),
        ("Listening", found.listen or None),
    ]
    output.fields(pairs, width=17)
    return 0


def restart(args: dict[str, Any], context: Context) -> int:
    """Replace the node's worker, for example after an upgrade; sessions and their logs live on.

    Attached clients reconnect by themselves and miss nothing. A config.toml that cannot be used is
    refused first.

    Usage:
      cw node restart [options]

    Examples:
      cw node restart
    """
    if context.server:
        context.client().node_restart()
        output.notice("the node is being restarted")
        return 0
    from codewire.client.local.replacing import replace_worker

    # With a broken one the new worker would not start, and the old one would be gone.
    _check_config()
    directory = paths.data_dir()
    found = _look(directory)
    if found.kind == OTHER_NODE:
        raise CodewireError(
            f"the node (pid {found.peer}) is another codewire program, which has no worker to "
            "replace; 'cw stop' ends it"
        )
    if found.kind == STRANGER:
        raise CodewireError(_strangers_words(directory, found))
    if not found.is_alive:
        raise NodeUnreachable(NO_NODE)
    output.notice(f"node restarted (worker pid {replace_worker(directory, found)})")
    return 0


def _look(directory: paths.DataDir) -> Found:
    from codewire.client.local.look import look

    return look(directory)


def _strangers_words(directory: paths.DataDir, found: Found) -> str:
    from codewire.client.local.processes import describe

    return (
        f"{directory.real_socket()} belongs to another program ({describe(found.peer)}), which is "
        "no codewire node; it was left alone"
    )


def _grace_seconds(found: Found) -> float:
    """Return the grace time that the running node gives; the longest there is if nobody knows."""
    told = found.facts.get("grace_seconds")
    if isinstance(told, (int, float)) and 0 <= told <= config.MAX_GRACE_SECONDS:
        return float(told)
    try:
        return config.load_settings(paths.data_dir().config).grace_seconds
    except ConfigError:
        return config.MAX_GRACE_SECONDS


def _remove_stale(path: str) -> None:
    """Remove the pid file of a node that is gone. Raises CodewireError when it may not be."""
    from codewire.client.local.processes import is_foreign_keeper

    pid = _read_pid_file(path)
    if is_foreign_keeper(pid):
        raise CodewireError(f"node (pid {pid}) belongs to another user")
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CodewireError(f"removing {path}: {error.strerror}") from error


def _check_config() -> None:
    try:
        config.load_settings(paths.data_dir().config)
    except ConfigError as error:
        raise ConfigError(f"initializing node: loading config: {error}") from error


def _become_node() -> None:
    """Replace this process by the node; never returns. Raises CodewireError if one is there."""
    refusal = _who_is_there(paths.data_dir())
    if refusal:
        raise CodewireError(refusal)
    paths.check_data_dir()
    # Started by a client, it has nobody to talk to: it keeps (and rotates) its own log.
    command = paths.keeper_command(foreground=not os.environ.get("CODEWIRE_AUTOSTART"))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os.execve(command[0], command, paths.node_environment())


def _who_is_there(directory: paths.DataDir) -> str:
    """Return why no node may start here, "" when nobody answers at the socket."""
    if not os.path.lexists(directory.socket):
        return ""
    from codewire.client.local.look import keeper_at

    pid = keeper_at(directory.real_socket())
    if pid:
        return f"node already running (pid {pid})"
    found = _look(directory)
    if found.kind == STRANGER:
        return _strangers_words(directory, found)
    if found.kind == OTHER_NODE:
        who = f"pid {found.peer}" if found.peer else "its pid is not shown here"
        return f"node already running ({who}): it is another codewire program"
    return "" if found.kind == NOBODY else f"node already running (pid {found.keeper})"


def _start_detached() -> int:
    """Start a node and return 0 once it serves; return the pid of one that serves already."""
    from codewire.client.reach.autostart import ensure_node

    notices: list[str] = []
    directory = paths.data_dir()
    ensure_node(directory, notices.append)
    for text in notices:
        output.note(text)
    if notices:
        return 0
    found = _look(directory)
    if found.kind == STRANGER:
        raise CodewireError(_strangers_words(directory, found))
    if not found.serves:
        trouble = found.trouble or "it has just ended"
        raise NodeUnreachable(
            f"node already running (pid {found.keeper}), but it does not serve: {trouble}"
        )
    return found.keeper or found.peer


def _ask_node(context: Context) -> NodeStatus:
    try:
        return context.client(autostart=False).node_status()
    except (NodeSilent, NoWorker):
        raise
    except NodeUnreachable:
        if context.server:
            raise
        raise NodeUnreachable(NO_NODE) from None


def _read_pid_file(path: str) -> int:
    """Return the pid in the pid file. Raises CodewireError with upstream's words."""
    try:
        text = read_regular(path, 4096).decode("utf-8", "replace")[:64].strip()
    except OSError as error:
        cause = f"reading pid file: {output.go_cause(error)}"
        raise CodewireError(f"{cause} (is the node running?)") from error
    if text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PID:
        return int(text)
    from codewire.wire.texts import go_quote

    raise CodewireError(f"invalid pid file: {go_quote(text)} is no process id ({path})")


def _relay_words(relay: Mapping[str, Any]) -> str | None:
    """Return how the uplink is, in a line; None without a relay."""
    if not relay:
        return None
    where = " ".join(str(relay[key]) for key in ("url", "network") if relay.get(key))
    words = [str(relay.get("state") or "unknown"), where, str(relay.get("error") or "")]
    return ": ".join(word for word in words if word)


def _fleet_words(fleet: Mapping[str, Any]) -> str | None:
    """Return how the fleet's bridge is, in a line; None without a fleet."""
    if not fleet:
        return None
    words = [str(fleet.get("state") or "unknown")]
    words += [str(fleet[key]) for key in ("server", "error") if fleet.get(key)]
    notes = [f"as {fleet['user']}"] if fleet.get("user") else []
    notes += ["TLS"] if fleet.get("tls") else []
    notes += [f"last error: {fleet['last_error']}"] if fleet.get("last_error") else []
    return ": ".join(words) + (f" ({', '.join(notes)})" if notes else "")
