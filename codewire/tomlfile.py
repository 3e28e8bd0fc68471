"""TOML files of ours, changed in place: what a person wrote in them (comments, order) stays.

One editor at a time (a lock on the directory), written whole (0600) or not at all. Knows no keys.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.config import read_toml
from codewire.errors import CodewireError, ConfigError
from codewire.paths import check_data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping


class Edit:
    """The tables of a file, to be changed in place while entered; written when nothing was raised.

    Comments are lost: for files that programs keep. Raises CodewireError.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = -1

    def __enter__(self) -> dict[str, Any]:
        self._lock = _lock_directory(os.path.dirname(self._path))
        try:
            self._document = read_toml(self._path)
        except BaseException:
            os.close(self._lock)
            raise
        return self._document

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                write_private(self._path, dump(self._document))
        finally:
            os.close(self._lock)


def set_keys(path: str, table: str, values: Mapping[str, str | bool | int | None]) -> None:
    """Set keys of one table ("": the file's top), None removes; all else stays as it is written.

    Raises CodewireError; ConfigError, and nothing is written, if the file is no TOML.
    """
    lock = _lock_directory(os.path.dirname(path))
    try:
        before = read_toml(path)
        text = _read_text(path)
        wanted = _changed(before, table, values)
        if wanted != before:
            write_private(path, _edited(text, table, values, wanted))
    finally:
        os.close(lock)


def dump(document: Mapping[str, Any]) -> str:
    """Return tables as TOML that means just them. Raises CodewireError where that cannot be."""
    import toml

    encoder: Any = toml.TomlEncoder()
    # The library's own writing of a backslash before a control character is not TOML.
    encoder.dump_funcs[str] = _literal
    text = toml.dumps(document, encoder=encoder)
    if toml.loads(text) != document:
        raise CodewireError("this cannot be written as TOML")
    return text


def write_private(path: str, text: str) -> None:
    """Replace a file (0600) whole, on the disk before it is visible. Raises CodewireError."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise CodewireError(f"writing {path}: {error.strerror}") from error


def _lock_directory(directory: str) -> int:
    import fcntl

    check_data_dir()
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        raise CodewireError(f"{directory}: {error.strerror}") from error
    return fd


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"reading {path}: {error}") from error


def _changed(
    before: dict[str, Any], table: str, values: Mapping[str, str | bool | int | None]
) -> dict[str, Any]:
    """Return what the file is to mean."""
    after = dict(before)
    target = after
    if table:
        old = before.get(table, {})
        target = after[table] = dict(old) if isinstance(old, dict) else {}
    for key, value in values.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
    if table and not target:
        del after[table]
    return after


def _edited(
    text: str,
    table: str,
    values: Mapping[str, str | bool | int | None],
    wanted: dict[str, Any],
) -> str:
    """Return the text changed line by line; written anew where that would not mean what it must."""
    import toml

    lines = text.splitlines()
    start, end = _section(lines, table)
    if start < 0:
        lines += [*([""] if lines and lines[-1].strip() else []), f"[{table}]"]
        start = end = len(lines)
    body = [line for line in lines[start:end] if _key(line) not in values]
    added = [f"{key} = {_literal(value)}" for key, value in values.items() if value is not None]
    while body and not body[-1].strip():
        body.pop()
    rest = lines[end:]
    if table and not any(map(str.strip, body)) and not added:
        start -= 1
    body += added
    if rest and body and rest[0].strip():
        body.append("")
    result = "\n".join([*lines[:start], *body, *rest]).strip("\n") + "\n"
    try:
        if toml.loads(result) == wanted:
            return result
    except (ValueError, TypeError, LookupError, AttributeError):
        # Keys over several lines, dotted or quoted ones: rare, and never worth a wrong file.
        pass
    return dump(wanted)


def _section(lines: list[str], table: str) -> tuple[int, int]:
    """Return the half-open range of a table's lines, (-1, -1) if it is not there."""
    headers = [at for at, line in enumerate(lines) if line.lstrip().startswith("[")]
    if not table:
        return 0, headers[0] if headers else len(lines)
    for number, at in enumerate(headers):
        if lines[at].partition("#")[0].strip().replace(" ", "") == f"[{table}]":
            following = headers[number + 1 :]
            return at + 1, following[0] if following else len(lines)
    return -1, -1


def _key(line: str) -> str:
    return line.partition("=")[0].strip().strip("\"'") if "=" in line else ""


def _literal(value: str | bool | int) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    import json

    # A JSON string is a TOML basic string, once DEL is escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
