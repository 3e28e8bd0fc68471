"""The real agent programs in real sessions against the scripted model: what is submitted, and how.

Run by scripts/test-agents. The oracle is what reached the model. A table is printed, and the exit
status is 1 when a text was lost or doubled, or a dialog was answered.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from codewire.client import Client
from codewire.errors import CodewireError
from codewire.wire.answers.events import Event, Happening
from tests.agents.model import Model
from tests.agents.programs import NAMES, prepare
from tests.support import REPOSITORY, Home, is_alive, wait_until

SIZE = {"cols": 120, "rows": 40}
REACH_SECONDS = 60.0
DIALOG_SECONDS = 60.0
EMOJI = "👩‍👩‍👧 日本語 mark"
SHAPES: dict[str, Callable[[str], str]] = {
    "one line": lambda mark: f"tell me about {mark}",
    "60 lines": lambda mark: "\n".join([f"line {n} of it" for n in range(59)] + [f"end {mark}"]),
    "emoji": lambda mark: f"👩‍👩‍👧 日本語 {mark} 🎉",
    "leading /": lambda mark: f"/usr/share/doc what is there {mark}",
    "leading @": lambda mark: f"@README.md what is there {mark}",
}
# What an inbox keeps, and what is refused.
LETTERS, TEXTS = ("msg", "request"), ("prompt", "send", "paste")


class Trial:
    """One program, its model and the node its sessions run in."""

    def __init__(self, name: str, programs: str, home: Home, client: Client) -> None:
        self.name = name
        self.model = Model()
        threading.Thread(target=self.model.serve_forever, daemon=True).start()
        self.directory = tempfile.mkdtemp(prefix=f"cw-{name}-", dir="/tmp")
        self.program = prepare(name, programs, self.directory, self.model.port)
        Path(self.program.directory, "README.md").write_text("Read me.\n")
        self.home = home
        self.client = client
        self.rows: list[tuple[str, int, int, int, int, str]] = []
        self._marks = 0

    def mark(self) -> str:
        self._marks += 1
        return f"Mark{self.name}{self._marks:03d}x"

    def launch(self, **size: int) -> int:
        env = [f"{key}={value}" for key, value in self.program.env.items()]
        env += ["TERM=xterm-256color"]
        return self.client.launch(
            self.program.argv, working_dir=self.program.directory, env=env, **(size or SIZE)
        )

    def reached(self, mark: str, seconds: float = REACH_SECONDS) -> int:
        """Return how often a text reached the model; waits for the first time."""
        deadline = time.monotonic() + seconds
        while not self.model.counts(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.model.counts(mark)

    def submit(self, session: int, text: str) -> str:
        try:
            answer = self.client.submit(session, text)
        except CodewireError as error:
            return f"error: {error}"
        return f"{answer.verdict} {answer.reason}".strip()

    def count(self, shape: str, texts: list[tuple[str, str, str]]) -> None:
        """Note what became of (mark, text, what was said)."""
        time.sleep(1.0)
        counts = [self.model.counts(mark) for mark, _, _ in texts]
        exact = sum(self.model.holds(text) for _, text, _ in texts)
        said = [words for (_, _, words), n in zip(texts, counts, strict=True) if n != 1]
        told = " | ".join(sorted(set(said)))[:200]
        once = sum(n == 1 for n in counts)
        lost, doubled = sum(n == 0 for n in counts), sum(n > 1 for n in counts)
        self.rows.append((shape, once, exact, lost, doubled, told))
        line = f"once {once}/{len(counts)} exact {exact} lost {lost} doubled {doubled} {told}"
        print(f"{self.name:9} {shape:20} {line}", flush=True)

    # What is tried

    def shapes(self, session: int, count: int) -> None:
        for shape, make in SHAPES.items():
            texts = []
            for _ in range(count):
                mark = self.mark()
                text = make(mark)
                said = self.submit(session, text)
                if not self.reached(mark):
                    print(self.name, shape, said, self.screen(session), sep="\n", flush=True)
                time.sleep(0.5)
                texts.append((mark, text, said))
            self.count(shape, texts)

    def working(self, session: int, count: int) -> None:
        texts = []
        for _ in range(count):
            busy, mark = self.mark(), self.mark()
            said = self.submit(session, f"slow 12 {busy}")
            self.reached(busy)
            text = f"while at work {mark}"
            said = self.submit(session, text)
            self.reached(mark, REACH_SECONDS)
            time.sleep(1.0)
            texts.append((mark, text, said))
        self.count("while working", texts)

    def after_launch(self, count: int) -> None:
        texts = []
        for _ in range(count):
            mark = self.mark()
            session = self.launch()
            text = f"first thing {mark}"
            said = self.submit(session, text)
            if not self.reached(mark):
                print(self.name, "after launch", said, self.screen(session), sep="\n", flush=True)
                info = self.client.status(session).info
                print(info.status, info.exit_code, flush=True)
            texts.append((mark, text, said))
            self.client.kill(session)
        self.count("right after launch", texts)

    def dialog(self, session: int, count: int) -> None:
        """At a permission dialog nothing is chosen, and what is kept arrives afterwards."""
        victim = os.path.join(self.directory, "decided")
        self.submit(session, f"run touch {victim}")
        if not self.is_blocked(session, DIALOG_SECONDS):
            self.rows.append(("dialog", 0, 0, count, 0, "no dialog came up"))
            print(f"{self.name:9} dialog: none came up", self.screen(session), sep="\n", flush=True)
            return
        kept: list[str] = []
        typed: list[str] = []
        for number in range(count):
            self.type_at_dialog(session, LETTERS[number % len(LETTERS)], kept, typed)
            self.type_at_dialog(session, TEXTS[number % len(TEXTS)], kept, typed)
        decided = os.path.exists(victim) or not self.is_blocked(session, 1.0)
        refused = [mark for mark in typed if self.model.counts(mark)]
        self.client.send_keys(session, "Esc")
        arrived = sum(self.reached(mark, 90.0) == 1 for mark in kept)
        doubled = sum(self.model.counts(mark) > 1 for mark in kept)
        told = f"decisions {int(decided)}, typed though refused {len(refused)}"
        lost = len(kept) - arrived - doubled + int(decided) + len(refused)
        self.rows.append(("dialog", arrived, arrived, lost, doubled, told))
        line = f"letters {len(kept)} arrived {arrived} doubled {doubled}, texts {len(typed)}"
        print(f"{self.name:9} at a dialog          {line} {told}", flush=True)

    def integrate(self) -> None:
        """Install the program's own hooks, and a `cw` that they find."""
        where = {"HOME": self.directory, "XDG_CONFIG_HOME": "", "CODEWIRE_DIR": ""}
        done = self.home.cw("integrate", self.name, env=where)
        assert done.returncode == 0, done.stderr
        path = Path(self.directory, "bin", "cw")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {REPOSITORY}/cw.py "$@"\n')
        path.chmod(0o755)
        env = self.program.env
        if str(path.parent) not in env["PATH"]:
            env |= {"CODEWIRE_DIR": self.home.data_dir, "PATH": f"{path.parent}:{env['PATH']}"}

    def reboot(self, count: int) -> None:
        """Sessions that ended with the machine come back with their own conversations."""
        self.integrate()
        before = {}
        for number in range(count):
            mark = self.mark()
            session = self.launch()
            self.submit(session, f"remember {number} {mark}")
            self.reached(mark)
            before[session] = mark
        # What the hooks said has come by the end of each turn.
        for session in before:
            self.client.wait(session, states=["idle", "done"], timeout_seconds=60)
        time.sleep(2.0)
        self._cut_power()
        done = self.home.cw("restore", "--json")
        entries = json.loads(done.stdout or "[]")
        news = {one["relaunched_from"]: one["id"] for one in entries}
        kept, said = 0, []
        for session, first in before.items():
            if session not in news:
                said.append(f"{session} not restored: {done.stderr.strip()[:100]}")
                continue
            second = self.mark()
            # It draws what has been said.
            self.client.wait(news[session], states=["idle", "done"], timeout_seconds=60)
            words = self.submit(news[session], f"and now {second}")
            self.reached(second)
            is_same = self.model.share_a_conversation(first, second)
            kept += is_same
            if not is_same:
                told = self.client.status(news[session]).info.prompt
                said.append(f"{words}; ran {told[:120]}")
                print(self.screen(news[session]), flush=True)
            self.client.kill(news[session])
        told = " | ".join(said)
        self.rows.append(("reboot", kept, kept, count - kept, 0, told))
        print(
            f"{self.name:9} reboot               same conversation {kept}/{count} {told}",
            flush=True,
        )

    def _cut_power(self) -> None:
        """Keeper, worker and sessions at once; then a new node."""
        pids = [self.home.keeper_pid, self.home.worker_pid]
        running = [info.pid for info in self.client.list_sessions() if info.is_running]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert self.home.node is not None
        self.home.node.wait(20)
        for pid in running:
            # Some do not go when their terminal does.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        for pid in (pids[1], *running):
            wait_until(lambda pid=pid: not is_alive(pid), 20, "all of it is gone")
        self.home.start_node()

    def hooks(self) -> None:
        """With its own hooks installed the program reports a turn with a decision in it."""
        self.integrate()
        session = self.launch()
        events = self.client.subscribe(session, (), ["task.report"])
        told: list[str] = []
        reader = threading.Thread(target=note_reports, args=(events, told), daemon=True)
        reader.start()
        mark = self.mark()
        self.submit(session, f"run touch {self.program.directory}/{mark}")
        if self.name == "codex":
            # It has only a hook for the end of a turn.
            self.client.wait(session, states=["blocked"], timeout_seconds=DIALOG_SECONDS)
        else:
            wait_until(lambda: "blocked" in told, DIALOG_SECONDS, "blocked is reported")
        wait_until(lambda: self.approve_first(session), DIALOG_SECONDS, "it is approved")
        try:
            wait_until(lambda: "complete" in told, DIALOG_SECONDS, "the turn's end is reported")
        except AssertionError:
            print(self.name, "hooks", told, self.screen(session), sep="\n", flush=True)
        info = self.client.status(session).info
        self.client.kill(session)
        print(
            f"{self.name:9} hooks                {' '.join(told)}; state {info.state}",
            flush=True,
        )

    def approve_first(self, session: int) -> bool:
        """Approve what is asked, once it stands still."""
        try:
            for waiting in self.client.approvals(session):
                self.client.approve(waiting.id, choice=1)
                return True
        except CodewireError:
            pass
        return False

    def type_at_dialog(self, session: int, kind: str, kept: list[str], typed: list[str]) -> None:
        mark = self.mark()
        if kind == "msg":
            kept.append(mark)
            self.client.msg(session, f"a message {mark}", delivery="both")
        elif kind == "request":
            kept.append(mark)
            try:
                self.client.request(
                    session, f"a request {mark}", delivery="both", timeout_seconds=1
                )
            except CodewireError:
                pass
        else:
            typed.append(mark)
            try:
                if kind == "prompt":
                    self.client.prompt(session, f"a prompt {mark}", timeout_seconds=5)
                else:
                    self.client.submit(session, f"1 {mark}", paste=kind == "paste")
            except CodewireError:
                pass

    def is_blocked(self, session: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.client.screen(session).state == "blocked":
                return True
            time.sleep(0.2)
        return False

    def screen(self, session: int) -> str:
        return "\n".join(line for line in self.client.screen(session).lines if line.strip())

    def close(self) -> None:
        self.model.shutdown()
        shutil.rmtree(self.directory, ignore_errors=True)


def note_reports(events: Iterator[Happening], told: list[str]) -> None:
    """Note the states that hooks report, until the connection ends."""
    with contextlib.suppress(CodewireError, OSError):
        for event in events:
            if isinstance(event, Event):
                told.append(event.data["state"])


def try_program(trial: Trial, count: int, messages: int, parts: list[str]) -> None:
    if "launch" in parts:
        trial.after_launch(count)
    session = trial.launch() if {"shapes", "working", "dialog"}.intersection(parts) else 0
    if "shapes" in parts:
        trial.shapes(session, count)
    if "working" in parts:
        trial.working(session, count)
    if "dialog" in parts:
        trial.dialog(session, messages)
    if session:
        trial.client.kill(session)
    if "hooks" in parts:
        trial.hooks()
    if "reboot" in parts:
        trial.reboot(min(count, 3))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", help="npm's .bin directory")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--count", type=int, default=20, help="prompts of each shape")
    parser.add_argument(
        "--messages", type=int, default=50, help="letters at a dialog, and other texts"
    )
    parser.add_argument("--parts", default="launch,shapes,working,hooks,dialog,reboot")
    args = parser.parse_intermixed_args()
    home = Home()
    status = 0
    os.environ |= {key: home.env[key] for key in ("HOME", "CODEWIRE_DIR") if key in home.env}
    try:
        home.start_node()
        for name in args.names or NAMES:
            if not os.path.exists(os.path.join(args.programs, name)):
                print(f"{name:9} not installed: not tried")
                continue
            trial = Trial(name, args.programs, home, home.client())
            try:
                try_program(trial, args.count, args.messages, args.parts.split(","))
            finally:
                trial.close()
            status |= any(lost or doubled for _, _, _, lost, doubled, _ in trial.rows)
    finally:
        home.expects_leftovers = True
        home.close()
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
