"""SessionInfo of many sessions shares one frame."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codewire.io.clock import CLOCK
from codewire.node.handlers.views import fit_frame, session_info
from codewire.session.records.record import Record, Status

LONG = st.text(max_size=300)


def test_infos_that_fit_stay_as_they_are() -> None:
    """Nothing is cut without need."""
    infos = [{"id": 1, "prompt": "sleep 5", "tags": ["a"], "last_output_snippet": "x" * 500}]
    assert fit_frame([dict(infos[0])], budget=1000) == infos


def test_output_keeps_its_end_and_a_command_line_its_start() -> None:
    """What is cut is what matters least."""
    text = "".join(chr(ord("a") + i % 26) for i in range(4096))
    [info] = fit_frame([{"prompt": text, "last_output_snippet": text}], budget=2000)
    assert text.startswith(info["prompt"]) and len(info["prompt"]) > 100
    assert text.endswith(info["last_output_snippet"]) and len(info["last_output_snippet"]) > 100


@given(st.lists(st.tuples(LONG, LONG, st.lists(LONG, max_size=4)), max_size=6), st.integers(0, 900))
def test_never_over_budget(rows: list[tuple[str, str, list[str]]], budget: int) -> None:
    """Whatever the texts hold, the cut ones fit, or nothing is left to cut."""
    infos: list[dict[str, Any]] = [
        {"last_output_snippet": snippet, "prompt": prompt, "tags": tags}
        for snippet, prompt, tags in rows
    ]
    fit_frame(infos, budget)
    # An empty text is two bytes and stays.
    left = [info[key] for info in infos for key in info if info[key]]
    assert sum(len(json.dumps(value)) for value in left) <= budget


def info_of(record: Record, **fields: Any) -> dict[str, Any]:
    """Return the SessionInfo of a session that has this record and says this of itself."""
    observer = SimpleNamespace(catch_up=lambda session: None)
    relauncher = SimpleNamespace(is_restorable=lambda session: False)
    node: Any = SimpleNamespace(
        sessions=SimpleNamespace(observer=observer, relauncher=relauncher),
        settings=SimpleNamespace(restore="ask"),
    )
    says = {
        "attached_count": 0,
        "log_status": lambda: None,
        "is_running": lambda: True,
        "is_halted": lambda: False,
        "duration_ms": lambda: 5,
        "agent": None,
    }
    session: Any = SimpleNamespace(record=record, **(says | fields))
    return session_info(node, session)


def test_a_status_that_says_it_ended_says_how() -> None:
    """Settled is told first, that it has ended to whoever waits a moment later."""
    record = Record(id=1, argv=["x"], working_dir="/", created_ns=1)
    record.exit_code, record.end_reason, record.completed_ns = 3, "exited", 2
    record.status = Status.COMPLETED
    info = info_of(record)
    assert (info["status"], info["exit_code"], info["end_reason"]) == ("completed (3)", 3, "exited")
    assert info["duration_ms"] == 5


def test_a_clock_that_was_set_makes_nothing_idle() -> None:
    """How long a running session has been silent is not told by the time of day."""
    record = Record(id=1, argv=["x"], working_dir="/", created_ns=1)
    a_day_ago = CLOCK.wall_ns() - 86_400 * 1_000_000_000
    info = info_of(record, log_status=lambda: (5, a_day_ago), idle_seconds=lambda: 3.7)
    assert info["idle_seconds"] == 3
