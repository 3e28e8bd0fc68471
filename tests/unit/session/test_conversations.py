"""Whose conversation a hook tells of, where one process reports for several sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from codewire.agents.programs import Program
from codewire.agents.resuming import Resuming, made_ms
from codewire.session.conversations import whose

# Made at 1000, 2000, 3000 and 9000 ms.
IDS = [
    f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7abc-8def-0123456789ab" for ms in (1000, 2000, 3000, 9000)
]
CODEX = Program("codex", resume=Resuming(("resume", "{id}"), shared=True))
CLAUDE = Program("claude", resume=Resuming(("--resume", "{id}")))


def session(
    created_ms: int, known: str = "", *, program: Program = CODEX, changed: int = 0, argv: str = ""
) -> Any:
    resume = {"id": known, "by": "hook"} if known else {}
    record = SimpleNamespace(
        created_ns=created_ms * 1_000_000, resume=resume, argv=["codex", *argv.split()]
    )
    told = SimpleNamespace(since_ns=changed)
    return SimpleNamespace(record=record, agent=SimpleNamespace(program=program, told=told))


def test_ids_say_when_they_were_made() -> None:
    assert made_ms(IDS[1]) == 2000
    assert made_ms("142c4c62-f6db-476e-9cc4-c2a6dc5d588e") is None
    assert made_ms("conv-1") is None


def test_a_new_conversation_is_of_the_last_session_that_was_there_and_has_none() -> None:
    first, second, third = session(900), session(1900), session(2900)
    everybody = [first, second, third]
    # All hooks run in the environment of the first.
    assert [whose(named, first, everybody) for named in IDS[:3]] == everybody


def test_a_known_one_stays_where_it_is() -> None:
    first, second = session(900, IDS[0]), session(1900, IDS[3])
    assert whose(IDS[3], first, [first, second]) is second
    again = session(5000, argv=f"resume {IDS[1]}")
    assert whose(IDS[1], first, [first, second, again]) is again


def test_the_second_one_in_a_terminal_is_of_the_one_that_has_just_moved() -> None:
    first, second = session(900, IDS[0], changed=5), session(1900, IDS[1], changed=9)
    assert whose(IDS[3], first, [first, second]) is second
    # Older than all of them: it was taken up again within the program.
    assert whose(IDS[0].replace("7abc", "7abd"), first, [session(2000, changed=1), first]) is first


@pytest.mark.parametrize("named", ["", "142c4c62-f6db-476e-9cc4-c2a6dc5d588e"])
def test_programs_that_report_for_themselves_are_taken_at_their_word(named: str) -> None:
    first, second = session(900, program=CLAUDE), session(1900, program=CLAUDE, changed=9)
    assert whose(named, first, [first, second]) is first
    bare = SimpleNamespace(record=first.record, agent=None)
    assert whose(IDS[0], bare, [second]) is bare


def test_an_ended_session_hands_over_to_those_that_run() -> None:
    ended, second = session(900, IDS[0]), session(1900)
    assert whose(IDS[1], ended, [second, session(1950, program=CLAUDE)]) is second
    assert whose(IDS[1], ended, []) is ended
