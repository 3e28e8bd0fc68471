"""Processes where there is no /proc: what macOS's libproc says, else what kill(2) and getsid(2) do.

Knows layouts of <sys/proc_info.h> and <sys/sysctl.h>; whoever reads /proc falls back on it
(procfs.py). Written from Apple's headers and tried against recorded bytes only.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import Any, NamedTuple

PROC_PIDTBSDINFO = 3
# struct proc_bsdinfo: status at 1, pid at 3, parent at 4; names; then the terminal and the start.
BSD_INFO = struct.Struct("12I16s32s5Ii2Q")
# What stands for the state of a process that nobody shows, where proc(5) has a letter.
UNKNOWN_STATE = "?"
STATES = {1: "R", 2: "R", 3: "S", 4: "T", 5: "Z"}
CTL_KERN, KERN_PROCARGS2 = 1, 49
MAX_ARGUMENT_BYTES = 1 << 20
# More may start between the two calls.
SPARE_PIDS = 64


class Row(NamedTuple):
    """What is known of one process; `started` is in microseconds since the epoch, 0 if unknown."""

    pid: int
    parent: int
    session: int
    tty: int
    started: int
    state: str
    command: str


class Library:
    """The calls that macOS's C library has, as far as this one has them."""

    def __init__(self, library: Any = None) -> None:
        """`library` is what ctypes loaded; None: this process's own."""
        self._library = _load() if library is None else library
        self.lists = hasattr(self._library, "proc_pidinfo")

    def pids(self) -> list[int]:
        """Return every pid; [] where they cannot be listed."""
        if not self.lists:
            return []
        import ctypes

        room = self._library.proc_listallpids(None, 0) + SPARE_PIDS
        buffer = (ctypes.c_int * room)()
        count = self._library.proc_listallpids(buffer, ctypes.sizeof(buffer))
        return [pid for pid in buffer[: max(0, count)] if pid > 0]

    def row(self, pid: int) -> Row | None:
        """Return what is known of a process, None where there is none, or a zombie. Never raises.

        Of another user's no more is known than that it lives.
        """
        if self.lists:
            import ctypes

            buffer = ctypes.create_string_buffer(BSD_INFO.size)
            size = ctypes.c_int(BSD_INFO.size)
            got = self._library.proc_pidinfo(
                ctypes.c_int(pid), PROC_PIDTBSDINFO, ctypes.c_uint64(0), buffer, size
            )
            if got == BSD_INFO.size:
                return parse_info(buffer.raw, _session_of(pid))
        return signalled(pid)

    def words(self, pid: int) -> tuple[list[bytes], list[bytes]]:
        """Return argv and environment of a process; ([], []) where they are not shown."""
        if not self.lists:
            return [], []
        import ctypes

        mib = (ctypes.c_int * 3)(CTL_KERN, KERN_PROCARGS2, pid)
        buffer = ctypes.create_string_buffer(MAX_ARGUMENT_BYTES)
        size = ctypes.c_size_t(MAX_ARGUMENT_BYTES)
        if self._library.sysctl(mib, 3, buffer, ctypes.byref(size), None, ctypes.c_size_t(0)):
            return [], []
        return parse_arguments(buffer.raw[: size.value])


def _load() -> Any:
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError):
        return None


def parse_info(packed: bytes, session: int) -> Row | None:
    """Return what a struct proc_bsdinfo says; None of a zombie."""
    fields = BSD_INFO.unpack(packed)
    state = STATES.get(fields[1], UNKNOWN_STATE)
    if state == "Z":
        return None
    name = (fields[13] or fields[12]).partition(b"\0")[0] or fields[12].partition(b"\0")[0]
    return Row(
        pid=fields[3],
        parent=fields[4],
        session=session,
        tty=fields[17],
        started=fields[20] * 1_000_000 + fields[21],
        state=state,
        command=name.decode("utf-8", "replace"),
    )


def parse_arguments(packed: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return argv and environment from what KERN_PROCARGS2 gives.

    A count, the program's path, zeros up to the next word, the arguments, then the environment.
    """
    if len(packed) < 4:
        return [], []
    (count,) = struct.unpack("i", packed[:4])
    _, _, rest = packed[4:].partition(b"\0")
    words = rest.lstrip(b"\0").split(b"\0")
    arguments, environment = words[: max(0, count)], words[max(0, count) :]
    # An empty word ends it; what the kernel adds behind is no environment.
    end = environment.index(b"") if b"" in environment else len(environment)
    return arguments, environment[:end]


def signalled(pid: int) -> Row | None:
    """Return that a process lives, as far as kill(2) tells; of our own children also a zombie."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:
        # Another user's.
        pass
    return Row(pid, 0, _session_of(pid), 0, 0, UNKNOWN_STATE, "")


def _session_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return 0
