"""The worker process: put the node's parts together and serve. Started by the keeper only."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from codewire.config import AUTO, Settings, load_settings
from codewire.errors import CodewireError, KeeperError, OutOfThreads
from codewire.io.backlog import RUNNERS
from codewire.io.fds import raise_file_limit
from codewire.io.filecalls import calls_for
from codewire.io.logfile import write_stderr
from codewire.io.threads import spare_address_space
from codewire.io.transient import is_transient
from codewire.io.wait import (
    RUNTIME,
    is_loop_failure,
    outlast_loop_errors,
    run_blocking,
    spawn,
    spawn_essential,
)
from codewire.keeper.protocol import tell_failing
from codewire.keeper.workerside.custody import Custody, Kept
from codewire.mail.mailbox import Mailbox
from codewire.node.context import Node
from codewire.node.grouping import Grouping
from codewire.node.logfile import set_up_logging
from codewire.node.server import accept_clients
from codewire.node.token import ensure_token
from codewire.output.drain import Drain
from codewire.paths import data_dir, has_relay
from codewire.session.identity import node_id
from codewire.session.kv import KeyValues
from codewire.session.lifecycle import Lifecycle

if TYPE_CHECKING:
    from codewire.node.fleet import Fleet
    from codewire.node.peers.serving import Peers
    from codewire.node.uplink import Uplink

log = logging.getLogger(__name__)


KEEP_ALL = 1 << 31
# How often a node without a relay looks whether there is one.
LOOK_SECONDS = 2.0


class Worker:
    """One worker's life."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._stop = threading.Event()
        self._fleet: Fleet | None = None
        self._uplink: Uplink | None = None
        self._peers: Peers | None = None
        self._peers_lock = threading.Lock()

    def start(self) -> None:
        """Take over from the keeper, bring back what was, begin to serve.

        Raises CodewireError for what a worker cannot do without; whatever else cannot be opened
        is left out, with a line in the log.
        """
        self._paths = data_dir()
        self._settings, problem = _configure(self._paths.config)
        calls = calls_for(self._paths.root, self._paths.sessions)
        self._sessions = Lifecycle(self._paths, self._settings, calls)
        self._custody = Custody(
            self._link,
            on_exit=self._sessions.ending.on_exit,
            on_stop=self._stop.set,
            on_lost=self._kept,
            on_halted=self._sessions.ending.on_halted,
            on_listener=self._listen,
            grace_seconds=self._settings.grace_seconds,
        )
        hello = self._custody.hello
        set_up_logging(self._paths.node_log if hello.detached else "", calls)
        if problem:
            log.error("%s; until that is mended, nothing is deleted and nobody dials in", problem)
        if self._settings.unknown_keys:
            log.warning("config.toml: unknown keys: %s", ", ".join(self._settings.unknown_keys))
        self._drain = Drain(hello.pipe_read, hello.pipe_write, hello.note)
        self._sessions.use(self._custody, self._drain)
        self._sessions.node_id = node_id(self._paths)
        relay: dict[str, Any] = {}
        self._node = Node(
            self._paths,
            self._settings,
            self._custody,
            self._sessions,
            Mailbox(self._paths, self._sessions),
            KeyValues(self._paths.kv),
            Grouping(self._paths, self._sessions, relay),
            relay=relay,
        )
        self._restore()
        self._run_loops()
        if not problem and (self._settings.listen or hello.listeners):
            _try_step("listening for other machines", self._open_web)
        if not problem and self._settings.has_nats:
            _try_step("joining the fleet", self._open_fleet)
        if not problem and self._settings.has_notify:
            _try_step("telling people of sessions", self._open_notifier)
        # Said before anybody is served: what a client then orders reaches the keeper after it.
        self._custody.ready()
        self._listen(hello.listener)
        self._bring_back()
        if not problem:
            _try_step("keeping the uplink", spawn, self._keep_uplink)
        log.info("node listening socket=%s runtime=%s", hello.socket_path, RUNTIME)

    def _kept(self) -> list[Kept]:
        return self._sessions.kept()

    def _listen(self, fd: int) -> None:
        """Serve whoever comes to this socket: the node's, or one bound anew in its place."""
        listener = socket.socket(fileno=os.dup(fd))
        listener.setblocking(True)
        self._run_loop(accept_clients, self._node, listener)

    def _restore(self) -> None:
        """Bring back what was. Only sessions are worth more than a node that can be reached."""
        try:
            self._drain.open()
        except OSError as error:
            raise KeeperError(f"the pipe of the output cannot be used: {error}") from error
        if not self._drain.uses_splice:
            log.warning("splice does not work here: a killed worker may lose a few KB of output")
        self._sessions.restore(self._custody.kept)
        _try_step("reading the messages", self._node.mailbox.restore)
        _try_step("reading the key-value store", self._node.kv.load)
        _try_step("making the token", ensure_token, self._paths.token)

    def _run_loops(self) -> None:
        spawn_essential(self._custody.run)
        for loop in (
            self._drain.run,
            *[self._sessions.backlog.run] * RUNNERS,
            self._sessions.observer.run,
            self._sessions.answerer.run,
            self._sessions.lookout.run,
            self._sessions.store.run,
            self._sessions.scribe.run,
            self._sessions.relauncher.run,
        ):
            self._run_loop(loop)

    def _run_loop(self, loop: Callable[..., object], *args: Any) -> None:
        """Start a loop that this worker cannot do without."""
        spawn_essential(self._custody.while_kept, loop, *args)

    def _open_web(self) -> None:
        from codewire.node.web import Web

        Web(self._node, self._find_peers).start(self._run_loop)

    def _find_peers(self) -> Peers:
        """Return what serves the peer RPC, the one for listener and uplink. Blocks the first time.

        Two would each let somebody in with the same credential.
        """
        from codewire.node.peers.serving import Peers

        with self._peers_lock:
            if self._peers is None:
                self._peers = Peers(self._node)
            return self._peers

    def _open_fleet(self) -> None:
        from codewire.node.fleet import Fleet

        self._fleet = Fleet(self._node)
        self._run_loop(self._fleet.run)

    def _bring_back(self) -> None:
        """Go on with restart policies; on a new node, restore what ended with the last one."""
        is_new_node = not self._custody.hello.restarts and not self._custody.kept
        self._sessions.relauncher.resume(is_new_node=is_new_node)
        if is_new_node and self._settings.restore == AUTO:
            spawn(self._sessions.relauncher.restore_all)

    def _open_notifier(self) -> None:
        from codewire.node.notifying import Notifier

        self._run_loop(Notifier(self._node).run)

    def _keep_uplink(self) -> None:
        """Stay connected to a relay, once one is configured: without, nothing is imported."""
        while not run_blocking(has_relay):
            if self._stop.wait(LOOK_SECONDS):
                return
        from codewire.node.uplink import Uplink

        spawn(self._node.grouping.run)
        self._uplink = Uplink(self._node, self._find_peers())
        self._uplink.run()

    def run(self) -> None:
        """Serve until the keeper says stop, then end every session."""
        self._custody.while_kept(self._serve)

    def _serve(self) -> None:
        self._stop.wait()
        if self._fleet is not None:
            self._fleet.stop()
        if self._uplink is not None:
            self._uplink.stop()
        self._sessions.stop()
        self._custody.stopped()


