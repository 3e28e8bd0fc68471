"""Two nodes in name spaces of their own and a relay between them, all of it killed many times.

CW_TEST_KILLS says how often (3): `CW_TEST_KILLS=20 scripts/test tests/e2e/test_torture_letters.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import Home, wait_until
from tests.uplinks import Pair
from tests.wires import Wire, has_spaces

KILLS = int(os.environ.get("CW_TEST_KILLS", "3"))


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Where that can be had, the nodes reach the relay and nothing else."""
    pair, wires = Pair("gevent"), [Wire(0), Wire(1)] if has_spaces() else []
    try:
        for wire, home in zip(wires, (pair.node, pair.other), strict=False):
            wire.open()
            home.words = ["ip", "netns", "exec", wire.space]
            home.env["CODEWIRE_RELAY_URL"] = f"http://{wire.address}:{pair.port}"
        pair.listen = "0.0.0.0" if wires else pair.listen
        pair.start()
        yield pair
    finally:
        pair.close()
        for wire in wires:
            wire.close()


class Traffic:
    """Commands that write from one session to another, one after the other, until `stop`."""

    def __init__(self, home: Home, words: Callable[[str], list[str]], name: str) -> None:
        self._home, self._words, self._name = home, words, name
        self._is_over = threading.Event()
        # What was sent and confirmed, with what the command printed; and what was not.
        self.done: dict[str, str] = {}
        self.failed: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count():
            if self._is_over.is_set():
                return
            body = f"{self._name} {number}"
            done = self._home.cw(*self._words(body), timeout=200)
            if done.returncode == 0:
                self.done[body] = done.stdout
            else:
                self.failed.append((body, done.stderr))

    def await_progress(self) -> None:
        """Return when one more command has ended."""
        before = len(self.done) + len(self.failed)
        wait_until(lambda: len(self.done) + len(self.failed) > before, 200, "traffic goes on")

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(250)
        assert not self._thread.is_alive()


class Answering:
    """Answers what a session is asked, once each as far as it knows."""

    def __init__(self, home: Home, name: str) -> None:
        self._home, self._name = home, name
        self._is_over = threading.Event()
        self.answered: set[str] = set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(0.2):
            done = self._home.cw("inbox", self._name, "--json", "-t", "20")
            for one in json.loads(done.stdout) if done.returncode == 0 else []:
                if one.get("state") == "open" and one["request_id"] not in self.answered:
                    answer = ("reply", one["request_id"], f"re: {one['body']}", "-f", self._name)
                    if self._home.cw(*answer).returncode == 0:
                        self.answered.add(one["request_id"])

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(150)
        assert not self._thread.is_alive()


def bodies(home: Home, name: str, kind: str) -> Counter[str]:
    answer = home.request({"type": "MsgRead", "to_name": name, "tail": 0})
    found: list[dict[str, Any]] = answer["messages"]
    return Counter(one["body"] for one in found if one["type"] == kind)


# A kill and what follows it take some seconds; a busy machine takes more.
@pytest.mark.timeout(240 + 30 * KILLS)
@pytest.mark.long
def test_letters_between_nodes_outlive_kills(pair: Pair) -> None:
    here, there = pair.node, pair.other
    here.launch("cat", name="planner")
    there.launch("cat", name="coder")
    there.launch("cat", name="reviewer")

    def restart_relay() -> None:
        pair.kill_relay()
        pair.start_relay()

    answering = Answering(there, "coder")
    traffic = [
        Traffic(here, lambda b: ["msg", "-f", "planner", "dev-2:coder", b], "message"),
        Traffic(there, lambda b: ["msg", "-f", "reviewer", "dev-1:planner", b], "back"),
        Traffic(
            here,
            lambda b: ["request", "--raw", "-f", "planner", "dev-2:coder", b, "--timeout", "100"],
            "question",
        ),
    ]
    chance = random.Random(KILLS)
    kills = [there.kill_worker, restart_relay, here.kill_worker]
    kills += [chance.choice(kills) for _ in range(KILLS - len(kills))]
    try:
        for kill in kills:
            chance.choice(traffic).await_progress()
            threading.Event().wait(chance.uniform(0, 0.5))
            kill()
        for one in traffic:
            one.await_progress()
    finally:
        for one in traffic:
            one.stop()
        answering.stop()
    messages, back, questions = traffic
    assert [one.failed for one in traffic] == [[], [], []]
    assert bodies(there, "coder", "direct.message") == Counter(list(messages.done))
    assert bodies(here, "planner", "direct.message") == Counter(list(back.done))
    assert bodies(there, "coder", "message.request") == Counter(list(questions.done))
    replies = {body: f"re: {body}\n" for body in questions.done}
    assert questions.done == replies
    assert bodies(there, "coder", "message.reply") == Counter(
        text.rstrip("\n") for text in replies.values()
    )
    print(f"{len(kills)} kills:", *(f"{len(one.done)} {one._name}" for one in traffic))
