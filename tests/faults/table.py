"""The sweep's results as a Markdown table, and the place in a document where it stands."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from tests.faults.calls import DURATIONS, ERRORS, PHASES
from tests.faults.scenario import Outcome

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def table(outcomes: list[Outcome]) -> str:
    """Return the table: a row for each call of a process in a phase, a column for each error."""
    rows: dict[tuple[str, str, str], dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        key = (cell.phase, cell.process, cell.family)
        rows.setdefault(key, {}).setdefault(cell.error, []).append(outcome)
    order = [(phase, process) for phase, processes in PHASES.items() for process in processes]
    lines = [
        f"| phase | process | call | {' | '.join(ERRORS)} |",
        f"|---|---|---|{'---|' * len(ERRORS)}",
    ]
    for phase, process, family in sorted(rows, key=lambda key: (order.index(key[:2]), key[2])):
        by_error = rows[phase, process, family]
        marks = [_mark(by_error.get(error, [])) for error in ERRORS]
        lines.append(f"| {phase} | {process} | {family} | {' | '.join(marks)} |")
    return "\n".join(lines)


def _mark(outcomes: list[Outcome]) -> str:
    """Return `once / 2s`: + kept, - broken and t untidy (at how many places), . not called."""
    counts = [
        _count([each for each in outcomes if each.cell.duration == duration])
        for duration in DURATIONS
    ]
    return " / ".join(counts) if outcomes else ""


def _count(outcomes: list[Outcome]) -> str:
    reached = [outcome for outcome in outcomes if outcome.injected or outcome.wrong]
    broken = [outcome for outcome in reached if outcome.wrong]
    if not reached:
        return "." if outcomes else " "
    if not broken:
        return "+"
    letter = "t" if all(outcome.is_only_untidy() for outcome in broken) else "-"
    places = "" if len(reached) == 1 else f"{len(broken)}/{len(reached)}"
    return f"**{letter}{places}**"


def summary(outcomes: list[Outcome]) -> str:
    """Return one paragraph of figures."""
    reached = [outcome for outcome in outcomes if outcome.injected or outcome.wrong]
    broken = [outcome for outcome in reached if outcome.wrong]
    untidy = sum(outcome.is_only_untidy() for outcome in broken)
    slowest = max((outcome.reachable_after for outcome in reached), default=0.0)
    runtimes = " and ".join(sorted({outcome.runtime for outcome in outcomes}))
    return (
        f"{len(reached)} faults ({runtimes}, Python {platform.python_version()}, "
        f"Linux {platform.release()}): {len(reached) - len(broken)} passed, {len(broken)} failed "
        f"({untidy} of them by nothing but a traceback in the log); "
        f"the slowest node was reachable again after {slowest:.2f} s."
    )


def failures(outcomes: list[Outcome]) -> str:
    """Return a line for each broken cell."""
    return "\n".join(
        f"- `{outcome.cell}` ({outcome.runtime}): {'; '.join(outcome.wrong)}"
        for outcome in outcomes
        if outcome.wrong
    )


def put_into(path: Path, text: str) -> None:
    """Replace what stands between the marks in a document. Raises ValueError without them."""
    whole = path.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(whole):
        raise ValueError(f"{path} has no place for the table ({BEGIN} … {END})")
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", whole))
