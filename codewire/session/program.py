"""What a launch starts: its directory and its program's file, checked before anything runs.

Rules and texts: spec/wire.md 10 and 12. Unlike upstream, the program is looked up with the
session's own PATH and directory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codewire import paths
from codewire.errors import LaunchError
from codewire.files import open_regular
from codewire.io.slow import SlowCalls
from codewire.wire.codes import BAD_REQUEST, NO_DIRECTORY
from codewire.wire.texts import go_quote

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,31}\Z")

# The keeper, who goes there and starts it, serves every session: what may hang (NFS, FUSE) is
# looked at here first, so long at most.
LOOK_SECONDS = 5.0

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
SHELL = "/bin/sh"
# Of a PATH in an error: as much as is read.
SHOWN_PATH = 300


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a client asks for. `env` is K=V entries; `rows` and `cols` 0 mean 24 and 80.

    With `has_environment` the first `env_caller` entries of `env` (None: all) are the caller's own
    environment; `is_clean` wants only a few of those it would start with otherwise. `saved_env` is
    that of an earlier run instead of all this. `restart` is a policy (restarts.py), {} for none.
    """

    command: tuple[str, ...]
    working_dir: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    stdin_data: bytes = b""
    rows: int = 0
    cols: int = 0
    key: str = ""
    has_environment: bool = False
    env_caller: int | None = None
    is_clean: bool = False
    saved_env: Mapping[str, str] | None = None
    saves_env: bool = True
    restart: Mapping[str, Any] = field(default_factory=dict)
    relaunched_from: int = 0


def check_name(name: str) -> None:
    """Raise LaunchError unless `name` can name a session."""
    if not NAME_PATTERN.match(name):
        raise LaunchError(
            f"invalid name {go_quote(name)}: must be 1-32 alphanumeric characters or hyphens, "
            "starting with alphanumeric",
            BAD_REQUEST,
        )


def resolve_directory(working_dir: str, slow: SlowCalls) -> str:
    """Return the absolute working directory; empty is the user's home. Raises LaunchError.

    Blocks LOOK_SECONDS at most.
    """
    path = os.path.join(paths.home(), working_dir) if working_dir else paths.home()
    try:
        exists, is_directory = slow.look(LOOK_SECONDS, _look_at, path)
    except TimeoutError as error:
        what = f"working directory {go_quote(working_dir or path)}"
        raise LaunchError(f"{what} does not answer ({LOOK_SECONDS:g} s)") from error
    if not exists:
        raise LaunchError(f"working directory {go_quote(working_dir)} does not exist", NO_DIRECTORY)
    if not is_directory:
        text = f"working directory {go_quote(working_dir)} is not a directory"
        raise LaunchError(text, NO_DIRECTORY)
    return path


def _look_at(path: str) -> tuple[bool, bool]:
    # As chdir(2) does, which may ask a file system's server once more.
    os.access(path, os.X_OK)
    try:
        return True, stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False, False


def resolve_program(
    command: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    slow: SlowCalls,
    path_owner: str = "",
) -> str:
    """Return the file to execute for `command[0]`. Raises LaunchError.

    Blocks LOOK_SECONDS at most. An error says that PATH is `path_owner`'s.
    """
    if not command or not command[0]:
        raise LaunchError("command must not be empty", BAD_REQUEST)
    name = command[0]
    if any("\0" in word for word in command):
        raise LaunchError("command must not contain NUL bytes", BAD_REQUEST)
    has_path = "/" in name
    directories = ("",) if has_path else env.get("PATH", DEFAULT_PATH).split(":")
    places = [os.path.join(cwd, directory, name) for directory in directories]
    try:
        path = _find_program(places, has_path, slow)
    except TimeoutError as error:
        where = "" if has_path else " or a directory of its PATH"
        what = f"command {go_quote(name)}{where}"
        raise LaunchError(f"{what} does not answer ({LOOK_SECONDS:g} s)") from error
    if not path:
        problem = "does not exist" if has_path else f"not found in PATH{_whose(env, path_owner)}"
        raise LaunchError(f"command {go_quote(name)} {problem}")
    return path


def _whose(env: Mapping[str, str], path_owner: str) -> str:
    """Say whose PATH was searched, and what it is."""
    if "PATH" not in env:
        return f" (none is set; looked in {DEFAULT_PATH})"
    path = env["PATH"]
    shown = path if len(path) <= SHOWN_PATH else path[:SHOWN_PATH] + "..."
    return f" ({path_owner or 'its own'}: {go_quote(shown)[1:-1] or 'empty'})"


def script_command(path: str, argv: Sequence[str]) -> list[str] | None:
    """Return how a shell starts a file that execve(2) does not know: itself, if it is a script.

    Without `#!` that is any text (execvp(3), sh(1)); None for what is no text.
    """
    try:
        head = _read_head(path)
    except OSError:
        return None
    return None if b"\0" in head else [SHELL, path, *argv[1:]]


def _find_program(places: Sequence[str], is_named: bool, slow: SlowCalls) -> str:
    """Return the first of `places` that is a program, "" if none is; one that is named only exists.

    What execve(2) reads in the keeper's time, of the interpreter too, has been read then. Blocks
    LOOK_SECONDS at most. Raises TimeoutError.
    """
    asked = 0
    for path in slow.near.leading(places):
        asked += 1
        if _is_program(path, is_named):
            interpreter = _interpreter(path)
            if interpreter:
                slow.look(LOOK_SECONDS, _interpreter, interpreter)
            return path
    far = tuple(places[asked:])
    return slow.call(LOOK_SECONDS, _first_read, far, is_named) if far else ""


def _first_read(places: tuple[str, ...], is_named: bool) -> str:
    path = next((path for path in places if _is_program(path, is_named)), "")
    interpreter = _interpreter(path) if path else ""
    if interpreter:
        _interpreter(interpreter)
    return path


def _is_program(path: str, is_named: bool) -> bool:
    if is_named:
        return os.path.exists(path)
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _interpreter(path: str) -> str:
    """Read the first bytes of a file; return what a script's first line names, "" of another."""
    try:
        head = _read_head(path)
        words = head[2:].split(None, 1) if head.startswith(b"#!") else []
        return os.fsdecode(words[0]) if words else ""
    except (OSError, ValueError):
        # Perhaps it may be executed only; execve(2) will say what is wrong.
        return ""


def _read_head(path: str) -> bytes:
    fd = open_regular(path, os.O_RDONLY)
    try:
        return os.read(fd, 256)
    finally:
        os.close(fd)
