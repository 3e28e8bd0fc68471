"""Checks of the data directory: is it one, is it ours, is there room, what was left there."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from codewire.commands.system.doctor.finding import FAIL, OK, SKIP, WARN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.commands.context import Context
    from codewire.commands.system.doctor.finding import Finding
    from codewire.paths import DataDir

MIB = 1 << 20
LOW_DISK_BYTES, EMPTY_DISK_BYTES = 512 * MIB, 16 * MIB
# Looked at for their owners; what sudo left shows among the first.
MOST_ENTRIES = 5000
NAMED_ENTRIES = 3
# What a file system says that takes no file at all; how much room there is, is asked of it.
UNWRITABLE = frozenset(
    (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EDQUOT, errno.ENOENT)
)


def _paths() -> DataDir:
    from codewire import paths

    return paths.data_dir()


def _owner(root: str) -> os.stat_result:
    """Return whose the directory is, and its mode."""
    return os.stat(root)


def data_dir(context: Context) -> Iterator[Finding]:
    """Is the directory there, a directory, ours, writable, private, and is there room?"""
    root = _paths().root
    try:
        found = _owner(root)
    except FileNotFoundError:
        yield "data dir", *_missing(root)
        return
    except OSError as error:
        yield "data dir", FAIL, f"{root}: {error.strerror}"
        return
    yield "data dir", *_state(root, found)
    if stat.S_ISDIR(found.st_mode):
        disk = os.statvfs(root)
        free = disk.f_bavail * disk.f_frsize
        status = FAIL if free < EMPTY_DISK_BYTES else WARN if free < LOW_DISK_BYTES else OK
        yield "disk", status, f"{free // MIB} MiB free"
        if disk.f_files and not disk.f_favail:
            yield "inodes", FAIL, "no file can be made on this file system any more"


def _missing(root: str) -> tuple[str, str]:
    """Judge a directory that is to be made: from its nearest parent there is."""
    if os.path.islink(root):
        return FAIL, f"{root} is a symbolic link to nothing"
    parent = os.path.dirname(root)
    nearest = parent
    while not os.path.lexists(nearest) and nearest != os.path.dirname(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        return FAIL, f"{root} cannot be made: {nearest} is no directory"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return FAIL, f"{root} cannot be made: {nearest} cannot be written"
    if nearest != parent:
        return WARN, f"{root} and the directory it is in are not there: the first node makes both"
    return SKIP, f"{root} is not there: the first node makes it"


def _state(root: str, found: os.stat_result) -> tuple[str, str]:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        return FAIL, f"{root} is a file where the data directory should be: move it away"
    if found.st_uid != os.geteuid():
        return FAIL, f"{root} belongs to {_user(found.st_uid)}, not to you: only one user's node"
    if not os.access(root, os.W_OK | os.X_OK) or mode & 0o300 != 0o300:
        return FAIL, f"{root} cannot be written (mode {mode:o}, or a read-only file system)"
    if problem := _write_problem(root):
        return FAIL, f"{root} cannot be written: {problem}"
    if mode & 0o077:
        return WARN, f"{root} is open to others (mode {mode:o}): chmod 700 it"
    return OK, root


def _write_problem(root: str) -> str:
    """Return why no file can be made: one that has no name is, where there are such (open(2)).

    A file system that has met an error may be read-only without saying so to access(2).
    """
    try:
        _make_nameless(root)
    except OSError as error:
        return str(error.strerror) if error.errno in UNWRITABLE else ""
    return ""


def _make_nameless(root: str) -> None:
    """Make a file that nobody sees, and have it gone. Raises OSError."""
    flags = getattr(os, "O_TMPFILE", 0)
    if flags:
        os.close(os.open(root, flags | os.O_RDWR | os.O_CLOEXEC, 0o600))


def owners(context: Context) -> Iterator[Finding]:
    """Are there files of others in it? sudo cw leaves such, which cw can then not change."""
    root = _paths().root
    try:
        owner = _owner(root)
    except OSError:
        return
    foreign, uids = [], set()
    for count, path in enumerate(_entries(root)):
        if count >= MOST_ENTRIES:
            break
        try:
            uid = os.lstat(path).st_uid
        except OSError:
            continue
        if uid != owner.st_uid:
            foreign.append(os.path.relpath(path, root))
            uids.add(uid)
    if not foreign:
        yield "owners", OK, "every file has the directory's owner"
        return
    names = ", ".join(foreign[:NAMED_ENTRIES]) + (", …" if len(foreign) > NAMED_ENTRIES else "")
    whose = " and ".join(_user(uid) for uid in sorted(uids)[:NAMED_ENTRIES])
    plural = "file belongs" if len(foreign) == 1 else "files belong"
    cure = f"sudo chown -R {owner.st_uid}:{owner.st_gid} {root}"
    blame = " (left by sudo?)" if 0 in uids else ""
    yield "owners", FAIL, f"{len(foreign)} {plural} to {whose}{blame}: {names}; {cure}"


def _entries(root: str) -> Iterator[str]:
    """Yield what is in the directory and in its sessions' directories."""
    sessions = os.path.join(root, "sessions")
    places = [root, sessions]
    while places:
        place = places.pop(0)
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    yield entry.path
                    if place == sessions and entry.is_dir(follow_symlinks=False):
                        places.append(entry.path)
        except OSError:
            continue


def pid_file(context: Context) -> Iterator[Finding]:
    """Does the pid file name a node that lives?"""
    if context.server:
        return
    from codewire.client.local.processes import is_alive, may_be_keeper
    from codewire.files import read_regular

    path = _paths().pid
    try:
        text = read_regular(path, 4096).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield "pid file", WARN, f"{path}: {error.strerror}"
        return
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        yield "pid file", WARN, f"{path} holds no number: remove it"
    elif not is_alive(int(text)) or not may_be_keeper(int(text)):
        yield "pid file", WARN, f"{path} is stale (pid {text} is no node); 'cw stop' removes it"
    else:
        yield "pid file", OK, f"pid {text}"


def _user(uid: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except (KeyError, OverflowError):
        return f"uid {uid}"
