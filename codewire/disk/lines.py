"""Lines for the end of a file: added by anybody at once, written by one at a time, in that order.

Adding waits for nothing, so it may be done under a lock that others need; the disk is waited for
outside of it, by whoever wants to know what became of its line. What was added while somebody
waits is written together, and one fsync serves all of it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from codewire.disk.filing import (
    MISPLACED,
    append_data,
    encode_line,
    move_aside,
    sync_file,
)
from codewire.io.filecalls import FileCalls
from codewire.io.wait import run_blocking

log = logging.getLogger(__name__)

# What became of a line. Of a doubtful one it is not known whether the disk has it: a sync failed,
# and a later one that succeeds says nothing of what the first was for (fsync(2)).
WAITING, WRITTEN, SYNCED, DOUBTFUL, REFUSED = range(5)


class Line:
    """One line and what became of it."""

    __slots__ = ("data", "done", "problem", "state")

    def __init__(self, data: bytes, done: Callable[[bool], None] | None) -> None:
        self.data = data
        self.done = done
        self.state = WAITING
        # Why it is not in the file or not on the disk, as the system says; "" where it is.
        self.problem = ""

    @property
    def is_written(self) -> bool:
        """Whether it is in the file: it outlives this process."""
        return self.state in (WRITTEN, SYNCED, DOUBTFUL)

    @property
    def is_synced(self) -> bool:
        """Whether it is on the disk: it outlives the machine."""
        return self.state == SYNCED


class Lines:
    """The end of the file at `path`. Methods may be called from any greenlet or thread."""

    __slots__ = (
        *(
            "_calls",
            "_has_ended",
            "_is_failing",
            "_queue",
            "_sync",
            "_sync_turn",
            "_turn",
            "_unsynced",
        ),
        *("max_bytes", "path"),
    )

    def __init__(
        self,
        path: str,
        max_bytes: int = 0,
        sync: Callable[[str], None] = sync_file,
        calls: FileCalls = run_blocking,
    ) -> None:
        """A file beyond `max_bytes` (0: any size) becomes `path`.1, whose predecessor goes.

        `sync` has what was written to a file on the disk; it blocks and raises OSError. `calls` is
        how lines are appended; syncs are always made elsewhere.
        """
        self._calls = calls
        self.path = path
        self.max_bytes = max_bytes
        self._sync = sync
        self._queue: list[Line] = []
        # Who writes, and who syncs: nobody who writes waits for a sync. Neither is needed but for
        # the sake of this file.
        self._turn = threading.Lock()
        self._sync_turn = threading.Lock()
        # Written, to be on the disk after the next sync.
        self._unsynced: list[Line] = []
        self._is_failing = False
        self._has_ended = False

    def add(self, value: Any, done: Callable[[bool], None] | None = None) -> Line:
        """Put a line (JSON) in the queue. Waits for nothing.

        `done` is told whether it is in the file, in the order of the lines, by whoever wrote it.
        """
        line = Line(encode_line(value), done)
        self._queue.append(line)
        return line

    def waiting(self) -> int:
        """Return how many lines are in the queue."""
        return len(self._queue)

    def write(self) -> None:
        """Have what was added so far in the file, unless the disk refuses it. Blocks."""
        if self._queue or self._turn.locked():
            with self._turn:
                self._work_off()

    def commit(self, line: Line) -> bool:
        """Have a line on the disk; False when the disk refuses it. Blocks."""
        self.write()
        if line.state == WRITTEN:
            self._unsynced.append(line)
            with self._sync_turn:
                # One sync serves all who wait when it begins.
                if line.state == WRITTEN:
                    self._sync_all()
        return line.is_synced

    def _sync_all(self) -> None:
        due = _take_all(self._unsynced)
        state, problem = SYNCED, ""
        try:
            run_blocking(self._sync_somewhere)
        except OSError as error:
            log.error("syncing %s failed: %s", self.path, error.strerror)
            state, problem = DOUBTFUL, error.strerror or str(error)
        for line in due:
            line.state, line.problem = state, problem

    def _sync_somewhere(self) -> None:
        try:
            self._sync(self.path)
        except FileNotFoundError:
            if not self.max_bytes:
                raise
            # The last line was the last one that had room.
            self._sync(f"{self.path}.1")

    def end(self) -> None:
        """Write nothing more: the file is about to be removed. Blocks for who writes now."""
        with self._turn:
            self._has_ended = True

    def _work_off(self) -> None:
        """Write the queue. The turn is held."""
        batch = _take_all(self._queue)
        if self._has_ended:
            _settle(batch)
        if self._has_ended or not batch:
            return
        outcome = Outcome()
        try:
            outcome = self._calls(self._perform, batch)
            if outcome.is_misplaced() and self._move_aside(outcome):
                outcome = self._calls(self._perform, batch)
            if self.max_bytes and outcome.size > self.max_bytes:
                self._turn_over()
        finally:
            _settle(batch)
        if outcome.problem is not None and not self._is_failing:
            log.error("writing %s failed: %s", self.path, outcome.problem.strerror)
        self._is_failing = outcome.problem is not None

    def _move_aside(self, outcome: Outcome) -> bool:
        return move_aside(self.path, _words(outcome.problem), is_known=self._is_failing)

    def _perform(self, batch: Sequence[Line]) -> Outcome:
        """Write; raises nothing. Not in the thread of whoever waits: nothing is logged."""
        outcome = Outcome()
        for lines in (batch, *([line] for line in batch if len(batch) > 1)):
            # All at once; or one by one, as far as there is room.
            if lines[0].state == WAITING:
                self._put(lines, outcome)
        return outcome

    def _put(self, lines: Sequence[Line], outcome: Outcome) -> None:
        try:
            outcome.size = self._append(lines)
        except OSError as error:
            outcome.problem = error
            for line in lines:
                line.problem = error.strerror or str(error)
            return
        for line in lines:
            line.state, line.problem = WRITTEN, ""

    def _append(self, lines: Sequence[Line]) -> int:
        """Write all of `lines`, or nothing; return the file's size. Raises OSError."""
        return append_data(self.path, b"".join([line.data for line in lines]))

    def _turn_over(self) -> None:
        """Begin the file anew; the older half stays beside it. A failure costs only room."""
        older = f"{self.path}.1"
        try:
            try:
                run_blocking(os.replace, self.path, older)
            except IsADirectoryError as error:
                if move_aside(older, str(error.strerror)):
                    run_blocking(os.replace, self.path, older)
        except OSError as error:
            log.warning("renaming %s failed: %s", self.path, error.strerror)


class Outcome:
    """What a file said to a batch of lines: its `size` in bytes, and what went wrong."""

    __slots__ = ("problem", "size")

    def __init__(self) -> None:
        self.size = 0
        self.problem: OSError | None = None

    def is_misplaced(self) -> bool:
        """Say whether what stands at the path is no file."""
        return self.problem is not None and self.problem.errno in MISPLACED


def _words(problem: OSError | None) -> str:
    return str(problem and problem.strerror)


def _take_all(queue: list[Line]) -> list[Line]:
    """Return the lines, the queue's no longer. Others may add to it meanwhile, nobody else takes.

    A list: an empty deque takes ten times its memory, and each session has four queues.
    """
    taken = queue[:]
    del queue[: len(taken)]
    return taken


def _settle(batch: Sequence[Line]) -> None:
    """Tell whoever wants to know what became of each line."""
    for line in batch:
        if line.state == WAITING:
            line.state = REFUSED
            line.problem = line.problem or "the file is gone"
    for line in batch:
        if line.done is not None:
            line.done(line.is_written)
