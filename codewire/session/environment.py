"""The environment a session starts with, layer by layer, and whose PATH it is.

From below (spec/wire.md 12): the caller's, or the node's own where nobody sent one or the settings
say so; environment.json; what the launch names; what tells a session who it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from codewire import environment
from codewire.errors import LaunchError
from codewire.files import read_regular
from codewire.session.program import LaunchRequest
from codewire.wire.codes import BAD_REQUEST
from codewire.wire.nesting import is_deep

# A file is read as far as a session could use it.
MAX_FILE_BYTES = environment.MAX_BYTES

# Whose variable it is, in words that errors use.
CALLER, NODE, FILE, LAUNCH = "the caller's", "the node's", "environment.json's", "the launch's"


@dataclass(frozen=True, slots=True)
class Environment:
    """A session's variables; `path_owner` says whose PATH is among them, "" if nobody's."""

    variables: dict[str, str]
    path_owner: str
    # Whether it is made from the caller's own.
    is_callers: bool


class _Layers:
    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.path_owner = ""

    def add(self, variables: Mapping[str, str], owner: str) -> None:
        self.variables.update(variables)
        if "PATH" in variables:
            self.path_owner = owner


def build_environment(
    base: Mapping[str, str],
    environment_file: str,
    request: LaunchRequest,
    session_id: int,
    cwd: str,
    *,
    takes_callers: bool = True,
) -> Environment:
    """Return the session's whole environment. Raises LaunchError for one nothing can start with.

    `base` is the node's own; it is used unless the request brings its caller's, and then too
    unless this node `takes_callers`.
    """
    if request.saved_env is not None:
        env = {**request.saved_env, "PWD": cwd}
        _tell_who(env, request, session_id)
        return Environment(env, "the saved", True)
    callers, named = _entries(request)
    is_callers = request.has_environment and takes_callers
    layers = _Layers()
    layers.add(_bottom(base, callers if is_callers else None, request.is_clean), "")
    layers.path_owner = (CALLER if is_callers else NODE) if "PATH" in layers.variables else ""
    layers.add({"PWD": cwd}, "")
    layers.add(_read_environment(environment_file), FILE)
    layers.add(named, LAUNCH)
    env = layers.variables
    _tell_who(env, request, session_id)
    if environment.is_too_large(env):
        raise LaunchError(environment.too_large(env), BAD_REQUEST)
    return Environment(env, layers.path_owner, is_callers)


def _entries(request: LaunchRequest) -> tuple[dict[str, str], dict[str, str]]:
    """Return the caller's own variables in a request, and those that its launch names."""
    count = 0
    if request.has_environment:
        count = len(request.env) if request.env_caller is None else request.env_caller
    return _variables(request.env[:count]), _variables(request.env[count:])


def _variables(entries: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if separator and key:
            if "\0" in entry:
                raise LaunchError("the environment must not contain NUL bytes", BAD_REQUEST)
            found[key] = value
    return found


def _bottom(
    own: Mapping[str, str], callers: Mapping[str, str] | None, is_clean: bool
) -> dict[str, str]:
    """Return the lowest layer, with a TERM that is one."""
    env = environment.for_session(own if callers is None else callers)
    if is_clean:
        env = environment.clean(env)
    if env.get("TERM", "").strip() in ("", "dumb"):
        env["TERM"] = environment.COMMON_TERM
    if callers is None and not is_clean and not env.get("COLORTERM", "").strip():
        env["COLORTERM"] = environment.COMMON_COLORTERM
    return env


def _tell_who(env: dict[str, str], request: LaunchRequest, session_id: int) -> None:
    for variable in ("CW_SESSION_NAME", "CW_COHORT_TAG"):
        env.pop(variable, None)
    env["CW_SESSION_ID"] = str(session_id)
    if request.name:
        env["CW_SESSION_NAME"] = request.name
    if request.tags:
        env["CW_COHORT_TAG"] = request.tags[0]


def _read_environment(path: str) -> dict[str, str]:
    """Return environment.json, {} when it is missing or not strings to strings (files.md 7)."""
    try:
        text = read_regular(path, MAX_FILE_BYTES)
        values = {} if is_deep(text) else json.loads(text.decode())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        return {}
    return values
