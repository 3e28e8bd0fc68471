"""Files of ours: read with patience, written whole or line by line, put aside when damaged.

Knows no contents. What is no regular file is never waited for and never written to.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from typing import Any

from codewire.files import MAX_BYTES, open_regular, read_regular
from codewire.io.transient import PAUSE_SECONDS, is_transient

log = logging.getLogger(__name__)

# How long a read is tried again while the machine is short of something.
PATIENCE_SECONDS = 3.0
# Originals kept beside a file that was damaged again and again; the oldest ones go.
MAX_ASIDES = 5
# No number of ours has more digits (nanoseconds since the epoch have 19).
MAX_DIGITS = 20
# What opening says of a directory, a FIFO or device, a circle of symlinks, a socket.
MISPLACED = (errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENXIO)


def read_file(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return all of a file. Blocks for PATIENCE_SECONDS at most. Raises OSError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return read_regular(path, limit)
        except MemoryError:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), path) from None
        except OSError as error:
            if not is_transient(error) or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def write_atomically(path: str, content: str | bytes, *, is_synced: bool = True) -> None:
    """Replace `path` (mode 0600) by a complete new file, on the disk before it is visible.

    Without `is_synced` it outlives processes, not the machine. Blocks. Raises OSError.
    """
    temporary = f"{path}.new"
    fd = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        data = memoryview(_encoded(content))
        while data:
            data = data[os.write(fd, data) :]
        if is_synced:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)


def overwrite(path: str, data: bytes) -> None:
    """Write `data` over what `path` has: for a copy that may be damaged, at half the cost.

    Blocks, but for no sync. Raises OSError.
    """
    fd = open_regular(path, os.O_WRONLY | os.O_CREAT)
    try:
        written = os.write(fd, data)
        os.ftruncate(fd, written)
    finally:
        os.close(fd)


def _encoded(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "replace")


def encode_line(value: Any) -> bytes:
    """Return a value as one line of JSON."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
    return line.encode("utf-8", "replace")


def append_data(path: str, data: bytes) -> int:
    """Write all of `data` as lines of their own, or nothing; return the size. Raises OSError.

    What a writer left unfinished when it was killed, or the disk full, does not spoil them.
    """
    fd = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(fd, data) < len(data):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return size + len(data)
    finally:
        os.close(fd)


def sync_file(path: str) -> None:
    """Have what was written to `path` on the disk. Blocks. Raises OSError."""
    fd = open_regular(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_json(text: str | bytes) -> Any:
    """Return a JSON value whose numbers others can read, too. Raises ValueError."""
    try:
        return json.loads(
            text, parse_constant=_refuse, parse_float=_read_float, parse_int=_read_int
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _read_float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError("a number out of range")
    return value


def _read_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number out of range")
    return int(text)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def keep_copy(path: str, why: str) -> None:
    """Keep the damaged file at `path` beside it as well, under another name. Raises nothing."""
    aside = _name_aside(path)
    try:
        try:
            # Takes no space; whoever replaces `path` leaves this one alone.
            os.link(path, aside)
        except OSError:
            import shutil

            shutil.copyfile(path, aside)
    except OSError as error:
        log.error("%s is damaged (%s); keeping a copy failed: %s", path, why, error.strerror)
        with contextlib.suppress(OSError):
            os.unlink(aside)
        return
    log.error("%s is damaged (%s); a copy is kept as %s", path, why, aside)


def move_aside(path: str, why: str, *, is_known: bool = False) -> bool:
    """Give what stands at `path` another name, so that a new file can be made. Raises nothing.

    Where it `is_known` that this fails, it is not said again.
    """
    aside = _name_aside(path)
    try:
        os.rename(path, aside)
    except OSError as error:
        level = logging.DEBUG if is_known else logging.ERROR
        log.log(level, "%s cannot be used (%s), nor moved: %s", path, why, error.strerror)
        return False
    log.error("%s cannot be used (%s); it is kept as %s", path, why, aside)
    return True


def set_aside(path: str, error: OSError) -> None:
    """Put aside what could not be read: moved if it is no file, else kept for whoever replaces it.

    A good file that could not be read for want of memory must not go. Raises nothing.
    """
    why = error.strerror or str(error)
    if error.errno in MISPLACED:
        move_aside(path, why)
    else:
        keep_copy(path, why)


def _name_aside(path: str) -> str:
    """Return a free name beside `path`, after making room for one more."""
    directory, name = os.path.split(path)
    prefix = f"{name}.corrupt."
    with contextlib.suppress(OSError):
        # By name is by age: the stamp is in it.
        earlier = sorted(entry for entry in os.listdir(directory) if entry.startswith(prefix))
        for entry in earlier[: max(0, len(earlier) + 1 - MAX_ASIDES)]:
            _remove(os.path.join(directory, entry))
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    aside, number = f"{path}.corrupt.{stamp}", 0
    while os.path.lexists(aside):
        number += 1
        aside = f"{path}.corrupt.{stamp}_{number:03d}"
    return aside


def _remove(path: str) -> None:
    """Remove a file; of a directory only an empty one: somebody may have put it there."""
    with contextlib.suppress(OSError):
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
