"""The keeper process: owns session children and everything a killed worker must not take along.

One thread, the standard library; the only clients it talks to are those no worker can serve. It
holds the listening socket, the locks, the drain pipe and a duplicate of every PTY master; it starts
and restarts the worker. `cw node` becomes this process, so it may be PID 1: it reaps whatever is
orphaned to it. Once a worker was ready, nothing but an orderly stop ends it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from codewire.errors import KeeperError
from codewire.io.fds import FileLimit, raise_file_limit
from codewire.io.transient import PAUSE_SECONDS
from codewire.keeper import protocol
from codewire.keeper.link import Link
from codewire.keeper.place.adoption import Adoption
from codewire.keeper.place.holdings import Holdings
from codewire.keeper.place.premises import LOOK_SECONDS, Premises
from codewire.keeper.place.waitingroom import WaitingRoom
from codewire.keeper.processes.children import await_end
from codewire.keeper.processes.reaper import Reaper
from codewire.keeper.processes.roster import Roster
from codewire.keeper.report import Report
from codewire.keeper.signals import LOOK_SIGNALS, STOP_SIGNALS, Signals
from codewire.keeper.stopping import Stage, Stop
from codewire.keeper.supervision import HOPELESS_STARTS, Supervisor
from codewire.paths import DataDir, worker_command

# What SIGKILL needs to be done and reaped, and a worker to write the ends down.
END_SECONDS = 3.0


class Keeper:
    """State and loop of the keeper."""

    def __init__(self, paths: DataDir, detached: bool, command: list[str] | None = None) -> None:
        """`command` is the argv of a worker, to which a descriptor's number is appended."""
        self._paths = paths
        self._report = Report(paths.node_log, detached)
        self._holdings = Holdings(detached)
        self._link: Link | None = None
        self._stop = Stop()
        self._look_at = time.monotonic() + LOOK_SECONDS
        # While a worker hands over what a keeper that died had.
        self._adoption: Adoption | None = None
        self._poller = select.poll()
        self._roster = Roster(self._poller, FileLimit(*raise_file_limit()))
        self._premises = Premises(paths, self._report)
        self._worker = Supervisor(command or worker_command())
        self._reaper = Reaper(self._roster, self._worker, lambda: self._link)
        self._room = WaitingRoom(self._poller)
        self._signals = Signals()
        self._poller.register(self._signals.fd, select.POLLIN)

    def open(self) -> None:
        """Become a new node: directory, socket, drain pipe. Raises CodewireError, OSError."""
        self._premises.take()
        try:
            self._holdings.open(self._premises)
        except OSError:
            self._premises.leave()
            raise

    def use_link(self, sock: socket.socket) -> None:
        """Talk to the worker at the other end of `sock`."""
        self._link = Link(sock, self._poller)
        self._worker.start_at = None

    def await_adoption(self, sock: socket.socket) -> None:
        """Be the successor of a keeper that died: the worker at `sock` hands everything over."""
        self.use_link(sock)
        self._adoption = Adoption()

    def run(self) -> int:
        """Serve until stopped; return the exit status."""
        reap = self._reaper.reap
        while True:
            for step in (self._poll, reap, self._tend_link, self._tend, self._tend_stop):
                self._guard(step)
            now = time.monotonic()
            if self._adoption is not None:
                if self._link is None or now >= self._adoption.until:
                    self._report.line("ERROR", "taking over from a keeper that died failed")
                    return 1
                continue
            is_idle = self._link is None and self._worker.start_at is None
            if self._stop.is_over(now, is_idle and not self._roster.alive()):
                return self._finish()

    def _guard(self, step: Callable[..., None], *args: Any) -> None:
        """Last resort: what was not foreseen costs a pause, and neither a session nor a stop."""
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 - every session would go with us
            self._report.line("ERROR", f"keeper: {type(error).__name__}: {error}")
            time.sleep(PAUSE_SECONDS)

    def _timeout(self) -> float:
        """Return in how many seconds something is due."""
        now, link = time.monotonic(), self._link
        rests_until = link.next_moment() if link is not None else None
        if self._adoption is not None:
            return max(0.0, min(self._adoption.until, rests_until or now + 60.0) - now)
        hopeless_at = self._worker.hopeless_at(self._is_greeted())
        moments = [
            self._look_at,
            self._worker.start_at,
            self._stop.next_moment(),
            self._reaper.next_moment(),
            self._room.next_moment(),
            self._roster.orphans.next_moment(),
            rests_until,
            hopeless_at if hopeless_at is not None and hopeless_at > now else None,
        ]
        return max(0.0, min(moment for moment in moments if moment is not None) - now)

    def _poll(self) -> None:
        found = self._poller.poll(self._timeout() * 1000 + 1)
        # The worker first: once it says that it serves, nobody is told that it does not.
        link = -1 if self._link is None else self._link.fileno()
        for fd, ready in sorted(found, key=lambda item: item[0] != link):
            self._guard(self._serve, fd, ready)

    def _serve(self, fd: int, ready: int) -> None:
        link = self._link
        if fd == self._signals.fd:
            self._read_signals()
        elif link is not None and fd == link.fileno():
            self._serve_link(link, ready)
        elif not self._room.serve(fd, self._apology()):
            self._reaper.serve(fd)

    def _read_signals(self) -> None:
        for number in self._signals.take():
            if number in LOOK_SIGNALS:
                self._look_at = 0.0
            if number in STOP_SIGNALS:
                self._take_stop(number)
            elif number == signal.SIGHUP:
                self._replace_worker()

    def _tend_link(self) -> None:
        if self._link is not None:
            self._link.wake(time.monotonic())
            # Left over where there was no memory for it.
            self._obey_all(self._link)
        if self._adoption is not None and self._adoption.is_complete():
            self._take_over(self._adoption)

    def _tend(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self._adoption is not None:
            return
        is_late = self._worker.is_late(self._is_greeted(), now)
        if self._link is not None and (self._link.is_broken or is_late):
            self._lose_worker()
        self._reaper.look(now)
        if self._worker.start_at is not None and now >= self._worker.start_at:
            self._start_worker()
        self._room.expire(now)
        is_hopeless = self._worker.is_hopeless(self._is_greeted(), now)
        self._room.open(self._holdings.doors() if is_hopeless else {})
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self._premises.need_a_look() and self._premises.look():
                self._pass_listener()

    def _is_greeted(self) -> bool:
        return self._link is not None and self._link.is_greeted

    def _start_worker(self) -> None:
        sock = self._worker.start()
        if sock is not None:
            self.use_link(sock)
            return
        self._report.line("ERROR", f"the worker cannot be started: {self._worker.told}; trying on")
        if self._stop.is_begun():
            self._stop_without_worker()

    def _serve_link(self, link: Link, ready: int) -> None:
        if ready & select.POLLOUT:
            link.flush()
        alive = not ready & ~select.POLLOUT or link.receive()
        self._obey_all(link)
        if not alive and self._link is link:
            self._lose_worker()

    def _obey_all(self, link: Link) -> None:
        """Do what has come; whoever sends what cannot be understood is replaced."""
        try:
            while (item := link.next_message()) is not None:
                self._obey(link, *item)
        except (OSError, ValueError, KeyError, IndexError, TypeError, KeeperError) as error:
            self._report.line("ERROR", f"worker link failed: {error!r}")
            if self._link is link:
                self._lose_worker()

    def _lose_worker(self) -> None:
        """The link is gone: make sure the worker is too, then schedule the next one."""
        assert self._link is not None
        self._link.close()
        self._link = None
        if self._adoption is not None:
            return
        if self._worker.is_ready:
            self._report.mark()
        pid, pause = self._worker.pid, self._worker.lost()
        if not self._stop.is_begun():
            self._report.line("WARN", f"worker ended pid={pid} restart_in={pause:.2f}s")
        elif self._stop.stage is Stage.WORKER:
            self._stop_without_worker()

    def _replace_worker(self) -> None:
        """End the worker (SIGHUP, `cw node restart`); losing its link starts the next one."""
        self._worker.hurry()
        if self._link is not None:
            self._worker.kill()

    def _obey(self, link: Link, message: protocol.Message, fds: list[int]) -> None:
        op = message["op"]
        if op == "hello":
            self._greet(link, message)
        elif op == "spawn":
            link.send(*self._roster.spawn(message))
        elif op == "ready":
            self._worker.ready()
            self._room.open({})
        elif op == "failing":
            self._worker.tell(str(message["reason"])[: protocol.MAX_REASON])
        elif op == "keep":
            self._holdings.keep(message["name"], fds)
        elif op == "restart":
            self._replace_worker()
        elif op == "stopped":
            self._stop.now()
        elif op == "abandon":
            self._roster.abandon(message)
        elif op == "adopt" and self._adoption is not None:
            self._adoption.begin(message, fds)
        elif op == "sessions":
            # After the adoption only from an older worker, which does not say how many follow.
            (self._adoption or Adoption()).add(self._roster, message, fds)
        else:
            self._roster.care(op, message)

    def _greet(self, link: Link, message: protocol.Message) -> None:
        try:
            protocol.check_version(message.get("version"))
        except KeeperError as error:
            link.send({"op": "refuse", "error": str(error)})
            return
        self._worker.take_grace(message.get("grace_seconds"))
        link.introduce(message)
        hello = self._holdings.hello(
            self._worker.restarts, self._premises.socket_path, self._roster.limit.limits
        )
        link.send(hello, self._holdings.fds())
        link.send_sessions(list(self._roster.children.values()))
        link.send({"op": "ready"})
        if self._stop.is_begun():
            link.send({"op": "stop"})

    def _pass_listener(self) -> None:
        """Give the worker the node's new socket; one that cannot take it is replaced."""
        if self._link is None or not self._link.is_greeted:
            return
        if protocol.FEATURE_LISTENER in self._link.features:
            self._link.send({"op": "listener"}, [self._premises.listener])
        else:
            self._replace_worker()

    def _apology(self) -> str:
        """Return why no worker serves, and what to do."""
        if self._stop.is_begun():
            return "the node is shutting down"
        why = self._worker.told or self._report.last_error() or self._worker.how
        return (
            f"the node's worker cannot start: {why or 'it is not ready yet'}; sessions are safe; "
            f"see {self._report.place()}, then run 'cw node restart'"
        )

    # Taking over from a keeper that died

    def _take_over(self, adoption: Adoption) -> None:
        """Be the node's keeper from now on: everything has come."""
        if self._link is None:
            return
        message = adoption.message
        self._holdings.adopt(adoption)
        # Ours is what the first keeper had raised it to.
        self._roster.limit = FileLimit(*message["file_limit"])
        self._report = Report(self._paths.node_log, self._holdings.is_detached)
        self._premises = Premises(self._paths, self._report)
        listener, lock = adoption.shared[:2]
        self._premises.adopt(message["socket"], listener, lock, self._holdings.claim())
        self._worker.adopt(message["worker_pid"], message["restarts"])
        self._worker.take_grace(message.get("grace_seconds"))
        self._link.introduce(message)
        self._reaper.tell_early_ends()
        self._look_at = 0.0
        self._report.line(
            "WARN", f"keeper replaced pid={os.getpid()} worker_pid={self._worker.pid}"
        )
        self._adoption = None
        if self._stop.is_begun():
            self._link.send({"op": "stop"})

    # Stopping

    def _take_stop(self, number: int) -> None:
        grace = self._worker.grace_seconds
        if not self._stop.asked(number, time.monotonic(), grace):
            if self._stop.stage is not Stage.NOW:
                self._report.tell("already shutting down; Ctrl-C twice or SIGQUIT ends it now")
            return
        self._report.tell("shutting down...")
        if self._adoption is not None:
            return
        if self._link is None:
            self._stop_without_worker()
        elif self._link.is_greeted:
            self._link.send({"op": "stop"})

    def _tend_stop(self) -> None:
        now = time.monotonic()
        is_hopeless = self._worker.is_hopeless(self._is_greeted(), now) and not self._adoption
        if self._stop.stage is Stage.WORKER and is_hopeless:
            self._stop_alone()
        text = self._stop.progress(now, len(self._roster.alive()))
        if text:
            self._report.tell(text)

    def _stop_without_worker(self) -> None:
        """Leave it to the next worker, who writes it down too; unless workers do not even start."""
        if self._stop.stage is not Stage.WORKER:
            return
        if self._worker.failed_starts < HOPELESS_STARTS:
            self._worker.start_at = time.monotonic()
        else:
            self._stop_alone()

    def _stop_alone(self) -> None:
        """Nobody else climbs the ladder: a polite signal, the grace time, then SIGKILL."""
        self._stop.alone(time.monotonic(), self._worker.grace_seconds)
        if self._link is not None:
            self._lose_worker()
        self._worker.start_at = None
        self._roster.signal_all(signal.SIGTERM)
        self._roster.signal_all(signal.SIGHUP)

    def _finish(self) -> int:
        """Kill what is left, let the worker write that down, and leave nothing behind."""
        for step in (self._kill_all, self._dismiss_worker, self._room.close, self._premises.leave):
            self._guard(step)
        return 0

    def _kill_all(self) -> None:
        for child in self._roster.kill_all(END_SECONDS, self._reaper.reap):
            self._report.line("ERROR", f"session {child.id} pid={child.pid} survives SIGKILL")

    def _dismiss_worker(self) -> None:
        pid = self._worker.pid if self._worker.is_alive() else 0
        if self._link is not None:
            self._link.wait_closed(END_SECONDS)
            self._lose_worker()
        self._worker.start_at = None
        if pid:
            await_end(pid, END_SECONDS)