def _configure(path: str) -> tuple[Settings, str]:
    """Return the settings, and what is wrong with them: then they are such that do no harm.

    `cw node` refuses to start with a wrong file; this is one that was changed under the node.
    """
    try:
        return load_settings(path), ""
    except Exception as error:  # noqa: BLE001 - whatever is in the file, sessions go on
        problem = str(error)
    return load_settings("", {})._replace(log_max_bytes=0, keep_finished=KEEP_ALL), problem


def _try_step(what: str, step: Callable[..., object], *args: Any) -> None:
    """Do what the node can be without."""
    try:
        step(*args)
    except OutOfThreads:
        raise
    except OSError as error:
        log.error("%s failed: %s", what, error)
    except Exception:
        log.exception("%s failed", what)


def main(argv: list[str]) -> int:
    """Run the worker; `argv` is the descriptor of its end of the keeper's link."""
    if len(argv) != 1 or not argv[0].isdigit():
        _complain("'cw worker' is started by the node; run 'cw node' instead")
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.set_inheritable(int(argv[0]), False)
    raise_file_limit()
    spare_address_space()
    outlast_loop_errors()
    status = 1
    link = socket.socket(fileno=int(argv[0]))
    try:
        worker = Worker(link)
        worker.start()
        worker.run()
        status = 0
    except CodewireError as error:
        tell_failing(link.fileno(), error)
        _fail(str(error), None)
    except BaseException as error:  # noqa: BLE001 - the top: say it, end, be started again
        tell_failing(link.fileno(), error)
        _fail(*_explain(error))
    # Threads of clients may still be blocked; everything that matters is on disk.
    os._exit(status)


def _explain(error: BaseException) -> tuple[str, BaseException | None]:
    """Return why the worker ends in words, and what to show a traceback of, if of anything."""
    if is_loop_failure(error):
        return "the event loop cannot watch its descriptors", None
    words = f"{type(error).__name__}: {error}"
    return words, None if is_transient(error) else error


def _fail(problem: str, error: BaseException | None) -> None:
    """Say why this worker ends: in the log once there is one, else on stderr."""
    if logging.getLogger().handlers:
        log.error("the worker failed: %s", problem, exc_info=error)
    else:
        _complain(f"initializing node: {problem}")


def _complain(text: str) -> None:
    write_stderr(f"Error: {text}\n".encode("utf-8", "replace"))
