"""States of agents, end to end: seen, told, waited for, reported, decided, kept over a restart."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.client import Client
from codewire.errors import RequestError
from codewire.wire.answers.events import Event, Subscribed
from tests.support import Home, running_home, wait_until

# A menu that arrow keys move and Enter takes; it says what was taken, and asks once more for "m".
MENU = r"""
import os, sys, termios, tty
labels = sys.argv[1:]
def ask():
    at = 0
    while True:
        rows = "".join(
            f"{'>' if n == at else ' '} {n + 1}. {label}\r\n" for n, label in enumerate(labels)
        )
        os.write(1, f"\x1b[2J\x1b[HDelete it all?\r\n\r\n{rows}".encode())
        key = os.read(0, 16)
        if key in (b"\x1b[A", b"\x1bOA"): at = max(0, at - 1)
        elif key in (b"\x1b[B", b"\x1bOB"): at = min(len(labels) - 1, at + 1)
        elif key == b"\r": return labels[at]
        elif key == b"x": labels[:] = ["Something else", "No"]
tty.setraw(0)
os.write(1, f"\x1b[2J\x1b[HTOOK {ask()}\r\n".encode())
while os.read(0, 16) != b"q": pass
"""


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home() as home:
        if home.node is None:
            home.start_node()
        yield home


def launch(client: Client, *command: str) -> int:
    return client.launch(list(command), working_dir="/tmp")


def menu(client: Client, *labels: str) -> int:
    session = launch(client, sys.executable, "-c", MENU, *labels)
    [info] = client.wait(session, states=["blocked"], timeout_seconds=30)
    assert info.state == "blocked" and info.state_reason == "Delete it all?"
    return session


def state(client: Client, session: int) -> str:
    found: str = client.status(session).info.state
    return found


def shown(client: Client, session: int) -> str:
    return "\n".join(client.screen(session).lines)


@pytest.mark.smoke
def test_a_decision_is_listed_and_taken_on_the_marked_choice(home: Home) -> None:
    client = home.client()
    session = menu(client, "No, exit", "Yes, delete")
    [one] = client.approvals()
    assert one.session_id == session and one.marked == 1
    assert [choice.label for choice in one.choices] == ["No, exit", "Yes, delete"]
    done = home.cw("approve", one.id)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Chose 2. Yes, delete in session {session}\n"
    client.wait_for_text(session, "TOOK Yes, delete", timeout_seconds=30)
    events = os.path.join(home.data_dir, "sessions", str(session), "events.jsonl")

    def told(kind: str) -> list[dict[str, Any]]:
        with open(events) as file:
            found = [json.loads(line) for line in file]
        return [event["data"] for event in found if event["type"] == kind]

    wait_until(lambda: told("session.decision"), 30, "it is written down")
    [decision] = told("session.decision")
    assert decision["label"] == "Yes, delete" and decision["by_pid"] > 0
    states = told("session.state")
    assert (states[0]["from"], states[0]["to"]) == ("idle", "blocked")
    again = home.cw("approve", one.id)
    assert again.returncode == 1 and "has changed; nothing was chosen" in again.stderr


def test_no_choice_is_guessed(home: Home) -> None:
    client = home.client()
    session = menu(client, "Yes", "Yes, always", "No")
    [one] = client.approvals(session)
    with pytest.raises(RequestError, match="not exactly one choice says yes"):
        client.approve(one.id)
    with pytest.raises(RequestError, match="there is no choice 4"):
        client.approve(one.id, choice=4)
    assert "TOOK" not in shown(client, session)
    client.send_input(session, b"x")
    client.wait_for_text(session, "Something else", timeout_seconds=30)
    with pytest.raises(RequestError, match="has changed"):
        client.approve(one.id, choice=1)
    [other] = client.approvals(session)
    assert client.approve(other.id, refuse=True).label == "No"
    client.wait_for_text(session, "TOOK No", timeout_seconds=30)


def test_a_session_does_not_approve_itself(home: Home) -> None:
    client = home.client()
    line = (
        f"printf '> 1. Yes\\n  2. No\\n'; read x; {sys.executable} {os.path.abspath('cw.py')} "
        "approve $x; echo rc=$?; read x"
    )
    session = launch(client, "bash", "-c", line)
    client.wait(session, states=["blocked"], timeout_seconds=30)
    [one] = client.approvals()
    client.send_input(session, f"{one.id}\n".encode())
    client.wait_for_text(session, "rc=1", timeout_seconds=30)
    assert "cannot approve what it asks itself" in shown(client, session)


def test_states_outlive_the_worker(home: Home) -> None:
    client = home.client()
    blocked = menu(client, "Yes", "No")
    reported = launch(client, "cat")
    client.report_task(reported, "compiling", "working")
    before = {s.id: s for s in client.list_sessions()}
    assert before[reported].state_reason == "compiling"
    home.kill_worker()
    client.wait(reported, states=["working"], timeout_seconds=30)
    client.wait(blocked, states=["blocked"], timeout_seconds=30)
    after = {s.id: s for s in client.list_sessions()}
    for session in (blocked, reported):
        for key in ("state", "state_reason", "state_since"):
            assert getattr(after[session], key) == getattr(before[session], key), key


def test_reports_and_who_has_seen_the_result(home: Home) -> None:
    client = home.client()
    session = launch(client, "cat")
    events = client.subscribe(session, (), ["task.report"])
    assert isinstance(next(events), Subscribed)
    inside = {"CW_SESSION_ID": str(session)}
    assert home.cw("report", "working", env=inside).returncode == 0
    assert state(client, session) == "working"
    event = next(events)
    assert isinstance(event, Event)
    data = event.data
    assert (data["state"], data["summary"]) == ("working", "working")
    assert home.cw("report", "done", "--message", "all  green", env=inside).returncode == 0
    event = next(events)
    assert isinstance(event, Event)
    data = event.data
    assert (data["state"], data["summary"]) == ("complete", "all green")
    assert state(client, session) == "done"
    client.screen(session)
    assert state(client, session) == "done"
    assert home.cw("screen", str(session)).returncode == 0
    assert state(client, session) == "idle"
    hook = json.dumps({"tool_name": "Bash", "tool_input": {"command": "rm x"}})
    assert home.cw("report", "blocked", "--hook", env=inside, input=hook).returncode == 0
    info = client.status(session).info
    assert (info.state, info.state_kind, info.state_reason) == (
        "blocked",
        "permission",
        "Bash: rm x",
    )
    # Codex tells also of what it says to itself, for a title; it keeps no file of that.
    kept = Path(home.path, "codex/sessions/2026/11/27")
    kept.mkdir(parents=True)
    (kept / "rollout-2026-11-27T14-05-26-conv-1.jsonl").touch()
    inside |= {"CODEX_HOME": os.path.join(home.path, "codex")}
    for named, wanted in (("conv-2", "blocked"), ("conv-1", "done")):
        turn = json.dumps({"type": "agent-turn-complete", "thread-id": named})
        assert home.cw("report", "done", "--hook", env=inside, input=turn).returncode == 0
        assert state(client, session) == wanted
    outside = home.cw("report", "done")
    assert (outside.returncode, outside.stdout, outside.stderr) == (0, "", "")


def test_a_report_is_checked(home: Home) -> None:
    client = home.client()
    session = launch(client, "cat")
    ask = home.request
    task: dict[str, Any] = {"type": "ReportTask", "id": session, "summary": "x", "state": "Working"}
    assert ask(task) == {"type": "TaskReported", "id": session}
    for change, text in (
        ({"id": None}, "session id or name required"),
        ({"summary": " "}, "task summary is required"),
        ({"summary": "x" * 281}, "task summary exceeds 280 characters"),
        ({"state": "busy"}, 'invalid task state "busy"'),
    ):
        assert ask({**task, **change})["message"] == text


def test_the_program_says_it_itself(home: Home) -> None:
    client = home.client()
    line = (
        r"printf '\033]7501;state=blocked:kind=auth:app=x\033\\'; read x; "
        r"printf '\033]7501;state=done\033\\'; read x"
    )
    session = launch(client, "bash", "-c", line)
    [info] = client.wait(session, states=["blocked"], timeout_seconds=30)
    assert info.state_kind == "auth"
    client.send_input(session, b"\n")
    [info] = client.wait(session, states=["done", "idle"], timeout_seconds=30)
    assert info.state == "done"
    client.kill(session)
    assert state(client, session) == "exited"


def test_waits_end_with_the_session(home: Home) -> None:
    client = home.client()
    session = launch(client, "true")
    done = home.cw("wait", str(session), "--state", "blocked", "--timeout", "30")
    assert done.returncode == 1 and f"{session} exited" in done.stdout
    done = home.cw("wait", str(session), "--state", "exited,blocked", "--timeout", "30")
    assert done.returncode == 0
    bad = home.cw("wait", str(session), "--state", "busy")
    assert bad.returncode == 1 and 'unknown state "busy"' in bad.stderr


def test_why_is_explained(home: Home) -> None:
    client = home.client()
    session = menu(client, "Yes", "No")
    found = json.loads(home.cw("agent", "explain", str(session), "--json").stdout)
    assert found["state"] == "blocked" and found["rule"] == "menu"
    said = {rule["rule"]: rule.get("state") for rule in found["rules"]}
    assert said["menu"] == "blocked" and said["spinner"] is None
    assert "menu" in home.cw("agent", "explain", str(session)).stdout


def test_a_session_that_has_only_begun_is_not_waited_for_as_idle(home: Home) -> None:
    client = home.client()
    go = Path(home.path, "go")
    script = f"until [ -e {go} ]; do sleep 0.01; done; printf 'Proceed? [y/N] '; read x"
    session = launch(client, "sh", "-c", script)
    # Both know no sign of it yet; the wait is there before the program says anything.
    waiting = home.popen("wait", str(session), "--state", "blocked,idle", "--timeout", "20")
    go.touch()
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and b"blocked" in out
    # One that never says anything is idle after all.
    silent = launch(client, "cat")
    assert home.cw("wait", str(silent), "--state", "idle", "--timeout", "20").returncode == 0
