"""Driving an engine through its own command line: one bounded call at a time, errors in a line.

Output is kept up to a bound. Nothing goes through a shell of ours.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple, Protocol

from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.runtimes.records import Instance

# An engine that hangs (its daemon does) must not take us along. Pulling an image may be long.
ASK_SECONDS = 30.0
CREATE_SECONDS = 1800.0
# For a word on one container: what lists them waits for each.
STATE_SECONDS = 10.0
MAX_OUTPUT = 1 << 20
WORKSPACE = "/workspace"
# Stops in 0.2 s: a shell heeds its trap only once the command in the foreground has ended.
IDLE_SCRIPT = "trap 'exit 0' TERM INT; while true; do sleep 3600 & wait $!; done"
# What a label says on a container of ours: the instance, and whose data directory has it.
LABEL, OWNER_LABEL = "codewire.instance", "codewire.owner"
MISSING, UNKNOWN, RUNNING = "missing", "unknown", "running"
GONE = ("no such container", "no such object", "not found")


class EngineError(CodewireError):
    """An engine refused or failed; the message has its own last words."""


class Result(NamedTuple):
    """What a call of an engine gave; output is stdout and stderr together, stripped."""

    code: int
    output: str

    def says(self, *phrases: str) -> bool:
        """Say whether the output has one of these phrases, in any case."""
        lower = self.output.lower()
        return any(phrase in lower for phrase in phrases)


class Exec(NamedTuple):
    """One command to run inside. `directory` "" is the image's own, env is added."""

    command: Sequence[str]
    directory: str = WORKSPACE
    env: Sequence[tuple[str, str]] = ()
    is_interactive: bool = True
    has_terminal: bool = False
    user: str = ""


class Stray(NamedTuple):
    """A container that carries our label and has no record."""

    runtime_name: str
    instance: str
    state: str


class Engine(Protocol):
    """What an engine must be able to do. All of it blocks; all of it raises EngineError."""

    backend: str

    def require(self) -> None:
        """Raise EngineError if the engine's program, or one it needs, is not on PATH."""

    def check(self, instance: Instance) -> None:
        """Raise CodewireError for what this engine cannot make, before anything is done."""

    def create(self, instance: Instance, options: Options) -> None:
        """Make the container and start it; nothing is left where that fails."""

    def start(self, instance: Instance) -> None: ...

    def stop(self, instance: Instance) -> None: ...

    def remove(self, instance: Instance) -> None:
        """Remove the container; one that has gone is no error."""

    def state(self, instance: Instance) -> str:
        """Return `running`, `exited`, … `missing`, or `unknown` where the engine does not say."""

    def exec_argv(self, instance: Instance, run: Exec) -> list[str]:
        """Return the argv that runs a command inside, on our stdin, stdout and stderr."""

    def strays(self, owner: str) -> list[Stray]:
        """Return the containers that carry our label for this owner."""


class Options(NamedTuple):
    """What concerns the making of a container alone."""

    user: str = ""
    # (source, target, readonly), absolute.
    mounts: Sequence[tuple[str, str, bool]] = ()
    env: Sequence[tuple[str, str]] = ()
    owner: str = ""


def find_program(name: str, backend: str) -> str:
    """Return an engine's program. Raises EngineError as upstream words it."""
    # shutil takes 2 ms of every `cw exec` for it.
    places = (os.path.join(place, name) for place in os.get_exec_path())
    found = next((path for path in places if _is_program(path)), None)
    if found is None:
        raise EngineError(
            f'{name} is required for the {backend} backend: exec: "{name}": '
            "executable file not found in $PATH"
        )
    return found


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def call(argv: Sequence[str], seconds: float = ASK_SECONDS, stdin: bytes | None = None) -> Result:
    """Run an engine's command to its end. Blocks for `seconds` at most. Raises EngineError."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin if stdin is not None else b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env=engine_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{argv[0]} does not answer: '{words(argv)}' took longer than {seconds:g} s"
        ) from None
    except (OSError, ValueError) as error:
        raise EngineError(f"{argv[0]}: {getattr(error, 'strerror', None) or error}") from None
    return Result(done.returncode, done.stdout[-MAX_OUTPUT:].decode("utf-8", "replace").strip())


def must(argv: Sequence[str], seconds: float = ASK_SECONDS, label: str = "") -> str:
    """Run an engine's command and return its output; EngineError if it fails."""
    result = call(argv, seconds)
    if result.code:
        raise EngineError(failure(label or words(argv), result))
    return result.output


def failure(label: str, result: Result) -> str:
    """Word a failed call: what was run, how it ended, the engine's last words."""
    ending = f"exit status {result.code}" if result.code >= 0 else f"signal {-result.code}"
    return f"{label}: {ending}" + (f"\n{result.output}" if result.output else "")


def words(argv: Sequence[str]) -> str:
    """Return an argv for a message, without the values of variables: they may be secrets."""
    shown, hides = [os.path.basename(argv[0])], False
    for word in argv[1:]:
        name = word.partition("=")[0]
        shown.append(f"{name}=…" if hides and "=" in word else word)
        hides = word in ("--env", "-e") or word.startswith("environment.")
    return " ".join(shown)


def engine_environment() -> dict[str, str]:
    """Return the environment an engine's program gets: ours, without what is a session's."""
    return {key: value for key, value in os.environ.items() if key not in ("CODEWIRE_TOKEN",)}
