"""Processes as macOS describes them, from bytes laid out as its headers say; and without a word."""

from __future__ import annotations

import os
import struct
from typing import Any

import pytest

from codewire.io import procfs
from codewire.io.libproc import BSD_INFO, Library, Row, parse_arguments, parse_info, signalled


def packed(pid: int, state: int, parent: int = 1, name: bytes = b"bash") -> bytes:
    """Return a struct proc_bsdinfo, field by field as in <sys/proc_info.h>."""
    ids = (0, state, 0, pid, parent, 501, 20, 501, 20, 501, 20, 0)
    return struct.pack("12I", *ids) + struct.pack(
        "16s32s5Ii2Q", name, name, 9, pid, 0, 0x10000003, pid, 0, 1_700_000_000, 250_000
    )


def test_the_layout_has_the_size_that_macos_answers_with() -> None:
    assert BSD_INFO.size == 136


@pytest.mark.parametrize(("number", "letter"), [(2, "R"), (3, "S"), (4, "T"), (9, "?")])
def test_a_process(number: int, letter: str) -> None:
    wanted = Row(42, 7, 40, 0x10000003, 1_700_000_000_250_000, letter, "zsh")
    assert parse_info(packed(42, number, 7, b"zsh"), session=40) == wanted


def test_a_zombie_is_no_process() -> None:
    assert parse_info(packed(42, 5), session=42) is None


def test_arguments_and_environment() -> None:
    data = (
        struct.pack("i", 3)
        + b"/bin/sh\0\0\0\0\0sh\0-c\0echo a=b\0HOME=/x\0CW_AGENT=claude\0\0junk\0"
    )
    assert parse_arguments(data) == (
        [b"sh", b"-c", b"echo a=b"],
        [b"HOME=/x", b"CW_AGENT=claude"],
    )
    assert parse_arguments(b"") == ([], [])
    assert parse_arguments(struct.pack("i", 2) + b"/bin/true") == ([b""], [])


class Apple:
    """A C library with the calls of macOS."""

    def __init__(self, *rows: bytes) -> None:
        self.rows = {struct.unpack_from("12I", row)[3]: row for row in rows}

    def proc_listallpids(self, buffer: Any, size: int) -> int:
        for place, pid in enumerate(self.rows if buffer is not None else ()):
            buffer[place] = pid
        return len(self.rows)

    def proc_pidinfo(self, pid: Any, flavor: int, argument: Any, buffer: Any, size: Any) -> int:
        row = self.rows.get(pid.value)
        if row is None:
            return 0
        buffer[: len(row)] = row
        return len(row)

    def sysctl(self, mib: Any, count: int, buffer: Any, size: Any, *new: Any) -> int:
        if mib[2] not in self.rows:
            return -1
        data = struct.pack("i", 1) + b"/bin/cat\0\0cat\0A=1\0"
        buffer[: len(data)] = data
        size._obj.value = len(data)
        return 0


def test_what_the_library_says() -> None:
    library = Library(Apple(packed(os.getpid(), 3), packed(1, 5)))
    assert library.pids() == [os.getpid(), 1]
    row = library.row(os.getpid())
    assert row is not None and (row.session, row.command) == (os.getsid(0), "bash")
    assert library.row(1) is None
    assert library.words(os.getpid()) == ([b"cat"], [b"A=1"])
    assert library.words(2_000_000) == ([], [])
    # Not shown, but alive, as far as a signal tells.
    assert library.row(os.getppid()) == signalled(os.getppid())


def test_where_nobody_says_anything() -> None:
    library = Library(object())
    assert library.pids() == []
    row = library.row(os.getpid())
    assert row == Row(os.getpid(), 0, os.getsid(0), 0, 0, "?", "")
    assert library.row(4_000_000) is None
    assert library.words(1) == ([], [])


def test_without_proc_a_process_is_what_else_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "PROC", "/nowhere")
    assert not procfs.is_mounted("/nowhere")
    process = procfs.stat_process(os.getpid(), "/nowhere")
    assert process is not None and process.session == os.getsid(0)
    assert procfs.stat_process(4_000_000, "/nowhere") is None
    assert procfs.command_words(os.getpid(), "/nowhere") == [b""]
    assert procfs.environment_words(os.getpid(), 100, "/nowhere") == b""
    with pytest.raises(FileNotFoundError):
        procfs.list_pids("/nowhere")
