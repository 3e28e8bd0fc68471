"""What is promised, asked from outside: reachable, sessions alive, logs whole, ends known.

Each check returns what is wrong in words, nothing when all is well.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import printer
from tests.processes import command_line, is_alive
from tests.rawwire import DATA, RawConnection
from tests.support import Home

REACHABLE_SECONDS = 5.0
STOP_SECONDS = 12.0
# A node that answers others is no longer waited for on a connection that got nothing so long.
ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.02

# As our own client: a launch takes its time, and is not given up while the connection holds.
LAUNCH_SECONDS = 10.0

LAUNCH_CODE = 4
PRINTER_CODE, ENDING_CODE, NEW_CODE = 5, 7, 3
SEED, LINES, MANY = 1, 5, 100_000

ENDING = f"while [ ! -e go ]; do sleep 0.03; done; echo last; exit {ENDING_CODE}"
NEW = f"echo hello; exit {NEW_CODE}"

LOG_LINE = re.compile(r"\d{4}/\d\d/\d\d ")
FRAME = re.compile(r'File "(.*)", line (\d+), in (\w+)')


class Broken(Exception):
    """The promise is broken so badly that nothing more can be asked."""


class Sessions:
    """The three sessions of a scenario: one prints, one ends when told, one is silent."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._total = os.path.join(home.path, "total")
        self._stop = os.path.join(home.path, "stop")
        self.printing = home.launch(
            *printer.command("flood", SEED, PRINTER_CODE, LINES, MANY, self._stop, self._total)
        )
        self.ending = home.launch("/bin/sh", "-c", ENDING)
        self.silent = home.launch("cat")
        self.pids = {number: int(home.session(number)["pid"]) for number in self.all()}

    def all(self) -> tuple[int, int, int]:
        return self.printing, self.ending, self.silent

    def end_ending(self) -> None:
        Path(self.home.path, "go").touch()

    def end_printing(self) -> None:
        Path(self._stop).touch()

    def printed(self) -> bytes:
        """Return all that the printing session printed. Raises Broken while it still prints."""
        try:
            return printer.lines(SEED, 0, int(Path(self._total).read_text()))
        except OSError as error:
            raise Broken("the printing program was not at its end, or was ended") from error


def persist(ask: Callable[[], Any], until: float) -> Any:
    """Return the answer of `ask`, tried again while the node does not answer. Raises Broken."""
    while True:
        try:
            return ask()
        except (OSError, AssertionError, ValueError) as error:
            if time.monotonic() > until:
                raise Broken(f"{type(error).__name__}: {error}") from error
        time.sleep(POLL_SECONDS)


