"""A session's launch.json: what it takes to start the same again. Holds secrets, so mode 0600.

Its environment is in this file and nowhere else: no event, answer, log or record has it. Removed
with the session's directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.disk.filing import encode_line, read_file, read_json
from codewire.errors import LaunchError
from codewire.files import open_regular
from codewire.io.logfile import write_all
from codewire.session.records.files import LAUNCH

# An argv and an environment are at most 6 MiB; as JSON, a byte is up to six.
MAX_BYTES = 48 << 20
# What tells a session who it is: true of that run only.
OF_ONE_RUN = frozenset(
    ("CW_SESSION_ID", "CW_SESSION_NAME", "CW_COHORT_TAG", "CW_NODE_ID", "CW_SESSION_MARK")
)


class SavedLaunch(NamedTuple):
    """One launch. `env` is None where it was not to be saved; `rows` and `cols` 0 are unknown."""

    argv: tuple[str, ...]
    working_dir: str
    env: dict[str, str] | None
    name: str = ""
    tags: tuple[str, ...] = ()
    rows: int = 0
    cols: int = 0


def write_launch(directory: str, saved: SavedLaunch) -> None:
    """Write launch.json into a session's directory. Raises OSError; then there is none."""
    env = saved.env
    value = {
        "argv": list(saved.argv),
        "working_dir": saved.working_dir,
        "env": env and {key: item for key, item in env.items() if key not in OF_ONE_RUN},
        "name": saved.name,
        "tags": list(saved.tags),
        "rows": saved.rows,
        "cols": saved.cols,
    }
    path = os.path.join(directory, LAUNCH)
    fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(fd, encode_line(value))
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def has_launch(directory: str) -> bool:
    """Say whether a session left what starts it again."""
    return os.path.isfile(os.path.join(directory, LAUNCH))


def read_launch(directory: str, session_id: int) -> SavedLaunch:
    """Return what was written. Raises LaunchError in the user's words."""
    path = os.path.join(directory, LAUNCH)
    try:
        value = read_json(read_file(path, MAX_BYTES))
        return _from_json(value)
    except FileNotFoundError:
        raise LaunchError(
            f"session {session_id} cannot be started again: how it was started is not known "
            "(an older cw launched it)"
        ) from None
    except OSError as error:
        raise LaunchError(f"reading {path}: {error.strerror}") from error
    except (ValueError, json.JSONDecodeError) as error:
        raise LaunchError(
            f"session {session_id} cannot be started again: {path} is damaged ({error})"
        ) from error


def _from_json(value: Any) -> SavedLaunch:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    argv, tags, env = value.get("argv"), value.get("tags") or [], value.get("env")
    name, directory = value.get("name") or "", value.get("working_dir")
    if not _are_texts(argv) or not argv or not _are_texts(tags):
        raise ValueError("argv and tags must be lists of strings")
    if not isinstance(directory, str) or not directory or not isinstance(name, str):
        raise ValueError("working_dir and name must be strings")
    rows, cols = (value.get(key) or 0 for key in ("rows", "cols"))
    if not all(type(number) is int and 0 <= number <= 0xFFFF for number in (rows, cols)):
        raise ValueError("rows and cols must be whole numbers")
    if env is not None and not (isinstance(env, Mapping) and _are_texts(list(env.values()))):
        raise ValueError("env must be strings by name")
    return SavedLaunch(
        tuple(argv), directory, None if env is None else dict(env), name, tuple(tags), rows, cols
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
