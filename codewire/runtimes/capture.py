"""One command inside a runtime to its end, its output kept up to a bound: for who has no terminal.

The command ends when its time is up or its caller no longer wants it, inside too.
"""

from __future__ import annotations

import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, NamedTuple

from codewire.runtimes.engine import EngineError, Exec, engine_environment
from codewire.runtimes.instances import engine_for
from codewire.runtimes.running import TIMED_OUT, end_inside, exit_code, flush_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codewire.runtimes.records import Instance

# Of each stream; what is beyond is read and dropped.
MAX_OUTPUT = 256 << 10
READ_SIZE = 1 << 16
# How often it is looked whether the caller still wants it.
STEP_SECONDS = 0.2
# For what a command that was ended has left in its pipes.
REST_SECONDS = 2.0


class Outcome(NamedTuple):
    """How a command ended; `left_out` counts the bytes that were dropped."""

    code: int
    stdout: bytes
    stderr: bytes
    left_out: int = 0
    note: str = ""


class _Kept:
    """The beginning of a stream, read by a thread of its own."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most
        self.data, self.left_out = b"", 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while data := self._stream.read1(READ_SIZE):  # type: ignore[attr-defined]
            room = self._most - len(self.data)
            self.data += data[:room]
            self.left_out += max(0, len(data) - room)

    def finish(self, seconds: float | None) -> bytes:
        self._thread.join(seconds)
        return self.data


def run_captured(
    instance: Instance,
    command: Sequence[str],
    *,
    directory: str = "",
    seconds: float = 0,
    stdin: bytes = b"",
    is_over: Callable[[], bool] = lambda: False,
    most: int = MAX_OUTPUT,
) -> Outcome:
    """Run a command in a runtime and return how it ended; 124 when its time was up (0: never).

    Raises EngineError where the engine's program cannot be run.
    """
    engine = engine_for(instance)
    engine.require()
    argv = engine.exec_argv(instance, Exec(command, directory))
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=engine_environment(), start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise EngineError(f"{argv[0]}: {getattr(error, 'strerror', None) or error}") from None
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    streams = [_Kept(stream, most) for stream in (process.stdout, process.stderr)]
    threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True).start()
    is_ended = _wait(process, started + seconds if seconds else None, is_over)
    out, err = (stream.finish(REST_SECONDS if is_ended else None) for stream in streams)
    own, said = flush_held(out, process.returncode)
    note = ""
    if not is_ended:
        code = exit_code(engine, instance, directory, process.returncode, said)
    else:
        code = TIMED_OUT
        if not end_inside(engine, instance, command, started):
            note = "the command may still run inside"
    return Outcome(code, own, err + said, sum(stream.left_out for stream in streams), note)


def _feed(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.close()
    except OSError:
        # It ended without reading all of it: its code says how.
        return


def _wait(
    process: subprocess.Popen[bytes], until: float | None, is_over: Callable[[], bool]
) -> bool:
    """Wait for a process; say whether it had to be ended."""
    while True:
        left = STEP_SECONDS if until is None else min(STEP_SECONDS, until - time.monotonic())
        try:
            process.wait(max(0.0, left))
            return False
        except subprocess.TimeoutExpired:
            if not is_over() and (until is None or time.monotonic() < until):
                continue
        process.kill()
        process.wait()
        return True
