"""`cw exec` in a local runtime: the engine's exec, with a shell's exit codes and an end to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codewire.runtimes.engine import Engine
    from codewire.runtimes.records import Instance

# A descriptor that takes nothing now is tried again after this long.
FULL_SECONDS = 0.01
# What ends this program ends the command: the terminal tells the engine's client, too, of Ctrl-C,
# but kill(1) does not.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long the engine's client may take to end.
CLIENT_SECONDS = 2.0


def exec_inside(
    instance: Instance,
    command: Sequence[str],
    *,
    directory: str | None,
    seconds: float | None,
    has_terminal: bool,
    is_json: bool,
) -> int:
    """Run a command in a runtime in the foreground; return its exit code, 0 for JSON.

    `directory` None is the record's; `seconds` None or 0 is for ever. Raises CodewireError.
    """
    from codewire.environment import forwarded_terminal
    from codewire.runtimes import records
    from codewire.runtimes.engine import Exec
    from codewire.runtimes.instances import engine_for

    engine = engine_for(instance)
    engine.require()
    is_terminal = not is_json and (has_terminal or _are_terminals())
    env = forwarded_terminal(os.environ) if is_terminal else {}
    run = Exec(command, directory or instance.workdir, list(env.items()), has_terminal=is_terminal)
    records.touch(instance)
    foreground = _Foreground(engine, instance, run, seconds)
    output.flush_stdout()
    with _restored_terminal():
        if is_json:
            return foreground.run_for_json()
        return foreground.run_on_terminal() if is_terminal else foreground.run()


def _are_terminals() -> bool:
    return all(os.isatty(fd) for fd in (0, 1))


@contextlib.contextmanager
def _restored_terminal() -> Iterator[None]:
    """Leave the terminal as it was: an engine's client that is killed leaves it raw."""
    import termios

    try:
        before = termios.tcgetattr(0)
    except (termios.error, OSError):
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(termios.error, OSError):
            if termios.tcgetattr(0) != before:
                termios.tcsetattr(0, termios.TCSADRAIN, before)


class _Foreground:
    """One engine's exec, from its start to its end."""

    def __init__(self, engine: Engine, instance: Instance, run: Any, seconds: float | None) -> None:
        self._engine, self._instance, self._run = engine, instance, run
        self._seconds = seconds or None
        self._argv = engine.exec_argv(instance, run)
        self._started = time.monotonic()
        # Why the command was ended by us: a signal's number, or 0.
        self._signal = 0
        self._has_printed = False

    def run(self) -> int:
        """Run with stdout in between: what the engine says there belongs to stderr."""
        from codewire.runtimes.running import flush_held

        pieces: list[bytes] = []
        process = self._start(stdout=subprocess.PIPE)
        copier = threading.Thread(target=self._copy, args=(process, pieces), daemon=True)
        copier.start()
        code = self._wait(process)
        # What else holds the pipe may go on for ever.
        copier.join(None if self._is_whole(code) else 2)
        held = pieces[0] if pieces else b""
        own, said = flush_held(held, code)
        with contextlib.suppress(OSError):
            _write(1, own)
            _write(2, said)
        return self._finish(code, said)

    def run_on_terminal(self) -> int:
        """Run on this terminal: keys, signals and size are the engine's client's business."""
        from codewire.runtimes.running import CANNOT_EXECUTE, NOT_FOUND, is_absent

        code = self._wait(self._start())
        if code == CANNOT_EXECUTE and is_absent(self._engine, self._instance, self._run.command[0]):
            return NOT_FOUND
        return self._finish(code, b"")

    def run_for_json(self) -> int:
        """Run with all output caught; print it with the exit code."""
        from codewire.runtimes.running import flush_held

        process = self._start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        caught: dict[str, bytes] = {"stdout": b"", "stderr": b""}

        def catch(name: str) -> None:
            caught[name] = getattr(process, name).read()

        readers = [threading.Thread(target=catch, args=(name,), daemon=True) for name in caught]
        for reader in readers:
            reader.start()
        code = self._wait(process)
        for reader in readers:
            reader.join(None if self._is_whole(code) else 2)
        own, said = flush_held(caught["stdout"], code)
        code = self._finish(code, said)
        err = caught["stderr"] + said
        output.show_json(
            {
                "exit_code": code,
                "stdout": own.decode("utf-8", "replace"),
                "stderr": err.decode("utf-8", "replace"),
            }
        )
        return 0

    def _is_whole(self, code: int) -> bool:
        return not self._signal and code >= 0

    def _start(self, **pipes: Any) -> subprocess.Popen[bytes]:
        from codewire.runtimes.engine import engine_environment

        try:
            return subprocess.Popen(self._argv, env=engine_environment(), **pipes)
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            raise CodewireError(f"{self._argv[0]}: {words}") from None

    def _copy(self, process: subprocess.Popen[bytes], pieces: list[bytes]) -> None:
        from codewire.runtimes.running import copy_output

        assert process.stdout is not None
        try:
            pieces.append(copy_output(process.stdout.fileno(), self._print))
        except OSError:
            # Whoever read our output has gone.
            self._end_client(process, signal.SIGPIPE)

    def _print(self, data: bytes) -> None:
        self._has_printed = True
        _write(1, data)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the engine's client; our end is its end."""

        def end(number: int, frame: object) -> None:
            self._end_client(process, number)

        before = {number: signal.signal(number, end) for number in ENDINGS}
        try:
            return process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            self._end_client(process, signal.SIGALRM)
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end_client(self, process: subprocess.Popen[bytes], number: int) -> None:
        """End the engine's client for this signal; one that does not heed it is killed."""
        self._signal = self._signal or number
        process.terminate()
        killer = threading.Timer(CLIENT_SECONDS, process.kill)
        killer.daemon = True
        killer.start()

    def _finish(self, code: int, said: bytes) -> int:
        """Return the exit code; what our end, or the client's, left inside is ended first."""
        from codewire.runtimes.running import BY_SIGNAL, TIMED_OUT, exit_code

        if self._signal or code < 0:
            self._end_inside()
        if self._signal == signal.SIGALRM:
            output.notice(f"the command's time is up ({self._seconds:g} s)")
            return TIMED_OUT
        if self._signal:
            # Not the client's code: podman gives 1 after SIGINT and 0 after SIGTERM.
            return BY_SIGNAL + self._signal
        if code == 1 and not self._has_printed:
            self._say_state()
        return exit_code(self._engine, self._instance, self._run.directory, code, said)

    def _end_inside(self) -> None:
        from codewire.runtimes.running import end_inside

        try:
            is_over = end_inside(self._engine, self._instance, self._run.command, self._started)
        except CodewireError as error:
            # What was asked of the engine is a script of ours and explains nothing.
            words = output.plain(str(error)).partition("\n")[0].partition(": ")[0]
            output.notice(f"{words}: the command may still run in {self._instance.name}")
            return
        if not is_over:
            output.notice(
                f"the command may still run in {self._instance.name}: it could not be told from "
                "others"
            )

    def _say_state(self) -> None:
        """Say what to do where the engine refused because the runtime does not run."""
        from codewire.runtimes.instances import require_running

        try:
            require_running(self._instance)
        except CodewireError as error:
            output.notice(str(error))


def _write(fd: int, data: bytes) -> None:
    """Write all of it, also where somebody else has made the descriptor non-blocking."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            time.sleep(FULL_SECONDS)
