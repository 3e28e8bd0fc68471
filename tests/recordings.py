"""Replays recorded agent programs through the emulator and the rules, and compares with labels."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import toml

from codewire.agents.evidence import Evidence, Rhythm
from codewire.agents.programs import NO_PROGRAM, Program, judge, read_program
from codewire.agents.tracker import Said, Tracker
from codewire.term.screen import Screen
from codewire.term.signals import Signals

DIRECTORY = Path(__file__).with_name("recordings")
NAMES = sorted(path.name.removesuffix(".jsonl.gz") for path in DIRECTORY.glob("*.jsonl.gz"))
# Recorded later, at other sizes: the rules were not made on them.
SIZES = sorted(
    f"sizes/{path.name.removesuffix('.jsonl.gz')}" for path in DIRECTORY.glob("sizes/*.jsonl.gz")
)
RULES = Path(__file__).parent.parent / "codewire" / "agents"
STEP_SECONDS = 0.5
# Labels are true to about half a second, and idle after working is held for one.
SETTLED_SECONDS = 1.8
# What is shown where a label says something else, and what is left out of the comparison.
TRUTH = {"typing": "idle"}
SHOWN = {"done": "idle", "error": "idle"}
IGNORED = ("startup", "exiting", "done")


class Label(NamedTuple):
    """What a program was doing from `start` to `end`, in seconds of the recording."""

    start: float
    end: float
    state: str

    @property
    def truth(self) -> str:
        word = self.state.split("/")[0]
        return TRUTH.get(word, word)


class Sample(NamedTuple):
    """One look: what was true from `since` to `until`, what was said, by whom, of which kind."""

    at: float
    truth: str
    since: float
    until: float
    said: str
    source: str
    kind: str

    @property
    def is_settled(self) -> bool:
        return self.at - self.since >= SETTLED_SECONDS


def program(name: str) -> Program:
    """Return the rules that belong to a recording's program."""
    path = RULES / f"{name.rpartition('/')[2].split('-')[0].removesuffix('new')}.toml"
    return read_program(toml.loads(path.read_text(encoding="utf-8")))


def load(name: str) -> tuple[dict[str, int], list[tuple[float, bytes]], list[Label]]:
    """Return a recording's header, chunks and labels."""
    with gzip.open(DIRECTORY / f"{name}.jsonl.gz", "rt") as file:
        header, *rest = (json.loads(line) for line in file)
    chunks = [(entry["t"], base64.b64decode(entry["b64"])) for entry in rest]
    lines = (DIRECTORY / f"{name}.labels.jsonl").read_text(encoding="utf-8").splitlines()
    labels = [Label(e["t_from"], e["t_to"], e["state"]) for e in map(json.loads, lines)]
    return header, chunks, labels


@functools.cache
def samples(name: str, *, knows_program: bool) -> list[Sample]:
    """Return a look every half second; the program's rules and its reports count if it is known."""
    return list(_samples(name, program(name) if knows_program else NO_PROGRAM, knows_program))


def _samples(name: str, rules: Program, reports: bool) -> Iterator[Sample]:
    header, chunks, labels = load(name)
    screen, signals = Screen(header["rows"], header["cols"]), Signals()
    rhythm, tracker, done = Rhythm(), Tracker(0.0), 0
    typing = [label for label in labels if label.state == "typing"]
    for step in range(1, int(labels[-1].end / STEP_SECONDS)):
        now = step * STEP_SECONDS
        while done < len(chunks) and chunks[done][0] <= now:
            at, data = chunks[done]
            if any(label.start <= at <= label.end + 0.05 for label in typing):
                rhythm.typed(at)
            screen.feed(data)
            signals.feed(data, at)
            rhythm.printed(at)
            done += 1
        look = Evidence(
            tuple(row.text() for row in screen.grid.rows),
            (screen.y, screen.x),
            signals.title,
            signals.progress,
            now - rhythm.last_output,
            rhythm.busy_slots(now),
        )
        root = signals.status.root if reports else None
        said = Said(root.state, root.kind, root.message, signals.status_at) if root else None
        tracker.update(now, judge(look, rules), said)
        label = next((label for label in labels if label.start <= now < label.end), None)
        if label is not None and label.state.split("/")[0] not in IGNORED:
            state = tracker.state
            since = _since(labels, label)
            yield Sample(
                now,
                label.truth,
                since,
                label.end,
                SHOWN.get(state.state, state.state),
                state.source,
                state.kind,
            )


def _since(labels: list[Label], label: Label) -> float:
    """Return since when what is true has been true, over labels that mean the same."""
    at = labels.index(label)
    while at and labels[at - 1].truth == label.truth:
        at -= 1
    return labels[at].start


def confusion(found: list[Sample]) -> Counter[tuple[str, str]]:
    """Count (true, said) of the settled samples."""
    return Counter((s.truth, s.said) for s in found if s.is_settled)


def share_right(table: Counter[tuple[str, str]]) -> float:
    """Return which part of the samples is right."""
    return sum(n for (true, said), n in table.items() if true == said) / sum(table.values())
