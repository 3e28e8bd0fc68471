"""What is sent is submitted once, and no dialog is answered by it: through a real node."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client import Client
from codewire.errors import RequestError, UsageError
from tests.support import REPOSITORY, Home, running_home, wait_until

BOX = str(REPOSITORY / "tests" / "boxprogram.py")


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as made:
        rules = Path(made.data_dir, "agents", "boxy.toml")
        rules.parent.mkdir(parents=True, exist_ok=True)
        rules.write_text('name = "boxy"\n[[rule]]\nstate = "blocked"\nmatch = "a program"\n')
        yield made


class Box:
    """One session of boxprogram.py."""

    def __init__(self, home: Home, *flags: str) -> None:
        self.client: Client = home.client()
        self._log = Path(home.path, f"box-{time.monotonic_ns()}")
        self._log.touch()
        self.id = self.client.launch(
            [sys.executable, BOX, *flags], env=[f"BOX_LOG={self._log}"], working_dir=home.path
        )

    def said(self) -> list[list[str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def shows(self, text: str) -> None:
        wait_until(lambda: text in "\n".join(self.client.screen(self.id).lines), 30, text)


@pytest.mark.parametrize(
    "flags", [("burst=8",), ("burst=100",), ("slow",), ("kitty",), ("spinner", "burst=30")]
)
def test_a_text_is_submitted_once(home: Home, flags: tuple[str, ...]) -> None:
    box = Box(home, *flags)
    texts = ["one line", "two\nlines of it", "日本語 👩‍👩‍👧 end"]
    for text in texts:
        answer = box.client.submit(box.id, text)
        assert answer.verdict in ("submitted", "typed"), answer
    wait_until(lambda: len(box.said()) >= len(texts), 30, "all are there")
    assert box.said() == [["submitted", text] for text in texts]


@pytest.mark.long
def test_without_an_echo_enter_is_not_pressed(home: Home) -> None:
    box = Box(home, "echo=off")
    box.shows("a program")
    # Past its start it is waited for no longer.
    assert box.client.submit(box.id, "").verdict == "typed"
    done = home.cw("send", str(box.id), "not shown")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"Sent 9 bytes to session {box.id}"
    assert "Enter was not pressed" in done.stderr
    assert box.said() == []


def test_at_a_menu_nothing_is_typed_and_letters_wait_for_its_end(home: Home) -> None:
    box = Box(home, "menu")
    box.shows("2. No")
    client = box.client
    for words in (["send", str(box.id), "1"], ["prompt", str(box.id), "1"]):
        done = home.cw(*words)
        assert done.returncode == 1, done
        assert "blocked: waits for a decision" in done.stderr
        assert "Do you want to proceed?" in done.stderr and "--keys" in done.stderr
    for number in range(4):
        answer = client.msg(box.id, f"letter {number}", delivery="both")
        assert answer.typed == "waiting"
    with pytest.raises(RequestError, match="waits for a decision"):
        client.msg(box.id, "not kept", delivery="pty")
    home.kill_worker()
    assert client.msg(box.id, "letter 4", delivery="both").typed == "waiting"
    assert box.said() == []
    assert client.send_keys(box.id, "x") == 1
    wait_until(lambda: len(box.said()) >= 5, 30, "all letters are typed")
    bodies = [text.splitlines()[-1] for _, text in box.said()]
    assert bodies == [f"letter {number}" for number in range(5)]


def test_what_lists_call_blocked_gets_no_text_either(home: Home) -> None:
    """By a rule of the user's, by what the program reports and by what a hook does."""
    client = home.client()
    log = Path(home.path, "blocked-boxes")
    report = r"printf '\033]7501;state=blocked:kind=auth\033\\'; exec "
    run = f"{sys.executable} {BOX} burst=8"
    ruled, said, hooked = (
        client.launch(["sh", "-c", line], env=[f"BOX_LOG={log}", *env], working_dir=home.path)
        for line, env in (
            (f"exec {run}", ["CW_AGENT=boxy"]),
            (report + run, []),
            (f"exec {run}", []),
        )
    )
    client.report_task(hooked, "which branch?", "blocked")
    for session in (ruled, said, hooked):
        client.wait(session, states=["blocked"], timeout_seconds=30)
        answer = client.submit(session, "not typed")
        assert (answer.verdict, answer.bytes) == ("refused", 0), answer
        with pytest.raises(RequestError, match="waits for a decision"):
            client.prompt(session, "not typed")
        assert client.msg(session, "a letter", delivery="both").typed == "waiting"
    assert not log.exists()
    client.report_task(hooked, "idle", "idle")
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), 30, "it is typed")
    assert json.loads(log.read_text())[1].endswith("a letter")


