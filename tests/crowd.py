"""Thirty sessions of all kinds, and every view of them as text at 80 and 200 columns.

`python -m tests.crowd` writes the texts to tests/unit/overview/golden, to be looked at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from codewire.client.overview.board import Board
from codewire.client.overview.drawing import draw
from codewire.commands.sessions.overview import list_lines, status_lines
from codewire.commands.system import doctor
from codewire.commands.talk import kv, messages
from codewire.term.paint import Paint
from codewire.wire.answers.messages import Entry
from codewire.wire.answers.reading import read
from codewire.wire.answers.screens import Screen
from codewire.wire.answers.sessions import SessionInfo
from codewire.wire.timestamps import SECOND, format_seconds

GOLDEN = Path(__file__).parent / "unit/overview/golden"
NOW = 1775217600 * SECOND
WIDTHS = (80, 200)
LONG_NAME = "a-name-of-thirty-two-letters-xyz"
LONG_COMMAND = (
    "claude --dangerously-skip-permissions -p 'fix the auth bug in login.ts, write a test that "
    "fails without it, run the whole suite and then open a pull request with a short description'"
)


def ago(seconds: int) -> str:
    """Return the timestamp of so long before NOW."""
    return format_seconds(NOW - seconds * SECOND)


def session(**fields: Any) -> SessionInfo:
    """Return a running session with these fields."""
    sent = {"prompt": "bash", "status": "running", "created_at": ago(7200), **fields}
    return read(SessionInfo, {"state_since": ago(200), "working_dir": "/work", **sent})


def ended(**fields: Any) -> SessionInfo:
    """Return a finished one."""
    return session(**{"status": "completed (0)", "exit_code": 0, "prompt": "make test", **fields})


CROWD = [
    session(id=1, name="planner", state="working", prompt=LONG_COMMAND, tags=["worker", "night"]),
    session(id=2, name="shell", state="idle"),
    session(
        id=3,
        name=LONG_NAME,
        state="blocked",
        state_kind="permission",
        state_reason="Do you want to make this edit to login.ts?",
        prompt=LONG_COMMAND,
        pid=4242,
        attached=True,
        attached_count=2,
        output_size_bytes=123456,
        last_output_at=ago(200),
        agent="claude",
        tags=["worker", "group:reviewers"],
    ),
    session(id=4, name="日本語の名前です", state="done", prompt="あいう" * 30),
    session(id=5, state="error", prompt="codex exec 'review'", state_reason="rate limit"),
    session(id=6, name="stopped", state="stopped", prompt="sleep 600"),
    session(id=7, name="old-node", state_since=""),
    ended(id=8, status="killed", end_reason="killed", signal=15, completed_at=ago(20)),
    ended(id=9, status="completed (-1)", end_reason="lost", exit_code=None, completed_at=ago(50)),
    ended(id=10, status="completed (-1)", signal=11, exit_code=-1, completed_at=ago(90)),
    *[
        ended(
            id=number,
            status=f"completed ({number % 3})",
            exit_code=number % 3,
            completed_at=ago(9000 - number * 60),
        )
        for number in range(11, 31)
    ],
]
LETTERS: list[dict[str, Any]] = [
    {
        "type": "message.request",
        "state": "open",
        "timestamp": ago(60),
        "from_name": "planner",
        "to_name": LONG_NAME,
        "request_id": "req_x9vHWV_Avy5UyWPCDxjcuw",
        "body": "Is the branch ready for review, and are all of the tests that we talked about in?",
    },
    {
        "type": "direct.message",
        "timestamp": ago(3 * 86400),
        "from_name": "日本語の名前です",
        "to": 3,
        "body": "あいうえお" * 20,
    },
]
ENTRIES = [
    Entry("build/status", b"green", format_seconds(NOW + 3600 * SECOND)),
    Entry("notes/" + "x" * 60, LONG_COMMAND.encode()),
    Entry("日本", b"\xff\n\x1b[31m"),
]
FINDINGS = [
    ("disk", "fail", "3 MiB free in /home/somebody/.codewire: logs stop growing; free some space, "
     "or have logs keep less (log_budget)"),
    ("completion", "warn", "not installed for bash: run 'cw completion --install'"),
    ("python", "ok", "3.11.7"),
    ("linger", "skip", "no systemd"),
]  # fmt: skip
SCREEN = Screen(
    id=3,
    rows=24,
    cols=80,
    lines=(
        "\x1b[31mEdit login.ts\x1b[0m",
        "╭" + "─" * 100 + "╮",
        "│ Do you want to make this edit to login.ts?",
        "❯ 1. Yes",
        "  2. No",
        "\x9b2J\x1b]0;evil\x07" + "あ" * 120,
        "",
        "",
    ),
)


def board() -> Board:
    """Return the overview of the crowd, with the screen of the one that is blocked."""
    found = Board([""])
    found.listed(0, CROWD)
    found.looked((0, 3), SCREEN, "2. No")
    found.looked((0, 1), SCREEN._replace(id=1), "● Reading login.ts")
    return found


def views(width: int, paint: Paint) -> dict[str, list[str]]:
    """Return every view as lines, at a width."""
    return {
        "list": list_lines(CROWD, NOW, width, paint),
        "list-all": list_lines(CROWD, NOW, width, paint, folds=False),
        "status": status_lines(CROWD[2], 4_567_890, NOW, width, paint),
        "status-failed": status_lines(CROWD[9], 812, NOW, width, paint),
        "inbox": messages.inbox_lines(LETTERS, width, paint, NOW),
        "kv": kv.list_lines(ENTRIES, width, paint, NOW),
        "doctor": doctor.lines(FINDINGS, width, paint),
        "top": draw(board(), 24 if width == 80 else 50, width, NOW, paint),
    }


def set_zone() -> None:
    """Have local times be UTC."""
    os.environ["TZ"] = "UTC"
    time.tzset()


def main() -> None:
    """Write the texts."""
    set_zone()
    GOLDEN.mkdir(exist_ok=True)
    for width in WIDTHS:
        for name, lines in views(width, Paint(False)).items():
            text = "".join(f"{line}\n" for line in lines)
            (GOLDEN / f"{name}-{width}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
