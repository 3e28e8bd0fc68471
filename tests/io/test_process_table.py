"""What /proc tells of processes."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codewire.io.processes import (
    Process,
    ProcessTable,
    is_interactive_shell,
    read_process,
    signal_process,
)
from tests.support import wait_until


def test_a_process_is_read_from_proc() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert (process.pid, process.parent) == (os.getpid(), os.getppid())
    assert process.session == os.getsid(0)
    assert process.state in "RS"
    assert read_process(2**22 + 1) is None


def test_odd_command_names_are_read(tmp_path: Path) -> None:
    """The name in /proc/<pid>/stat may hold brackets, blanks and newlines."""
    program = tmp_path / "a) S 1 (b\nc"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "100"])
    try:
        process = wait_until(
            lambda: (p := read_process(child.pid)) and p.command.startswith("a)") and p, 30
        )
        assert isinstance(process, Process)
        assert process.command == "a) S 1 (b\nc"
        assert process.parent == os.getpid()
        assert child.pid in ProcessTable().tree(child.pid, {})
    finally:
        child.kill()
        child.wait()


# The number of exit(2).
EXITS = {"x86_64": 60, "aarch64": 93}
HALF_GONE = """
import _thread, ctypes, os
_thread.start_new_thread(os.read, (0, 1))
os.write(1, b"x")
# Ends this thread and no other: exit(2), not exit_group(2).
ctypes.CDLL(None).syscall({exit}, 0)
"""


@pytest.mark.skipif(
    not os.path.exists("/proc/self/stat") or platform.machine() not in EXITS,
    reason="nothing counts a process's threads here",
)
def test_a_process_whose_first_thread_has_ended_is_one() -> None:
    program = HALF_GONE.format(exit=EXITS[platform.machine()])
    with subprocess.Popen(
        [sys.executable, "-I", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.read(1) == b"x"
        wait_until(
            lambda: (found := read_process(process.pid)) and found.state == "Z", 20, "half gone"
        )
        process.stdin.close()
        wait_until(lambda: read_process(process.pid) is None, 20, "all of it is gone")


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["/bin/true"])
    wait_until(lambda: read_process(child.pid) is None, 30, "it has ended")
    assert os.path.exists(f"/proc/{child.pid}")
    child.wait()


def test_a_reused_pid_is_spared() -> None:
    """Signals go to the process that was seen, not to a later one with its number."""
    child = subprocess.Popen(["/bin/sleep", "100"])
    try:
        seen = read_process(child.pid)
        assert seen is not None
        signal_process(seen._replace(started=seen.started - 1), signal.SIGKILL)
        signal_process(seen._replace(namespace="pid:[1]"), signal.SIGKILL)
        known = {seen.pid: seen._replace(started=seen.started - 1)}
        assert ProcessTable().tree(2**22 + 1, known) == {}
        assert child.poll() is None
        # A session whose leader is gone: whoever has its pid now is somebody else.
        assert ProcessTable().tree(child.pid, {}, is_gone=True) == {}
        signal_process(seen, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        signal_process(seen, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("trap", "is_shell"), [("TERM TSTP TTIN", True), ("TERM", False), ("TSTP", False)]
)
def test_who_counts_as_an_interactive_shell(trap: str, is_shell: bool) -> None:
    child = subprocess.Popen(
        ["/bin/sh", "-c", f"trap '' {trap}; echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert is_interactive_shell(child.pid) is is_shell
    child.communicate(b"\n", timeout=10)
    assert not is_interactive_shell(child.pid), "gone"


def test_our_own_process_is_never_a_member() -> None:
    assert os.getpid() not in ProcessTable().tree(os.getpid(), {})
    assert sys.executable
