"""One command inside a runtime, with the ending a shell would give it.

An engine says on stdout what it could not start, and gives 126 whatever the reason; and a client of
it that is killed leaves the command running inside. Both are put right here.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from codewire.runtimes.engine import Exec, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codewire.runtimes.engine import Engine
    from codewire.runtimes.records import Instance

# As a shell says it (sh(1)); TIMED_OUT as timeout(1).
TIMED_OUT, CANNOT_EXECUTE, NOT_FOUND, BY_SIGNAL = 124, 126, 127, 128
# What an engine begins with when it could not start a command, on stdout.
FAILED = b"OCI runtime exec failed: "
ABSENT = re.compile(rb'exec: "(?:[^"\\]|\\.)*": .*(?:not found|no such file or directory)')
READ_SIZE = 1 << 16
# Every process inside: its stat, a newline, its argv; then a mark that no argv can hold by chance.
LIST_PROCESSES = (
    'cat /proc/uptime; printf "\\0%s\\0" "$1"; for p in /proc/[0-9]*; do '
    'cat "$p/stat" "$p/cmdline" 2>/dev/null; printf "\\0%s\\0" "$1"; done'
)
KILL = 'kill -"$@" 2>/dev/null; exit 0'
LOOK_SECONDS = 5.0
# Between SIGTERM and SIGKILL for what is to end inside.
GRACE_SECONDS = 2.0
# How much later than we asked for it a process may have begun, by clocks that tick in 10 ms.
SLACK_SECONDS = 1.0
# And how much earlier, by an engine with other work.
START_SECONDS = 5.0
TICKS = 100


class Process(NamedTuple):
    """A process inside; `age` in seconds."""

    pid: int
    parent: int
    age: float
    argv: tuple[str, ...]


def ending(code: int, said: bytes) -> int:
    """Return the code a shell would give, for an engine's code and what it first said.

    `said` is the first of its stdout, empty where that is not known.
    """
    if code < 0:
        return BY_SIGNAL - code
    if code == CANNOT_EXECUTE and said.startswith(FAILED) and ABSENT.search(said):
        return NOT_FOUND
    return code


def copy_output(source: int, write: Callable[[bytes], object]) -> bytes:
    """Copy a descriptor to its end; return what the engine said instead, which is not copied.

    Output is held back only as long as it could be the engine's own words.
    """
    held, is_held = b"", True
    while data := os.read(source, READ_SIZE):
        if not is_held:
            write(data)
            continue
        held += data
        is_held = len(held) < READ_SIZE if held.startswith(FAILED) else FAILED.startswith(held)
        if not is_held:
            write(held)
            held = b""
    return held


def flush_held(held: bytes, code: int) -> tuple[bytes, bytes]:
    """Return what of held output is the command's and what is the engine's, by how it ended."""
    is_engines = code in (CANNOT_EXECUTE, NOT_FOUND) and held.startswith(FAILED)
    return (b"", held) if is_engines else (held, b"")


def is_absent(engine: Engine, instance: Instance, program: str) -> bool:
    """Say whether there is no such program inside: for a 126 whose words were not seen."""
    script = 'command -v -- "$1" >/dev/null 2>&1 || [ -e "$1" ] && exit 0; exit 127'
    argv = engine.exec_argv(instance, Exec(["/bin/sh", "-c", script, "sh", program], ""))
    return call(argv, LOOK_SECONDS).code == NOT_FOUND


def exit_code(engine: Engine, instance: Instance, directory: str, code: int, said: bytes) -> int:
    """Return a command's exit code, as `ending`; `directory` is where it was to run.

    Podman gives 127 for a directory that is not there, and says why on stderr.
    """
    code = ending(code, said)
    if code == NOT_FOUND and directory and not said:
        # Every runtime has a shell: what does not run it there has no such directory.
        argv = engine.exec_argv(instance, Exec(["/bin/sh", "-c", ":"], directory))
        if call(argv, LOOK_SECONDS).code in (CANNOT_EXECUTE, NOT_FOUND):
            return CANNOT_EXECUTE
    return code


def end_inside(engine: Engine, instance: Instance, command: Sequence[str], started: float) -> bool:
    """End a command whose client has ended; say whether nothing of it is left.

    `started` is the monotonic time when it was asked for. One that cannot be told from another is
    left alone. Raises EngineError.
    """
    found = _find(engine, instance, command, started)
    if found is None:
        return False
    for signal in ("TERM", "KILL"):
        if not found:
            return True
        _kill(engine, instance, signal, found)
        deadline = time.monotonic() + GRACE_SECONDS
        while found and time.monotonic() < deadline:
            alive = {process.pid: process.argv for process in _processes(engine, instance)}
            found = [each for each in found if alive.get(each.pid) == each.argv]
            if found:
                time.sleep(0.1)
    return not found


def _find(
    engine: Engine, instance: Instance, command: Sequence[str], started: float
) -> list[Process] | None:
    """Return a command's process and all below it, [] if it has ended, None if unsure which."""
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        running, age = _processes(engine, instance), time.monotonic() - started
        roots = roots_of(running, command, age)
        if roots or time.monotonic() > deadline:
            break
        # Podman starts what was asked for also when its client has been ended before.
        time.sleep(0.2)
    roots = roots or changed_roots(running, age)
    return tree(running, roots[0]) if len(roots) == 1 else [] if not roots else None


