"""The short sweep: one fault of each kind that would cost a session, or the node.

The full one is `tests/faults/run`; what is promised is in docs/reliability.md.
"""

from __future__ import annotations

import pytest

from tests.faults.calls import Cell
from tests.faults.scenario import Outcome
from tests.faults.sweep import RUNTIMES, quick_cells, run_cells

# Broken cells wait for what does not come: then it takes several times the half minute.
pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(300)]

# Most of a cell is waiting.
JOBS = 4

CELLS = quick_cells()


@pytest.fixture(scope="module")
def outcomes() -> dict[Cell, Outcome]:
    """What came of each cell. They take turns with the runtimes: little differs between these."""
    pairs = [(cell, RUNTIMES[n % len(RUNTIMES)]) for n, cell in enumerate(CELLS)]
    return {outcome.cell: outcome for outcome in run_cells(pairs, JOBS, lambda _: None)}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_promises_are_kept(cell: Cell, outcomes: dict[Cell, Outcome]) -> None:
    outcome = outcomes[cell]
    assert outcome.injected, f"the call was not made ({outcome.runtime}): {outcome.log}"
    assert outcome.wrong == [], f"on {outcome.runtime}; the node's log:\n{outcome.log}"
