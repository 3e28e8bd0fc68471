"""What a launch starts: directory, environment and program file, all checked before anything runs.

Rules and texts: spec/wire.md 10 and 12. Unlike upstream, the program is looked up with the
session's own PATH and directory.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codewire import paths
from codewire.errors import LaunchError
from codewire.wire.texts import go_quote

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,31}\Z")

# Set by an agent for its own children; a session is none (spec/wire.md 12).
PRIVATE_VARIABLES = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CODEWIRE_AUTOSTART", "CODEWIRE_TOKEN")
# The size of the terminal the node was started from: programs take it for that of their own.
SIZE_VARIABLES = ("LINES", "COLUMNS")

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a client asks for. `env` is K=V entries; `rows` and `cols` 0 mean 24 and 80."""

    command: tuple[str, ...]
    working_dir: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    stdin_data: bytes = b""
    rows: int = 0
    cols: int = 0
    key: str = ""


def check_name(name: str) -> None:
    """Raise LaunchError unless `name` can name a session."""
    if not NAME_PATTERN.match(name):
        raise LaunchError(
            f"invalid name {go_quote(name)}: must be 1-32 alphanumeric characters or hyphens, "
            "starting with alphanumeric"
        )


def resolve_directory(working_dir: str) -> str:
    """Return the absolute working directory; empty is the user's home. Raises LaunchError."""
    path = os.path.join(paths.home(), working_dir) if working_dir else paths.home()
    if not os.path.exists(path):
        raise LaunchError(f"working directory {go_quote(working_dir)} does not exist")
    if not os.path.isdir(path):
        raise LaunchError(f"working directory {go_quote(working_dir)} is not a directory")
    return path


def build_environment(
    base: Mapping[str, str],
    environment_file: str,
    request: LaunchRequest,
    session_id: int,
    cwd: str,
) -> dict[str, str]:
    """Return the session's whole environment, layer by layer (spec/wire.md 12)."""
    dropped = PRIVATE_VARIABLES + SIZE_VARIABLES
    env = {key: value for key, value in base.items() if key not in dropped}
    if env.get("TERM", "").strip() in ("", "dumb"):
        env["TERM"] = "xterm-256color"
    if not env.get("COLORTERM", "").strip():
        env["COLORTERM"] = "truecolor"
    env["PWD"] = cwd
    env.update(_read_environment(environment_file))
    for entry in request.env:
        key, separator, value = entry.partition("=")
        if separator and key:
            env[key] = value
    for variable in ("CW_SESSION_NAME", "CW_COHORT_TAG"):
        env.pop(variable, None)
    env["CW_SESSION_ID"] = str(session_id)
    if request.name:
        env["CW_SESSION_NAME"] = request.name
    if request.tags:
        env["CW_COHORT_TAG"] = request.tags[0]
    return env


def _read_environment(path: str) -> dict[str, str]:
    """Return environment.json, {} when it is missing or not strings to strings (files.md 7)."""
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        return {}
    return values


def resolve_program(command: Sequence[str], cwd: str, env: Mapping[str, str]) -> str:
    """Return the file to execute for `command[0]`. Raises LaunchError."""
    if not command:
        raise LaunchError("command must not be empty")
    name = command[0]
    if any("\0" in word for word in command):
        raise LaunchError("command must not contain NUL bytes")
    if "/" in name:
        path = os.path.join(cwd, name)
        if not os.path.exists(path):
            raise LaunchError(f"command {go_quote(name)} does not exist")
        return path
    for directory in env.get("PATH", DEFAULT_PATH).split(":"):
        path = os.path.join(cwd, directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise LaunchError(f"command {go_quote(name)} not found in PATH")
