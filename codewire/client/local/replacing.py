"""Having the keeper replace the worker, and saying truly whether the new one serves."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from codewire.client.local import nodelog
from codewire.client.local.look import NO_WORKER, ask
from codewire.client.local.processes import (
    WORKER,
    describe,
    holders,
    is_alive,
    read_process,
)
from codewire.errors import CodewireError, NodeUnreachable

if TYPE_CHECKING:
    from codewire.client.local.look import Found
    from codewire.paths import DataDir

# A large node's worker takes up its sessions before it serves.
RESTART_SECONDS = 20.0
# So long may a keeper repeat what it said of the workers before.
STALE_SECONDS = 4.0
ANSWER_SECONDS = 1.0
# The one that was replaced, and some that came after it.
MANY_ENDS = 4
POLL_SECONDS = 0.02


def replace_worker(paths: DataDir, found: Found) -> int:
    """Have a node's worker replaced and return the new one's pid once it answers.

    The keeper is asked, not the worker: a stuck one can be replaced, too. Blocks up to
    RESTART_SECONDS; raises CodewireError with the reason when no worker comes.
    """
    if not found.keeper:
        raise NodeUnreachable(found.trouble or "the node's keeper cannot be seen from here")
    before = {worker.pid for worker in found.workers}
    before.add(int(found.facts.get("worker_pid") or 0))
    log_start = nodelog.log_size(paths.node_log)
    _hang_up(found.keeper)
    began = time.monotonic()
    while True:
        answer = ask(paths, {"type": "NodeStatus"}, ANSWER_SECONDS)
        facts = answer.get("node")
        worker = facts.get("worker_pid") if isinstance(facts, dict) else None
        if isinstance(worker, int) and worker not in before:
            return worker
        seconds = time.monotonic() - began
        if answer.get("code") == NO_WORKER and seconds > STALE_SECONDS:
            raise CodewireError(str(answer.get("message") or "the node's worker cannot start"))
        if _keeps_ending(paths, log_start):
            raise CodewireError(
                f"the node's worker cannot start: {nodelog.last_error(paths.node_log, log_start)}"
            )
        if not is_alive(found.keeper) and not holders(paths.lock)[WORKER]:
            raise NodeUnreachable("the node ended instead of restarting")
        if seconds > RESTART_SECONDS:
            raise CodewireError(_not_replaced(paths, found, log_start, seconds))
        time.sleep(POLL_SECONDS)


def _keeps_ending(paths: DataDir, log_start: int) -> bool:
    """Say whether one worker after the other ended; an older keeper does not say so itself."""
    if nodelog.count(paths.node_log, log_start, "worker ended") < MANY_ENDS:
        return False
    return bool(nodelog.last_error(paths.node_log, log_start))


def _hang_up(keeper: int) -> None:
    process = read_process(keeper)
    try:
        os.kill(keeper, signal.SIGHUP)
        if process is not None and process.state == "T":
            os.kill(keeper, signal.SIGCONT)
    except ProcessLookupError:
        raise NodeUnreachable(f"the node (pid {keeper}) has just ended") from None
    except PermissionError:
        raise CodewireError(f"node (pid {keeper}) belongs to another user") from None


def _not_replaced(paths: DataDir, found: Found, log_start: int, seconds: float) -> str:
    words = nodelog.cause(paths.node_log, log_start)
    why = f": {words}" if words else ""
    if any(is_alive(worker.pid) for worker in found.workers):
        who = ", ".join(describe(worker.pid) for worker in found.workers)
        return f"the node's worker ({who}) was not replaced within {seconds:.0f} s{why}"
    return f"the node's new worker does not serve after {seconds:.0f} s{why}"
