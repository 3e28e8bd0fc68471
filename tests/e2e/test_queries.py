"""Who answers terminal queries: the node once while nobody is attached, else the client's terminal.

Every query, cut at every byte, from a program that waits for its answer as agents' TUIs do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rawwire import RawConnection
from tests.support import Home, wait_until

ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "DA1": (b"\x1b[c", b"\x1b[?6c"),
    "DA2": (b"\x1b[>c", b"\x1b[>0;0;0c"),
    "DSR": (b"\x1b[5n", b"\x1b[0n"),
    "cursor": (b"\x1b[6n", b"\x1b[3;5R"),
    "palette": (b"\x1b]4;1;?\x07", b"\x1b]4;1;rgb:cdcd/0000/0000\x07"),
    "foreground": (b"\x1b]10;?\x07", b"\x1b]10;rgb:c0c0/c0c0/c0c0\x07"),
    "background": (b"\x1b]11;?\x1b\\", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    "cursor colour": (b"\x1b]12;?\x07", b"\x1b]12;rgb:c0c0/c0c0/c0c0\x07"),
    "XTVERSION": (b"\x1b[>q", b"\x1bP>|cw\x1b\\"),
    "kitty": (b"\x1b[?u", b"\x1b[?5u"),
    "DECRQM": (b"\x1b[?2004$p", b"\x1b[?2004;1$y"),
    "DECRQM of sizes": (b"\x1b[?2048$p", b"\x1b[?2048;0$y"),
    "XTGETTCAP": (b"\x1bP+q436f\x1b\\", b"\x1bP1+r436f=323536\x1b\\"),
}
# What the node answers whoever is attached: its reports are read by the node.
STATUS = b"\x1b]7501;?\x1b\\"
# The modes some answers tell of, and a cursor at row 3, column 5.
SETUP = b"\x1b[>5u\x1b[?2004h\x1b[3;5H"

# Prints the lines of a file as they are appended (each a JSON list of pieces), and writes down, for
# each, what was typed back within a moment.
ASKER = """
import json, os, select, sys, termios, time, tty
tty.setraw(0)
script, replies = sys.argv[1:3]
os.write(1, json.loads(open(script).readline())[0].encode("latin-1"))
done = 1
while True:
    # What follows the last newline is a line that is still being written.
    *lines, _ = open(script).read().split("\\n")
    if len(lines) <= done:
        time.sleep(0.005)
        continue
    *pieces, want, patience = json.loads(lines[done])
    done += 1
    for piece in pieces:
        os.write(1, piece.encode("latin-1"))
        if len(pieces) > 1:
            time.sleep(0.002)
    got, end = b"", time.monotonic() + patience
    while time.monotonic() < end and len(got) < want:
        if select.select([0], [], [], 0.01)[0]:
            got += os.read(0, 4096)
    if select.select([0], [], [], 0.02)[0]:
        got += os.read(0, 4096)
    with open(replies, "a") as file:
        file.write(json.dumps(got.decode("latin-1")) + "\\n")
"""


class Asker:
    """A session that asks what it is told to ask."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._script = Path(home.path, "script")
        self._replies = Path(home.path, "replies")
        self._script.write_text(json.dumps([SETUP.decode("latin-1")]) + "\n")
        self._replies.write_text("")
        self.asked = 0
        program = Path(home.path, "asker.py")
        program.write_text(ASKER)
        self.id = home.launch(sys.executable, str(program), str(self._script), str(self._replies))
        wait_until(lambda: home.log(self.id) == SETUP, 30, "the asker runs")

    def ask(self, *pieces: bytes, want: int, patience: float = 30.0) -> bytes:
        """Print the pieces and return what was typed back: after `want` bytes, or `patience`."""
        line = [*(piece.decode("latin-1") for piece in pieces), want, patience]
        with self._script.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.asked += 1
        wait_until(
            lambda: len(self._lines()) == self.asked, patience + 30, "the reply was written down"
        )
        reply = json.loads(self._lines()[-1])
        assert isinstance(reply, str)
        return reply.encode("latin-1")

    def _lines(self) -> list[str]:
        *lines, _ = self._replies.read_text().split("\n")
        return lines

    def attach(self, **fields: object) -> RawConnection:
        connection = self.home.connect()
        connection.send_control({"type": "Attach", "id": self.id, **fields})
        assert connection.receive_control()["type"] == "Attached"
        return connection


@pytest.fixture(params=["gevent", "threads"])
def asker(request: pytest.FixtureRequest) -> Iterator[Asker]:
    home = Home(request.param)
    try:
        home.start_node()
        yield Asker(home)
    finally:
        home.close()