def test_a_text_sent_again_with_its_key_is_not_submitted_again(home: Home) -> None:
    box = Box(home, "burst=8")
    box.client.submit(box.id, "once", key="k1")
    home.kill_worker()
    again = box.client.submit(box.id, "once", key="k1")
    assert again.repeated and again.verdict != "refused"
    box.client.submit(box.id, "after")
    wait_until(lambda: len(box.said()) >= 2, 30, "both are there")
    assert box.said() == [["submitted", "once"], ["submitted", "after"]]


@pytest.mark.smoke
def test_keys_by_name_and_a_key_that_is_one(home: Home) -> None:
    box = Box(home, "burst=100")
    box.shows("a program")
    assert box.client.send_keys(box.id, "'by name' Enter") == 8
    wait_until(lambda: box.said() == [["submitted", "by name"]], 30, "it was submitted")
    with pytest.raises(UsageError, match="no key is called"):
        box.client.send_keys(box.id, "Entr")
    done = home.cw("send", str(box.id), "--key", "Enter")
    assert done.returncode == 2 or "did you mean --keys Enter" in done.stderr
    assert "did you mean --keys" in done.stderr


def test_a_question_at_a_line_reader_is_answered_by_a_person_only(home: Home) -> None:
    client = home.client()
    session = client.launch(["sh", "-c", 'printf "Proceed? [y/N] "; read x; echo "got $x"; cat'])
    wait_until(lambda: "Proceed?" in "".join(client.screen(session).lines), 30, "asked")
    assert client.msg(session, "yes", delivery="both").typed == "waiting"
    with pytest.raises(RequestError, match="waits for a decision"):
        client.prompt(session, "y")
    assert client.submit(session, "y").verdict == "typed"
    wait_until(lambda: "got y" in "".join(client.screen(session).lines), 30, "answered")


def test_a_question_that_is_reported_is_answered_by_a_person_only(home: Home) -> None:
    client = home.client()
    session = client.launch(["cat"])
    client.report_task(session, "which branch?", "blocked", kind="question")
    assert client.msg(session, "a letter", delivery="both").typed == "waiting"
    assert client.submit(session, "the main one").verdict == "typed"
    client.wait_for_text(session, "the main one", timeout_seconds=30)
    client.report_task(session, "on it", "working")
    client.wait_for_text(session, "a letter", timeout_seconds=30)


def test_a_message_is_not_run_by_a_shell_that_comes_after_a_line(home: Home) -> None:
    client = home.client()
    session = client.launch(["sh", "-c", "read -r x; exec bash --norc -i"])
    answer = client.msg(session, f"touch {home.path}/RUN", delivery="both")
    assert "would run the text" in answer.note
    client.submit(session, "echo still-here")
    wait_until(lambda: "still-here" in "".join(client.screen(session).lines), 30, "the shell")
    assert not Path(home.path, "RUN").exists()


def test_a_prompt_returns_what_is_new(home: Home) -> None:
    client = home.client()
    session = client.launch(["bash", "--norc", "-i"])
    answer = client.prompt(session, "echo one; echo two", timeout_seconds=60)
    assert answer == ("idle", ["one", "two"])


def test_a_launch_types_its_prompt_once_the_program_is_ready(home: Home) -> None:
    log = Path(home.path, "launched")
    done = home.cw(
        *("launch", "-e", f"BOX_LOG={log}", "--prompt", "first thing", "--"),
        *("sh", "-c", f"sleep 1; exec {sys.executable} {BOX}"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(log.read_text()) == ["submitted", "first thing"]


def test_somebody_at_the_keyboard_is_waited_for(home: Home) -> None:
    box = Box(home, "burst=8")
    box.shows("a program")
    with home.connect() as raw:
        raw.send_control({"type": "Attach", "id": box.id, "include_history": False})
        raw.send_data(b"half a li")
        box.shows("half a li")
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(box.client.submit(box.id, "mine")))
        thread.start()
        raw.send_data(b"ne")
        time.sleep(0.3)
        raw.send_data(b"\r")
        thread.join(30)
    wait_until(lambda: len(box.said()) >= 2, 30, "both are there")
    assert box.said() == [["submitted", "half a line"], ["submitted", "mine"]]
