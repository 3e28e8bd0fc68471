"""The short sweep: one fault of each kind that would cost a session, or the node.

The full one is `tests/faults/run`; what is promised is in docs/reliability.md.
"""

from __future__ import annotations

import pytest

from tests.conftest import RUNTIMES
from tests.faults.calls import PHASES
from tests.faults.sweep import quick_cells, run_cells

pytestmark = [pytest.mark.alone, pytest.mark.slow]

# Most of a cell is waiting.
JOBS = 4


@pytest.mark.parametrize("phase", PHASES)
def test_promises_are_kept_under_faults(phase: str) -> None:
    cells = [cell for cell in quick_cells() if cell.phase == phase]
    # Each runtime has every other cell: what differs between them is a small part of it.
    outcomes = [
        outcome
        for turn, runtime in enumerate(RUNTIMES)
        for outcome in run_cells(cells[turn :: len(RUNTIMES)], runtime, JOBS, lambda _: None)
    ]
    assert [f"{each.cell}: the call was not made" for each in outcomes if not each.injected] == []
    broken = [
        f"{each.cell} ({each.runtime}): {'; '.join(each.wrong)}" for each in outcomes if each.wrong
    ]
    logs = "\n".join(f"{each.cell}:\n{each.log}" for each in outcomes if each.wrong)
    assert broken == [], logs
