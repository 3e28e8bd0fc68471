"""How often the rules are right on what real programs print (docs/agents.md has the table)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.recordings import NAMES, SIZES, confusion, samples, share_right

# Minutes of recordings for rules that are the same on every Python.
pytestmark = pytest.mark.slow

GENERIC_SHARE, OWN_SHARE, EACH_SHARE, SIZES_SHARE = 0.96, 0.98, 0.96, 0.94


def test_there_are_recordings() -> None:
    assert len(NAMES) == 6 and len(SIZES) == 5


def test_rules_that_know_no_program() -> None:
    table: Counter[tuple[str, str]] = Counter()
    for name in NAMES:
        table += confusion(samples(name, knows_program=False))
    assert sum(table.values()) > 700
    assert share_right(table) >= GENERIC_SHARE, table


def test_reports_and_the_programs_own_rules() -> None:
    total: Counter[tuple[str, str]] = Counter()
    for name in NAMES:
        table = confusion(samples(name, knows_program=True))
        assert share_right(table) >= EACH_SHARE, (name, table)
        total += table
    assert share_right(total) >= OWN_SHARE, total


@pytest.mark.parametrize("name", SIZES)
def test_other_sizes(name: str) -> None:
    for knows_program in (True, False):
        table = confusion(samples(name, knows_program=knows_program))
        assert share_right(table) >= SIZES_SHARE, table


@pytest.mark.parametrize("name", NAMES + SIZES)
def test_no_false_alarm_lasts(name: str) -> None:
    run = 0.0
    for sample in samples(name, knows_program=True):
        is_false = sample.said == "blocked" != sample.truth and sample.source != "report"
        run = run + 0.5 if is_false else 0.0
        assert run <= 1.5, sample


@pytest.mark.parametrize("name", NAMES + SIZES)
def test_a_decision_is_seen_within_a_second(name: str) -> None:
    """With half a second for the label, at both ends, and half for the step between two looks."""
    late = [
        sample
        for sample in samples(name, knows_program=True)
        if sample.truth == "blocked" != sample.said
        and sample.since + 2.0 <= sample.at <= sample.until - 0.5
    ]
    assert late == []


@pytest.mark.parametrize("name", NAMES)
def test_only_a_program_itself_speaks_of_a_login(name: str) -> None:
    kinds = {(s.kind, s.source) for s in samples(name, knows_program=True)}
    assert all(source == "report" for kind, source in kinds if kind == "auth")