def changed_roots(running: Sequence[Process], age: float) -> list[Process]:
    """Return what an engine has put inside at about that age, whatever its argv is by now.

    A shell becomes its last command, env(1) the program: then the time is all there is to go by.
    """
    return [
        each
        for each in running
        if each.parent == 0
        and each.pid != 1
        and age - START_SECONDS <= each.age <= age + SLACK_SECONDS
        and LIST_PROCESSES not in each.argv
    ]


def roots_of(running: Sequence[Process], command: Sequence[str], age: float) -> list[Process]:
    """Return the processes an engine has put inside with this argv, at most so old (seconds)."""
    argv = tuple(os.fsencode(word).decode("utf-8", "replace") for word in command)
    # What comes in by exec has no parent there; a script has its interpreter in front.
    return [
        each
        for each in running
        if each.parent == 0
        and each.pid != 1
        and each.age <= age + SLACK_SECONDS
        and (each.argv == argv or (len(argv) < len(each.argv) and _ends_with(each.argv, argv)))
    ]


def _ends_with(words: tuple[str, ...], argv: tuple[str, ...]) -> bool:
    rest = words[len(words) - len(argv) :]
    return rest[1:] == argv[1:] and os.path.basename(rest[0]) == os.path.basename(argv[0])


def tree(running: Sequence[Process], root: Process) -> list[Process]:
    """Return a process and all below it."""
    found = [root]
    for each in found:
        found += [child for child in running if child.parent == each.pid and child not in found]
    return found


def _processes(engine: Engine, instance: Instance) -> list[Process]:
    mark = os.urandom(8).hex()
    script = ["/bin/sh", "-c", LIST_PROCESSES, "sh", mark]
    listed = call(engine.exec_argv(instance, Exec(script, "")), LOOK_SECONDS)
    return parse_processes(listed.output, mark)


def parse_processes(text: str, mark: str) -> list[Process]:
    """Return the processes that LIST_PROCESSES printed; what is none is left out."""
    uptime, *records = text.split(f"\0{mark}\0")
    try:
        now = float(uptime.split()[0])
    except (ValueError, IndexError):
        return []
    found = []
    for record in records:
        stat, _, cmdline = record.partition("\n")
        pid, _, rest = stat.partition(" (")
        fields = rest.rpartition(")")[2].split()
        if len(fields) < 20 or not all(map(str.isdigit, (pid, fields[1], fields[19]))):
            continue
        words = tuple(cmdline.removesuffix("\0").split("\0"))
        found.append(Process(int(pid), int(fields[1]), now - int(fields[19]) / TICKS, words))
    return found


def _kill(engine: Engine, instance: Instance, signal: str, found: Sequence[Process]) -> None:
    pids = [str(process.pid) for process in found]
    script = ["/bin/sh", "-c", KILL, "sh", signal, *pids]
    call(engine.exec_argv(instance, Exec(script, "")), LOOK_SECONDS)