def test_answered_exactly_once_while_detached_however_cut(asker: Asker) -> None:
    for query, expected in ANSWERS.values():
        assert asker.ask(query, want=len(expected)) == expected
        for cut in range(1, len(query)):
            pieces = (query[:cut], query[cut:])
            assert asker.ask(*pieces, want=len(expected)) == expected, (query, cut)
    everything = b"".join(query for query, _ in ANSWERS.values())
    answers = b"".join(expected for _, expected in ANSWERS.values())
    assert asker.ask(everything, want=len(answers)) == answers


def test_never_answered_while_attached_and_again_after_detaching(asker: Asker) -> None:
    with asker.attach(include_history=False) as client:
        for query, _ in ANSWERS.values():
            assert asker.ask(query, want=1, patience=0.15) == b""
        client.send_control({"type": "Detach"})
        while client.receive()[0] == 1:
            pass
    wait_until(lambda: not asker.home.session(asker.id)["attached"], 30, "detached")
    for query, expected in ANSWERS.values():
        assert asker.ask(query, want=len(expected)) == expected


def test_the_question_for_a_status_is_always_answered_once_and_first(asker: Asker) -> None:
    both = STATUS + b"\x1b[c"
    assert asker.ask(both, want=len(STATUS) + 5) == STATUS + b"\x1b[?6c"
    with asker.attach(include_history=False) as one, asker.attach(history="terminal") as other:
        for cut in (0, 1, 5, len(STATUS) - 1):
            pieces = [piece for piece in (STATUS[:cut], STATUS[cut:]) if piece]
            assert asker.ask(*pieces, want=len(STATUS)) == STATUS, cut
        assert asker.ask(both, want=len(STATUS), patience=5) == STATUS
        # Behind output that is large enough not to be read on its way.
        assert asker.ask(100_000 * b"x" + STATUS, want=len(STATUS)) == STATUS
        one.send_control({"type": "Detach"})
        other.send_control({"type": "Detach"})
    wait_until(lambda: not asker.home.session(asker.id)["attached"], 30, "detached")
    assert asker.ask(STATUS, want=len(STATUS)) == STATUS


def test_other_clients_get_the_log_byte_for_byte(asker: Asker) -> None:
    for query, expected in ANSWERS.values():
        assert asker.ask(b"\x1b[3;4H<", query, b">", want=len(expected)) == expected
    written = asker.home.log(asker.id)
    with asker.attach() as client:
        assert client.read_output_until(written[-40:]) == written


@pytest.mark.parametrize("history", ["all", "terminal"])
def test_a_replay_holds_no_query_that_was_answered(asker: Asker, history: str | None) -> None:
    for query, expected in ANSWERS.values():
        assert asker.ask(b"\x1b[3;4H<", query, b">", want=len(expected)) == expected
    end = len(asker.home.log(asker.id))
    seen = b""
    with asker.attach(history=history) as client:
        while len(seen) < end:
            kind, data = client.receive()
            assert kind == 1
            seen += data
        assert seen.count(b"<\0") == len(ANSWERS), seen
        assert not any(query in seen for query, _ in ANSWERS.values())
        # What is asked from now on is the client's.
        assert asker.ask(b"\x1b[c", want=1, patience=0.15) == b""
        assert client.receive()[1] == b"\x1b[c"


@pytest.mark.alone
def test_answers_come_soon(asker: Asker) -> None:
    times = []
    for _ in range(20):
        started = time.monotonic()
        assert asker.ask(b"\x1b[c", want=5) == b"\x1b[?6c"
        times.append(time.monotonic() - started)
    assert sorted(times)[10] < 0.5


def test_answers_survive_a_killed_worker(asker: Asker) -> None:
    assert asker.ask(b"\x1b[c", want=5) == b"\x1b[?6c"
    asker.home.kill_worker()
    assert asker.ask(b"\x1b[5n", want=4) == b"\x1b[0n"


def test_a_client_that_comes_back_after_a_killed_worker_answers(asker: Asker) -> None:
    offset = len(asker.home.log(asker.id))
    with asker.attach(include_history=False):
        asker.home.kill_worker()
        with asker.attach(from_offset=offset) as client:
            assert asker.ask(b"\x1b[c", want=1, patience=1.5) == b""
            assert client.receive()[1] == b"\x1b[c"


def test_it_can_be_switched_off() -> None:
    home = Home()
    try:
        home.env["CW_NO_TTY_QUERIES"] = "1"
        home.start_node()
        assert Asker(home).ask(b"\x1b[c", want=1, patience=0.5) == b""
    finally:
        home.close()
