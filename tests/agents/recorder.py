"""Records a real program at a size, with labels of what it did: `recorder.py BIN NAME CxR DIR`.

The labels come from the script that is played, from the model's side of it and from the words of
each program's own dialogs, not from the rules that are held against them (tests/recordings).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from codewire.errors import CodewireError
from tests.agents.model import Turn
from tests.agents.trial import Trial
from tests.support import Home, wait_until

PATIENCE = 90.0
JOIN_SECONDS = 0.02
# What each program shows once it takes a prompt, and while it waits for a decision on a command.
READY = {
    "claude": "for shortcuts",
    "codex": "Ask Codex",
    "gemini": "Type your message",
    "opencode": "Ask anything",
}
ASKS = {
    "claude": "Do you want to",
    "codex": "Yes, proceed",
    "gemini": "Allow once",
    "opencode": "Permission required",
}
# Of private directories, where lines or sequences have cut their names.
LEFT_OVER = re.compile(rb"/tmp/cw-[\w-]*")
# The line that a turn ends with, and what stands in it when it has.
ENDS = {"opencode": ("▣", r"· [\dms. ]+s$")}
CANCEL = {"opencode": "Esc Esc"}


def _hidden(found: re.Match[bytes]) -> bytes:
    return b"/home/someone"[: len(found[0])].ljust(len(found[0]), b"x")


class Recording:
    """One program in a session: its bytes as they come, and its labels as the script makes them."""

    def __init__(self, trial: Trial, cols: int, rows: int) -> None:
        self.trial, self.cols, self.rows = trial, cols, rows
        self.began = time.monotonic()
        self.session = trial.launch(cols=cols, rows=rows)
        self.chunks: list[tuple[float, bytes]] = []
        self.labels: list[tuple[float, str]] = [(0.0, "startup")]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(CodewireError, OSError):
            for chunk in self.trial.client.logs(self.session, follow=True, strip_ansi=False):
                at, data = time.monotonic() - self.began, chunk.text.encode("utf-8", "replace")
                if self.chunks and at - self.chunks[-1][0] < JOIN_SECONDS:
                    at, before = self.chunks.pop()
                    self.chunks.append((at, before + data))
                else:
                    self.chunks.append((at, data))

    def label(self, state: str, at: float = 0.0) -> None:
        """From now on, or since `at` of the monotonic clock, it does this."""
        self.labels.append(((at or time.monotonic()) - self.began, state))

    def shows(self, words: str) -> None:
        wait_until(lambda: words in self.trial.screen(self.session), PATIENCE, words)

    def turn(self, mark: str, *, after_tool: bool = False) -> Turn:
        """Return the turn that a prompt began, once it has reached the model."""

        def find() -> Turn | None:
            turns = list(self.trial.model.turns)
            found = [t for t in turns if t.tools and t.after_tool == after_tool and mark in t.text]
            return found[-1] if found else None

        wait_until(lambda: find() is not None, PATIENCE, f"the turn of {mark}")
        turn = find()
        assert turn is not None
        return turn

    def say(self, text: str) -> tuple[str, Turn]:
        mark = self.trial.mark()
        self.label("typing")
        said = self.trial.submit(self.session, f"{text} {mark}")
        print(self.trial.name, text, said, flush=True)
        entered = time.monotonic()
        turn = self.turn(mark)
        if len(self.trial.model.turns) == 1:
            # Some are not through with their start yet, and show nothing of a first prompt.
            self.label("startup", min(entered, turn.began))
            self.label("working/request", turn.began)
        else:
            self.label("working/request", min(entered, turn.began))
        return mark, turn

    def ends(self, turn: Turn, state: str) -> None:
        wait_until(lambda: turn.ended, PATIENCE, "the turn's end")
        if self.trial.name in ENDS:
            # On a busy machine it is seconds behind the model.
            wait_until(self.has_ended, PATIENCE, "the turn's end is shown")
            self.label(state)
        else:
            self.label(state, turn.ended)

    def has_ended(self) -> bool:
        begin, end = ENDS[self.trial.name]
        lines = [line for line in self.trial.screen(self.session).splitlines() if begin in line]
        return bool(lines) and bool(re.search(end, lines[-1]))

    def play(self) -> None:
        """The script: answers of some length, a decision taken, one refused, an interruption."""
        name, client = self.trial.name, self.trial.client
        self.shows(READY[name])
        self.label("idle/first")
        time.sleep(4.0)
        for words in (40, 25):
            _, turn = self.say(f"slow {words}")
            self.ends(turn, "idle/after")
            time.sleep(5.0)
        for keys, after in (("Enter", True), ("Esc", False)):
            victim = f"{self.trial.program.directory}/victim"
            mark, turn = self.say(f"run sleep 4; touch {victim}")
            self.shows(ASKS[name])
            self.label("blocked/permission_shell")
            time.sleep(6.0)
            client.send_keys(self.session, keys)
            if after:
                self.label("working/tool")
                self.ends(self.turn(mark, after_tool=True), "idle/after")
            else:
                wait_until(
                    lambda: ASKS[name] not in self.trial.screen(self.session), PATIENCE, "it goes"
                )
                self.label("idle/rejected")
            time.sleep(5.0)
        _, turn = self.say("slow 60")
        time.sleep(4.0)
        client.send_keys(self.session, CANCEL.get(name, "Esc"))
        self.label("idle/interrupted")
        time.sleep(6.0)
        self.label("exiting")
        client.kill(self.session)

    def write(self, directory: Path) -> None:
        name = f"{self.trial.name}-{self.cols}x{self.rows}"
        private = self.trial.directory.encode()
        public = b"/home/someone".ljust(len(private), b"x")
        with gzip.open(directory / f"{name}.jsonl.gz", "wt") as file:
            file.write(json.dumps({"cols": self.cols, "rows": self.rows, "exit": 0}) + "\n")
            for at, data in self.chunks:
                public_data = LEFT_OVER.sub(_hidden, data.replace(private, public))
                entry = base64.b64encode(public_data).decode()
                file.write(json.dumps({"t": round(at, 3), "b64": entry}) + "\n")
        ends = [at for at, _ in self.labels[1:]] + [time.monotonic() - self.began]
        with open(directory / f"{name}.labels.jsonl", "w") as file:
            for (start, state), end in zip(self.labels, ends, strict=True):
                label: dict[str, Any] = {"t_from": round(start, 3), "t_to": round(end, 3)}
                file.write(json.dumps(label | {"state": state}) + "\n")


def main() -> int:
    programs, name, size, directory = sys.argv[1:]
    cols, rows = map(int, size.split("x"))
    home = Home()
    os.environ |= {key: home.env[key] for key in ("HOME", "CODEWIRE_DIR") if key in home.env}
    try:
        home.start_node()
        trial = Trial(name, programs, home, home.client())
        try:
            recording = Recording(trial, cols, rows)
            try:
                recording.play()
            except AssertionError:
                print(trial.screen(recording.session))
                raise
            recording.write(Path(directory))
        finally:
            trial.close()
    finally:
        home.expects_leftovers = True
        home.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
