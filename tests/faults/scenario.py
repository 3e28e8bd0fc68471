"""One cell of the sweep: a node of its own, a phase of its life under a fault, then the promise."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from tests.faults import promise
from tests.faults.calls import DISK_ERRORS, Cell, is_in_data
from tests.faults.fault import GATE, Fault, NobodyThere, data_paths
from tests.faults.promise import REACHABLE_SECONDS, Broken, Launch, Sessions
from tests.faults.strace import DATA, injection, observation
from tests.processes import end_processes, is_alive
from tests.support import Home

START_SECONDS = 15.0
POLL_SECONDS = 0.05
# The node gathers changes for a quarter of a second before it writes them.
SETTLED_SECONDS = 0.6


@dataclass
class Outcome:
    """What came of one cell. `wrong` is empty when the promise was kept."""

    cell: Cell
    runtime: str
    wrong: list[str] = field(default_factory=list)
    # The call that was failed first, as strace shows it; "" when the phase made no such call.
    injected: str = ""
    seconds: float = 0.0
    # From the end of the fault to the first answer.
    reachable_after: float = 0.0
    trace: list[str] = field(default_factory=list)
    log: str = ""

    def is_only_untidy(self) -> bool:
        """Say whether all that is wrong is a traceback in the log."""
        return all(words.startswith("traceback") for words in self.wrong)


class Scenario:
    """Runs one cell; with a family of "" it only looks at what is called."""

    def __init__(self, cell: Cell, runtime: str) -> None:
        self.cell = cell
        self._outcome = Outcome(cell, runtime)
        self._home = Home(runtime)
        self._directory = tempfile.mkdtemp(prefix="cwf-", dir="/tmp")
        self._home.env.update(PYTHONPATH=GATE, FAULT_GATE=self._directory)
        self._sessions: Sessions | None = None
        self._keeper = 0
        self._well_at = 0.0
        self._ended: set[int] = set()

    def run(self) -> Outcome:
        """Run the cell and clean up. Raises CannotTrace."""
        started = time.monotonic()
        try:
            self._run()
        except (Broken, NobodyThere) as broken:
            self._outcome.wrong.append(str(broken))
        except (AssertionError, OSError, LookupError, ValueError) as error:
            self._outcome.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self._outcome.wrong += promise.check_output(self._home)
            self._outcome.log = self._home.node_output()[-3000:]
            self._clean_up()
        self._outcome.seconds = time.monotonic() - started
        return self._outcome

    def _run(self) -> None:
        os.mkdir(self._home.data_dir)
        with open(os.path.join(self._home.data_dir, "config.toml"), "w") as file:
            file.write("[node]\ngrace_seconds = 1\n")
        phase = self.cell.phase
        if phase == "start":
            self._start_under_fault()
        else:
            self._start_node()
            self._open_sessions()
            {
                "spawn": self._spawn,
                "reap": self._reap,
                "takeover-worker": self._lose_worker,
                "takeover-keeper": self._lose_keeper,
                "stop": self._stop,
            }[phase]()
        if phase != "stop":
            self._check_sessions()
            self._outcome.wrong += promise.check_stop(self._home)
        if phase in ("stop", "reap", "takeover-worker") and not self._home.processes():
            self._check_next_node()

    # The node

    def _start_node(self) -> None:
        """Start a node on a machine that is well, as a command would. Raises Broken."""
        self._spawn_node()
        self._await_answer(time.monotonic() + START_SECONDS)

    def _spawn_node(self) -> None:
        """Start a node as a command that finds none does: detached, with a log of its own."""
        with open(os.path.join(self._home.data_dir, "node.log"), "ab") as log:
            self._home.node = self._home.popen(
                "node",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"CODEWIRE_AUTOSTART": "1"},
            )
        self._keeper = self._home.node.pid

    def _await_answer(self, until: float) -> None:
        try:
            promise.listed(self._home, until)
        except Broken as broken:
            node = self._home.node
            ended = node.poll() if node is not None else None
            words = "" if ended is None else f" (the keeper ended: {ended})"
            raise Broken(f"not reachable{words}: {broken}") from broken

    def _open_sessions(self) -> None:
        sessions = Sessions(self._home)
        path = self._home.log_path(sessions.printing)
        promise.persist(lambda: _not_empty(path), time.monotonic() + 5)
        self._sessions = sessions

    @property
    def _its(self) -> Sessions:
        assert self._sessions is not None
        return self._sessions

    # The fault

    def _fault(self) -> Fault:
        is_single = self.cell.duration == "once"
        return Fault(self._directory, self._tracing, is_single=is_single)

    def _tracing(self, pid: int) -> list[str]:
        """Return the options of strace for a process that the fault is to hit."""
        family, error = self.cell.family, self.cell.error
        if not family:
            return observation()
        when = str(self.cell.at) + ("" if self.cell.duration == "once" else "+")
        paths = data_paths(self._home.data_dir, pid) if is_in_data(family, error) else []
        return injection(family, error, when, paths)

    def _over(self, fault: Fault) -> None:
        """End the fault, and note what it did."""
        fault.end()
        self._well_at = time.monotonic()
        injected = fault.injected()
        self._outcome.injected = injected[0] if injected else ""
        self._outcome.trace = [line.replace(self._home.data_dir, DATA) for line in fault.lines()]

    def _recover(self, starting: subprocess.Popen[bytes] | None = None) -> None:
        """The machine is well: the node must answer, or, still starting, end. Raises Broken."""
        until = self._well_at + REACHABLE_SECONDS
        while True:
            try:
                self._await_answer(min(until, time.monotonic() + POLL_SECONDS))
                break
            except Broken:
                if starting is not None and starting.poll() is not None:
                    return
                if time.monotonic() > until:
                    raise
        self._outcome.reachable_after = time.monotonic() - self._well_at

    # Phases

    def _start_under_fault(self) -> None:
        with self._fault() as fault:
            fault.await_new(self.cell.process)
            self._spawn_node()
            fault.last()
            self._over(fault)
            node = self._home.node
            assert node is not None
            self._recover(node)
            if node.poll() is not None:
                # It may give up before it has ever served: in one line, and with nothing left.
                self._outcome.wrong += self._check_given_up(node.returncode)
                self._start_node()
        self._open_sessions()

    def _check_given_up(self, status: int) -> list[str]:
        text = self._home.node_output()
        wrong = self._left_behind()
        errors = [line for line in text.splitlines() if line.startswith("Error: ")]
        # What fails for good may be the words themselves.
        least = 0 if self.cell.family == "write" else 1
        if status != 1 or not least <= len(errors) <= 1:
            wrong.append(f"the node ended at its start: status {status}, said {text[-300:]!r}")
        return wrong

    def _spawn(self) -> None:
        launch = Launch(self._home)
        with self._fault() as fault:
            fault.attach(self._pid())
            launch.start()
            fault.last()
            self._over(fault)
            self._recover()
        until = self._well_at + REACHABLE_SECONDS
        self._outcome.wrong += launch.check(until, may_have_gaps=self._has_gaps())

    def _reap(self) -> None:
        with self._fault() as fault:
            fault.attach(self._pid())
            self._its.end_ending()
            fault.last()
            self._over(fault)
            self._recover()

    def _lose_worker(self) -> None:
        """The worker is killed; the session that is told to end does so without one."""
        with self._fault() as fault:
            worker = self._home.worker_pid
            if self.cell.process == "worker":
                fault.await_new("worker")
            else:
                fault.attach(self._keeper)
            end_processes([worker])
            self._its.end_ending()
            fault.last()
            self._over(fault)
            self._recover()

    def _lose_keeper(self) -> None:
        with self._fault() as fault:
            if self.cell.process == "keeper":
                fault.await_new("keeper")
            else:
                fault.attach(self._home.worker_pid)
            end_processes([self._keeper])
            fault.last()
            self._over(fault)
            self._recover()

    def _stop(self) -> None:
        """A stop under the fault may fail, if it says so; once the machine is well it may not."""
        self._its.end_ending()
        until = time.monotonic() + REACHABLE_SECONDS
        self._outcome.wrong += promise.check_end(
            self._home, self._its.ending, promise.ENDING_CODE, until, may_be_lost=False
        )
        # Whatever is wrong with the disk now, this end was to be written down before.
        time.sleep(SETTLED_SECONDS)
        with self._fault() as fault:
            fault.attach(self._pid())
            command = self._home.popen("stop")
            fault.last()
            self._over(fault)
        try:
            _, words = command.communicate(timeout=promise.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            command.communicate()
            raise Broken(f"cw stop did not return within {promise.STOP_SECONDS:.0f} s") from None
        if command.returncode == 0:
            self._outcome.wrong += self._left_behind()
        elif self._home.processes():
            self._outcome.wrong += promise.check_stop(self._home)
        if b"Traceback" in words:
            self._outcome.wrong.append(f"cw stop: traceback: {words[-200:]!r}")

    def _left_behind(self) -> list[str]:
        """Return what is left of a node that ended under the fault, but for what that explains."""
        wrong = promise.leftovers(self._home, 1.0)
        if self.cell.family == "unlink":
            wrong = [words for words in wrong if not words.startswith("left behind")]
        return wrong

    def _pid(self) -> int:
        return self._keeper if self.cell.process == "keeper" else self._home.worker_pid

    def _has_gaps(self) -> bool:
        """Say whether the fault may have been in the disk under the logs: then output is lost."""
        return self.cell.error in DISK_ERRORS and self.cell.process == "worker"

    # Afterwards

    def _check_sessions(self) -> None:
        """Check everything that is promised about sessions, and end all but the silent one."""
        its, home = self._its, self._home
        until = max(self._well_at + REACHABLE_SECONDS, time.monotonic() + 2)
        was_replaced = self.cell.phase == "takeover-keeper"
        has_gaps = self._has_gaps()
        ended = {its.ending} if self.cell.phase in ("reap", "takeover-worker") else set()
        wrong = self._outcome.wrong
        if not was_replaced and not is_alive(self._keeper):
            wrong.append("the keeper died")
        wrong += promise.check_alive(its, until, ended)
        wrong += promise.check_new(home, until)
        its.end_ending()
        its.end_printing()
        until = max(until, time.monotonic() + 3)
        ends = ((its.ending, promise.ENDING_CODE), (its.printing, promise.PRINTER_CODE))
        for number, code in ends:
            wrong += promise.check_end(home, number, code, until, may_be_lost=was_replaced)
        logs = ((its.ending, b"last\r\n"), (its.printing, its.printed()))
        for number, right in logs:
            wrong += promise.check_log(home, number, right, until, may_have_gaps=has_gaps)

    def _check_next_node(self) -> None:
        """Start another node: how the sessions ended must have been written down."""
        self._start_node()
        infos = promise.listed(self._home, time.monotonic() + REACHABLE_SECONDS)
        wrong = promise.wrong_end(
            self._its.ending,
            infos.get(self._its.ending, {}),
            promise.ENDING_CODE,
            may_be_lost=False,
        )
        for number in (self._its.printing, self._its.silent):
            if infos.get(number, {}).get("status", "running") == "running":
                wrong.append(
                    f"session {number}: {infos.get(number, {}).get('status')!r} after stop"
                )
        self._outcome.wrong += [f"next node: {words}" for words in wrong]
        self._outcome.wrong += promise.check_stop(self._home)

    def _clean_up(self) -> None:
        """End whatever is left, by pid, and remove what was written."""
        home = self._home
        home.expects_leftovers = home.expects_tracebacks = True
        while pids := home.processes():
            end_processes(pids)
            time.sleep(0.02)
        home.close()
        for name in os.listdir(self._directory):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._directory, name))
        os.rmdir(self._directory)


def _not_empty(path: str) -> bool:
    if not os.path.getsize(path):
        raise ValueError(f"{path} is empty")
    return True
