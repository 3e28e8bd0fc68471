"""The sweep: which calls each phase makes, the cells that follow from that, and running them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.faults.calls import PHASES, Cell, cells_of, parse_cell
from tests.faults.scenario import Outcome, Scenario
from tests.faults.strace import places

RUNTIMES = ("gevent", "threads")

# Those that CI runs: one of each kind of fault that was found to cost a node or a session. With
# few places a machine can be unwell in, the first call is enough.
QUICK = """
start keeper socketpair EMFILE once
start keeper execve EAGAIN 2s
start keeper send ENOMEM once
start worker open EMFILE 2s
start worker mkdir EROFS 2s
spawn keeper clone EAGAIN once
spawn keeper poll ENOMEM 2s
spawn keeper send ENOMEM once
spawn worker accept EMFILE 2s
spawn worker clone EAGAIN once
spawn worker epoll_ctl ENOMEM 2s
reap keeper poll ENOMEM once
reap keeper send ENOMEM once
reap worker recv ENOMEM once
reap worker read EIO 2s
reap worker rename ENOSPC 2s
reap worker splice ENOMEM 2s
reap worker splice ENOSPC once
takeover-worker keeper clone EAGAIN 2s
takeover-worker keeper socketpair EMFILE once
takeover-worker worker open EIO 2s
takeover-worker worker getdents EIO once
takeover-keeper worker clone EAGAIN 2s
takeover-keeper worker recv ENOMEM once
takeover-keeper keeper pidfd_open EMFILE once
takeover-keeper keeper write ENOSPC once
stop keeper write ENOSPC once
stop keeper send ENOMEM once
stop keeper unlink EROFS once
stop worker recv ENOMEM once
stop worker rename ENOSPC 2s
"""


def quick_cells() -> list[Cell]:
    """Return the cells of the short run."""
    return [parse_cell(line) for line in QUICK.strip().splitlines()]


def observe(phase: str, process: str, runtime: str) -> list[str]:
    """Return the calls a process makes in a phase, as strace reports them.

    Raises CannotTrace, and RuntimeError when not even an undisturbed node keeps the promise.
    """
    outcome = Scenario(Cell(phase, process, "", "", "2s"), runtime).run()
    if outcome.wrong:
        raise RuntimeError(f"{phase} {process}, without any fault: {outcome.wrong}\n{outcome.log}")
    return outcome.trace


def plan(
    runtime: str, jobs: int, most: int, phases: Iterable[str], processes: Iterable[str]
) -> list[Cell]:
    """Return the cells for the calls that are really made, a single fault at `most` places.

    Raises as `observe`.
    """
    parts = [
        (phase, process) for phase in phases for process in PHASES[phase] if process in processes
    ]
    with ThreadPoolExecutor(jobs) as pool:
        reports = list(pool.map(lambda part: observe(*part, runtime), parts))
    return [
        cell
        for part, lines in zip(parts, reports, strict=True)
        for cell in cells_of(*part, partial(places, lines), most)
    ]


def run_cells(
    cells: Iterable[tuple[Cell, str]], jobs: int, report: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run cells on their runtimes, `jobs` at a time; `report` is told of each in turn.

    Raises CannotTrace. What still runs when it is interrupted is ended first.
    """
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for outcome in pool.map(lambda pair: Scenario(*pair).run(), cells):
                report(outcome)
                outcomes.append(outcome)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes
