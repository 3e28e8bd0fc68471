"""Changing single keys at the top of config.toml: comments, order and unknown keys stay.

The new text is read back before it takes the old one's place; where a line could not be changed
for itself, the whole is written anew, which costs its comments and nothing else.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from codewire.config import MAX_CONFIG_BYTES, read_toml
from codewire.errors import ConfigError
from codewire.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | bool | None


def edit(path: str, changes: Mapping[str, Value]) -> None:
    """Set top-level keys, or remove those that are None. Blocks; one editor at a time.

    Raises ConfigError, also for a file that cannot be parsed: it is left as it is then.
    """
    import fcntl

    # What a symlink leads to is written, not the link.
    path = os.path.realpath(path)
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _edit(path, changes)
    except OSError as error:
        raise ConfigError(f"writing {path}: {error.strerror}") from error
    finally:
        os.close(lock)


def _edit(path: str, changes: Mapping[str, Value]) -> None:
    from codewire.disk.filing import write_atomically

    before = read_toml(path)
    wanted = {**before, **changes}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if wanted == before:
        return
    text = _changed(_read(path), changes)
    if _parsed(text) != wanted:
        import toml

        text = toml.dumps(wanted)
        if _parsed(text) != wanted:
            raise ConfigError(f"{path} cannot be changed by a program: edit it by hand")
    write_atomically(path, text)


def _read(path: str) -> str:
    try:
        return read_regular(path, MAX_CONFIG_BYTES).decode("utf-8")
    except FileNotFoundError:
        return ""


def _changed(text: str, changes: Mapping[str, Value]) -> str:
    """Return the text with the lines of these keys changed, before its first table."""
    lines = text.splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    top, rest = lines[:end], lines[end:]
    if top and not top[-1].endswith("\n"):
        top[-1] += "\n"
    for name, value in changes.items():
        _change(top, name, value)
    if rest and top and _is_key(top[-1]):
        top.append("\n")
    return "".join(top + rest)


def _change(lines: list[str], name: str, value: Value) -> None:
    pattern = re.compile(
        rf"""\s*(?:{re.escape(name)}|"{re.escape(name)}"|'{re.escape(name)}')\s*="""
    )
    found = next((at for at, line in enumerate(lines) if pattern.match(line)), None)
    line = f"{name} = {_encode(value)}\n"
    if found is None:
        if value is not None:
            # Before blank lines and comments that belong to the table below.
            last = max((at for at, one in enumerate(lines) if _is_key(one)), default=-1)
            lines.insert(last + 1 if last >= 0 else len(lines), line)
    elif value is None:
        del lines[found]
    else:
        lines[found] = line


def _is_key(line: str) -> bool:
    return "=" in line and not line.lstrip().startswith("#")


def _encode(value: Value) -> str:
    """Return a value in TOML, whose basic strings are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def _parsed(text: str) -> Any:
    import toml

    try:
        return toml.loads(text)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
