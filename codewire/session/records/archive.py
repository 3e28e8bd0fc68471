"""What the disk says of sessions at a worker's start: three sources, each of which may be damaged.

sessions.json is a snapshot and the journal has what changed since; every session's directory keeps
a copy of its record for when both are gone. Reading raises nothing: what cannot be used is kept
aside and left out, and the rest counts. Written by store.py.

A journal names the snapshot that it goes on from. Where that is not the one that is there (an
older release wrote it, it was damaged, or a worker was killed between writing the two), the journal
only adds what the snapshot cannot know: sessions it lacks, and ends.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from codewire.disk.filing import keep_copy, read_file, read_json, set_aside
from codewire.disk.journal import Journal, Line
from codewire.paths import DataDir
from codewire.session.records.record import MAX_ID, Record, is_end_of, record_from_json
from codewire.session.records.relics import session_directories, take_up
from codewire.session.records.store import identity

SPACE = " \t\r\n"


class Found(NamedTuple):
    """What was found. `records` are from the node's files, `taken_up` from directories alone.

    `next_id` is above every id ever given; `is_whole` says that snapshot and journal may go on.
    """

    records: dict[int, Record]
    taken_up: dict[int, Record]
    next_id: int
    is_whole: bool


def read_archive(paths: DataDir, journal: Journal, alive: set[int]) -> Found:
    """Read everything; sessions that are `alive` are better known to others. Blocks for the disk.

    Directories without anything in them, left by a launch that was cut short, are removed.
    """
    records, base, is_whole = read_snapshot(paths.sessions_json)
    directories = session_directories(paths.sessions)
    changes = _Changes(records, base)
    is_whole = journal.replay(changes.apply) and is_whole
    changes.finish(set(directories) | alive)
    taken_up: dict[int, Record] = {}
    for number in directories:
        if number in alive:
            continue
        record = take_up(paths.session(number), number, records.get(number))
        if record is not None:
            taken_up[number] = record
            records.pop(number, None)
    next_id = max([changes.next_id, *(n + 1 for n in (*records, *directories, *alive))])
    return Found(records, taken_up, min(next_id, MAX_ID + 1), is_whole and changes.goes_on)


# The snapshot


def read_snapshot(path: str) -> tuple[dict[int, Record], str, bool]:
    """Return the records in a sessions.json by id, which one it is, and whether it is whole."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        return {}, "", True
    except OSError as error:
        set_aside(path, error)
        return {}, "", False
    values, problem = elements(data.decode("utf-8", "replace"))
    records: dict[int, Record] = {}
    for value in values:
        try:
            record = record_from_json(value)
        except (ValueError, TypeError, OverflowError) as error:
            problem = problem or str(error)
            continue
        records[record.id] = record
    if problem:
        keep_copy(path, problem)
    return records, identity(data), not problem


def elements(text: str) -> tuple[list[Any], str]:
    """Return the elements of a JSON array up to any damage, and what that is ("": none).

    An element with a number that is none is left out; those after it count.
    """
    try:
        whole = read_json(text)
    except ValueError as error:
        return _elements_one_by_one(text, str(error))
    return (whole, "") if isinstance(whole, list) else ([], "not a list")


def _elements_one_by_one(text: str, problem: str) -> tuple[list[Any], str]:
    # Only to find where an element ends: no number is too large for that.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    values: list[Any] = []
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        return values, "not a list"
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        start = at
        try:
            _, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            return values, str(error)
        try:
            values.append(read_json(text[start:at]))
        except ValueError as error:
            problem = str(error)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            return values, "cut short"
    return values, problem


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at


# The journal


class _Changes:
    """Lines of the journal, applied to the records of a snapshot."""

    def __init__(self, records: dict[int, Record], base: str) -> None:
        self._records = records
        self._base = base
        # A journal without lines goes on from whatever is there: nothing has changed since.
        self.goes_on = True
        self._is_first = True
        self.next_id = 1
        self._foreign: dict[int, Record | None] = {}

    def apply(self, line: Line) -> None:
        """Apply one line. Raises ValueError, TypeError or KeyError."""
        if self._is_first:
            self._is_first = False
            self.goes_on = line.get("base", "") == self._base
        if "next_id" in line:
            self._count(line["next_id"])
            return
        record = record_from_json(line["record"]) if "record" in line else None
        number = record.id if record is not None else line["gone"]
        self._count(number, 1)
        if not self.goes_on:
            self._foreign[number] = record
        elif record is not None:
            self._records[number] = record
        else:
            self._records.pop(number, None)

    def _count(self, number: Any, step: int = 0) -> None:
        if not isinstance(number, int) or not 0 < number <= MAX_ID + 1:
            raise ValueError(f"bad id {str(number)[:40]}")
        self.next_id = max(self.next_id, number + step)

    def finish(self, present: set[int]) -> None:
        """Take from a journal of another snapshot what this one cannot know.

        `present` are the sessions that have a directory: the others were dropped.
        """
        for number, record in self._foreign.items():
            if record is None:
                if number not in present:
                    self._records.pop(number, None)
            elif number not in self._records:
                if number in present:
                    self._records[number] = record
            elif is_end_of(self._records[number], record):
                self._records[number] = record