def request(
    home: Home, message: dict[str, Any], until: float, longest: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """Return the node's answer; what fails is asked again until the deadline. Raises Broken."""

    def ask() -> dict[str, Any]:
        patience = max(0.5, min(longest, until - time.monotonic()))
        with RawConnection(home.socket, patience) as connection:
            return connection.request(message)

    answer = persist(ask, until)
    assert isinstance(answer, dict)
    return answer


def listed(home: Home, until: float) -> dict[int, dict[str, Any]]:
    """Return the node's sessions by id. Raises Broken."""
    answer = request(home, {"type": "ListSessions"}, until)
    if answer["type"] != "SessionList":
        raise Broken(f"no list but {answer}")
    return {int(info["id"]): info for info in answer["sessions"]}


def check_alive(sessions: Sessions, until: float, ended: set[int]) -> list[str]:
    """Check that all but the `ended` ones run, and are listed so."""
    wrong = []
    infos = listed(sessions.home, until)
    for number in sessions.all():
        info = infos.get(number)
        lives = is_alive(sessions.pids[number])
        if info is None:
            wrong.append(f"session {number} is not listed (its process {_lives(lives)})")
        elif number not in ended and not (lives and info["status"] == "running"):
            wrong.append(f"session {number} is {info['status']!r}, its process {_lives(lives)}")
    return wrong


def _lives(lives: bool) -> str:
    return "lives" if lives else "is gone"


def check_end(home: Home, number: int, code: int, until: float, *, may_be_lost: bool) -> list[str]:
    """Check that a session ends, and with this exit code (or `lost`, said so)."""
    info: dict[str, Any] = {}
    while time.monotonic() < until:
        info = listed(home, until).get(number, {})
        if info.get("status", "running") != "running":
            break
        time.sleep(POLL_SECONDS)
    return wrong_end(number, info, code, may_be_lost=may_be_lost)


def wrong_end(number: int, info: dict[str, Any], code: int, *, may_be_lost: bool) -> list[str]:
    """Say what is wrong with how a session ended."""
    if info.get("exit_code") == code and info.get("end_reason") == "exited":
        return []
    if may_be_lost and info.get("end_reason") == "lost" and info.get("exit_code") is None:
        return []
    status = info.get("status", "missing")
    return [f"session {number} exited with {code}: listed {status!r} {info.get('end_reason')!r}"]


def check_log(
    home: Home, number: int, right: bytes, until: float, *, may_have_gaps: bool
) -> list[str]:
    """Check that a finished session's log is what it printed; a gap must be told, if it may be."""
    pieces, end = persist(lambda: _read_log(home, number), until)
    gaps = end - sum(len(data) for _, data in pieces)
    wrong = [at for at, data in pieces if right[at : at + len(data)] != data]
    # Of a file that could not even be opened nobody knew how long it was: it is lost as a whole.
    is_lost = may_have_gaps and 0 < gaps == end <= len(right)
    if is_lost:
        return []
    if wrong or end != len(right) or (gaps and not may_have_gaps):
        at = f", wrong from {wrong[0]}" if wrong else ""
        return [f"log of session {number}: {end} of {len(right)} bytes, {gaps} in gaps{at}"]
    return []


def _read_log(home: Home, number: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the ([offset, bytes] between gaps, end) of a finished session's output."""
    found: list[tuple[int, bytes]] = []
    at = 0
    with RawConnection(home.socket, 5.0) as connection:
        connection.send_control({"type": "Attach", "id": number, "from_offset": 0})
        while (frame := connection.receive()) is not None:
            kind, payload = frame
            if kind == DATA:
                found.append((at, payload))
                at += len(payload)
                continue
            message = json.loads(payload)
            if message["type"] == "Gap":
                at = message["offset"]
            elif message["type"] == "Error":
                return found, at
    raise ValueError(f"the log of session {number} ended before the end notice")


def check_new(home: Home, until: float) -> list[str]:
    """Check that a new session can be started, prints, and ends as it should."""
    order = {"type": "Launch", "command": ["/bin/sh", "-c", NEW], "working_dir": home.path}

    def launch() -> dict[str, Any]:
        answer = request(home, {**order, "launch_key": "new"}, until)
        if answer["type"] != "Launched":
            raise ValueError(str(answer.get("message", answer)))
        return answer

    try:
        number = int(persist(launch, until)["id"])
    except Broken as broken:
        return [f"nothing can be started: {broken}"]
    wrong = check_end(home, number, NEW_CODE, until + 1, may_be_lost=False)
    return wrong or check_log(home, number, b"hello\r\n", until + 1, may_have_gaps=False)


class Launch:
    """A client that launches while the fault lasts; asks again, under one key, when cut off."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._answer: dict[str, Any] = {}
        self._problem = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._command = ["/bin/sh", "-c", f"echo e; exit {LAUNCH_CODE}"]

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        order = {"type": "Launch", "command": self._command, "working_dir": self._home.path}
        try:
            until = time.monotonic() + 2 * REACHABLE_SECONDS
            self._answer = request(self._home, {**order, "launch_key": "e"}, until, LAUNCH_SECONDS)
        except Broken as broken:
            self._problem = str(broken)

    def check(self, until: float, *, may_have_gaps: bool) -> list[str]:
        """Say what is wrong: no answer, a session half there, or not the right end of it."""
        self._thread.join(max(0.1, until - time.monotonic()))
        if self._thread.is_alive() or self._problem:
            return [f"launch was not answered: {self._problem}"]
        infos = listed(self._home, until)
        same = [number for number, info in infos.items() if info["prompt"].endswith("exit 4")]
        if self._answer["type"] == "Launched":
            number = int(self._answer["id"])
            wrong = [] if same == [number] else [f"launched {number}, listed {same}"]
            wrong += check_end(self._home, number, LAUNCH_CODE, until, may_be_lost=False)
            return wrong + check_log(
                self._home, number, b"e\r\n", until, may_have_gaps=may_have_gaps
            )
        return [f"a failed launch left sessions {same}"] if same else self._check_no_files(infos)

    def _check_no_files(self, infos: dict[int, dict[str, Any]]) -> list[str]:
        there = {int(name) for name in os.listdir(os.path.join(self._home.data_dir, "sessions"))}
        extra = sorted(there - set(infos))
        return [f"a failed launch left the files of sessions {extra}"] if extra else []


def check_stop(home: Home) -> list[str]:
    """Check that `cw stop` on a machine that is well ends everything and says so."""
    try:
        done = home.cw("stop", timeout=STOP_SECONDS)
    except Exception as error:  # noqa: BLE001 - a time-out, or cw itself cannot be run
        return [f"cw stop: {error}", *leftovers(home, 0)]
    wrong = []
    if done.returncode:
        wrong.append(f"cw stop: rc {done.returncode}: {done.stderr.strip()}")
    return wrong + leftovers(home, 1.0)


def leftovers(home: Home, seconds: float) -> list[str]:
    """Check that, after a stop, no process, socket or pid file is there."""
    deadline = time.monotonic() + seconds
    while (pids := home.processes()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    wrong = [f"still runs: {pid} {_short(command_line(pid))}" for pid in pids]
    # A file half written is no sign: its writer may have been killed, and the next one replaces it.
    for name in sorted(os.listdir(home.data_dir)):
        if name == "codewire.sock" or name.startswith("codewire.pid"):
            wrong.append(f"left behind: {name}")
    return wrong


def _short(command: str) -> str:
    """Return a command line as a reader of a table wants it."""
    return command.replace(sys.executable, "python")[-60:]


def check_output(home: Home) -> list[str]:
    """Check that the node's log has no traceback; say where the first one comes from."""
    text = home.node_output()
    at = text.find("Traceback (most recent call last)")
    if at < 0:
        return []
    # Other lines of the log may stand in between.
    lines = [line for line in text[at:].splitlines()[1:] if not LOG_LINE.match(line)]
    error = next((line for line in lines if line and not line[0].isspace()), "")
    frames = [FRAME.search(line) for line in lines[: lines.index(error) if error else None]]
    places = [f"{_in_tree(found[1])}:{found[2]} {found[3]}" for found in frames if found]
    ours = [place for place in places if place.startswith("codewire/")] or places
    return [f"traceback: {error[:120]} at {ours[-1] if ours else '?'}"]


def _in_tree(path: str) -> str:
    at = path.rfind("/codewire/")
    return path[at + 1 :] if at >= 0 else os.path.basename(path)
