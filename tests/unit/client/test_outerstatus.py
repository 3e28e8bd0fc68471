"""The state told to the terminal around: asked once, the answer is no key, told as it changes."""

from __future__ import annotations

import base64

import pytest

from codewire.client.attaching.keys import CHORD_SECONDS, Keys
from codewire.client.attaching.outerstatus import CLEAR, QUERY, OuterStatus
from codewire.term.chord import DETACH
from codewire.term.programstatus import Report, parse_report

ANSWERS = (QUERY, b"\x1b]7501;?\x07")


def told(status: OuterStatus) -> Report | None:
    data = status.due()
    return parse_report(data[len(b"\x1b]7501;") : -2]) if data else None


def joined(events: list[bytes | object]) -> bytes:
    assert DETACH not in events
    return b"".join(event for event in events if isinstance(event, bytes))


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_no_key_however_it_is_cut(answer: bytes) -> None:
    for cut in range(len(answer) + 1):
        status = OuterStatus("xterm")
        keys = Keys("b", status, 0.0)
        typed = joined(keys.feed(b"ab" + answer[:cut], 0.0))
        typed += joined(keys.feed(answer[cut:] + b"cd", 0.01))
        assert typed == b"abcd", cut
        assert status.is_known and keys.due is None


def test_what_is_no_answer_is_typed_after_a_moment() -> None:
    for begun in (b"\x1b", b"\x1b]", b"\x1b]7501;?", b"\x1b]7501;?\x1b"):
        keys = Keys("b", OuterStatus("xterm"), 0.0)
        assert joined(keys.feed(b"x" + begun, 1.0)) == b"x"
        assert keys.due == 1.0 + CHORD_SECONDS
        assert keys.flush() == begun
    keys = Keys("b", OuterStatus("xterm"), 0.0)
    assert joined(keys.feed(b"\x1b]11;rgb:0/0/0\x07\x1b]7501;x", 0.0)) == (
        b"\x1b]11;rgb:0/0/0\x07\x1b]7501;x"
    )
    pasted = b"\x1b[200~" + b"half"
    assert joined(keys.feed(pasted, 0.1)) == pasted
    assert joined(keys.feed(QUERY, 0.2)) == QUERY
    assert DETACH in keys.feed(b"\x1b[201~\x02d", 0.3)


def test_only_a_terminal_that_answered_is_told() -> None:
    status = OuterStatus("xterm")
    status.take({"state": "working"})
    assert (status.due(), status.leave()) == (b"", b"")
    status.feed(QUERY)
    assert told(status) == Report("working", app="cw")
    assert (status.due(), status.leave()) == (b"", CLEAR)
    status.again()
    assert told(status) == Report("working", app="cw")
    for term in ("dumb", "linux", ""):
        assert OuterStatus(term).query == b""


def test_what_is_told() -> None:
    status = OuterStatus("xterm")
    status.feed(QUERY)
    for state, expected in (
        (
            {"state": "blocked", "kind": "permission", "reason": "rm x?", "agent": "claude"},
            Report("blocked", "permission", "claude", message="rm x?"),
        ),
        ({"state": "working", "agent": "; rm"}, Report("working", app="cw")),
        # Whether somebody has seen it, the terminal around knows.
        ({"state": "idle"}, Report("done", app="cw")),
        ({"state": "idle", "reason": "x"}, Report("idle", app="cw", message="x")),
        ({"state": "stopped"}, Report("idle", app="cw")),
        # The program says it in its own output, which is passed on.
        ({"state": "working", "source": "report"}, None),
        ({"state": 5}, Report("idle", app="cw")),
    ):
        status.take(state)
        assert told(status) == expected, state
    assert base64.b64encode(b"rm x?") not in status.due()


def test_a_report_made_before_is_told_at_first() -> None:
    status = OuterStatus("xterm")
    status.feed(QUERY)
    status.take({"state": "blocked", "source": "report"})
    assert told(status) == Report("blocked", app="cw")
