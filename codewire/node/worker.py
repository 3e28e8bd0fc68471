"""The worker process: put the node's parts together and serve. Started by the keeper only."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading

from codewire.config import load_settings
from codewire.errors import CodewireError
from codewire.io.fds import raise_file_limit
from codewire.io.logfile import write_stderr
from codewire.io.wait import RUNTIME, spawn
from codewire.keeper.custody import Custody, Kept
from codewire.keeper.protocol import tell_failing
from codewire.node.context import Node
from codewire.node.logfile import set_up_logging
from codewire.node.server import accept_clients
from codewire.node.token import ensure_token
from codewire.paths import data_dir
from codewire.session.kv import KeyValues
from codewire.session.lifecycle import Lifecycle
from codewire.session.mail.mailbox import Mailbox
from codewire.session.output.drain import Drain

log = logging.getLogger(__name__)


class Worker:
    """One worker's life."""

    def __init__(self, link: socket.socket) -> None:
        self._paths = data_dir()
        self._settings = load_settings(self._paths.config)
        self._sessions = Lifecycle(self._paths, self._settings)
        self._stop = threading.Event()
        self._custody = Custody(
            link,
            on_exit=self._sessions.on_exit,
            on_stop=self._stop.set,
            on_lost=self._kept,
            on_listener=self._listen,
            grace_seconds=self._settings.grace_seconds,
        )
        hello = self._custody.hello
        set_up_logging(self._paths.node_log if hello.detached else "")
        self._drain = Drain(hello.pipe_read, hello.pipe_write, hello.note)
        self._sessions.use(self._custody, self._drain)
        self._node = Node(
            self._paths,
            self._settings,
            self._custody,
            self._sessions,
            Mailbox(self._paths, self._sessions),
            KeyValues(self._paths.kv),
        )

    def _kept(self) -> list[Kept]:
        return self._sessions.kept()

    def _listen(self, fd: int) -> None:
        """Serve those, too, who come to a socket that was bound anew."""
        listener = socket.socket(fileno=os.dup(fd))
        listener.setblocking(True)
        spawn(accept_clients, self._node, listener)

    def run(self) -> None:
        """Serve until the keeper says stop, then end every session."""
        hello = self._custody.hello
        if not self._drain.uses_splice:
            log.warning("splice does not work here: a killed worker may lose a few KB of output")
        self._sessions.restore(self._custody.kept)
        self._node.mailbox.restore()
        self._node.kv.load()
        try:
            ensure_token(self._paths.token)
        except OSError as error:
            log.warning("writing %s failed: %s", self._paths.token, error.strerror)
        for loop in (
            self._custody.run,
            self._drain.run,
            self._sessions.observer.run,
            self._sessions.answerer.run,
            self._sessions.store.run,
        ):
            spawn(loop)
        if self._settings.listen or hello.listeners:
            from codewire.node.web import Web

            Web(self._node).start()
        # Said before anybody is served: what a client then orders reaches the keeper after it.
        self._custody.ready()
        self._listen(hello.listener)
        log.info("node listening socket=%s runtime=%s", hello.socket_path, RUNTIME)
        self._stop.wait()
        self._sessions.stop()
        self._custody.stopped()


def main(argv: list[str]) -> int:
    """Run the worker; `argv` is the descriptor of its end of the keeper's link."""
    if len(argv) != 1 or not argv[0].isdigit():
        write_stderr(b"Error: 'cw worker' is started by the node; run 'cw node' instead\n")
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.set_inheritable(int(argv[0]), False)
    raise_file_limit()
    link = socket.socket(fileno=int(argv[0]))
    try:
        Worker(link).run()
    except CodewireError as error:
        tell_failing(link.fileno(), error)
        write_stderr(f"Error: initializing node: {error}\n".encode("utf-8", "replace"))
        return error.exit_code
    except Exception as error:
        tell_failing(link.fileno(), error)
        raise
    # Threads of clients may still be blocked; everything that matters is on disk.
    os._exit(0)
