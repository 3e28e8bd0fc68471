"""Would a shell run what is typed into this terminal? (tcgetpgrp(3), termios(3), proc(5))

It would where a shell is the foreground process, judged by its command line; and where one waits
for the foreground program to end and that program leaves lines to the kernel (ICANON), since what
it does not read is the shell's next. In doubt there is a shell: text that stays in the inbox harms
nobody.
"""

from __future__ import annotations

import os
import termios
from collections.abc import Sequence
from typing import NamedTuple

from codewire.io.processes import read_process
from codewire.io.procfs import command_words
from codewire.session.session import Session


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SHELLS = _words(
    "sh bash dash zsh fish ksh ksh93 mksh lksh oksh pdksh rksh ash hush rbash csh tcsh yash posh "
    "osh rc es elvish nu pwsh"
)
# Shells whose flags are like no other's: taken for interactive whatever they are.
FOREIGN = _words("elvish nu pwsh")
# Programs with many names in one: the shell is their first argument.
MULTI_CALL = _words("busybox toybox")
# What shows another terminal in this one, and a shell in that unless told otherwise.
SHELL_RELAYS = _words(
    "ssh mosh mosh-client telnet rlogin su login script tmux screen zellij dtach abduco"
)
# What shows another terminal or user, and a shell only when one is named.
RELAYS = _words(
    "sudo doas docker podman nerdctl kubectl lxc incus machinectl nsenter chroot unshare runuser "
    "setpriv firejail bwrap proot systemd-run"
)
ROOT_SHELL_FLAGS = _words("-i -s --login --shell")
# Flags of shells that take the next word.
VALUE_FLAGS = _words("--rcfile --init-file --init-command -C -o +o -O +O")


# They show another terminal, which may well show a dialog.
NO_SHELLS = SHELL_RELAYS | RELAYS | {"unknown program"}
# What is said of a process that has no command line, as for a moment while it is being started.
UNKNOWN = "unknown program"
# A chain of parents is never this long; a loop of reused pids would be.
MAX_PARENTS = 64
LOCAL_FLAGS = 3


class Shell(NamedTuple):
    """A shell that would run what is typed: what to call it, and whether it has to wait first."""

    name: str
    is_waiting: bool = False

    def __str__(self) -> str:
        where = "waits behind the foreground program" if self.is_waiting else "is in the foreground"
        return f"a shell ({self.name}) {where}"


def find_shell(fd: int, leader: int) -> Shell | None:
    """Return the shell that would run what is typed into a terminal, None when there is none.

    `fd` is the PTY master, `leader` the session's first process, which is looked at when the
    foreground group has no process left. A process without a command line counts as a shell.
    """
    try:
        foreground = os.tcgetpgrp(fd)
    except OSError:
        foreground = leader
    for pid in (foreground, leader):
        argv = _argv(pid)
        if argv:
            name = shell_name(argv, _program(pid))
            if name:
                return Shell(name)
            return _waiting_shell(pid, leader) if _reads_lines(fd) else None
    return Shell(UNKNOWN)


def is_at_shell(session: Session) -> bool:
    """Say whether a shell reads the session's terminal itself: what it shows is no dialog."""
    found: list[Shell | None] = []
    if session.input is not None:
        session.input.use(lambda fd: found.append(find_shell(fd, session.record.pid)))
    shell = found[0] if found else None
    return shell is not None and not shell.is_waiting and shell.name not in NO_SHELLS


def _reads_lines(fd: int) -> bool:
    """Say whether the kernel collects input in lines; full-screen programs switch that off."""
    try:
        return bool(termios.tcgetattr(fd)[LOCAL_FLAGS] & termios.ICANON)
    except (termios.error, OSError):
        return True


def _waiting_shell(pid: int, leader: int) -> Shell | None:
    """Return the nearest interactive shell among a process's ancestors up to the leader."""
    for _ in range(MAX_PARENTS):
        if pid == leader:
            return None
        process = read_process(pid)
        pid = process.parent if process is not None and process.parent > 1 else leader
        argv = _argv(pid)
        name = shell_name(argv, _program(pid)) if argv else ""
        if name:
            return Shell(name, is_waiting=True)
    return None


def shell_name(argv: Sequence[str], program: str = "") -> str:
    """Return what to call the shell if this command line is one that reads its terminal, else "".

    `program` is the file being run, where known: an argv can be anything.
    """
    name, args = _base(argv[0]).removeprefix("-"), list(argv[1:])
    if name in MULTI_CALL and args:
        name = args.pop(0)
    if name in SHELLS or (_base(program) in SHELLS and name not in SHELL_RELAYS):
        shell = name if name in SHELLS else _base(program)
        return shell if shell in FOREIGN or _is_interactive(args) else ""
    if name.partition(":")[0] in SHELL_RELAYS:
        return name.partition(":")[0]
    if name in RELAYS:
        is_root_shell = name in ("sudo", "doas") and not ROOT_SHELL_FLAGS.isdisjoint(args)
        return name if is_root_shell or any(_base(arg) in SHELLS for arg in args) else ""
    return ""


def _is_interactive(args: list[str]) -> bool:
    """Say whether a shell with these arguments reads commands from its terminal."""
    words = iter(args)
    for word in words:
        if word in VALUE_FLAGS:
            next(words, None)
        elif word in ("-", "--"):
            return next(words, None) is None
        elif word.startswith("--"):
            if word.partition("=")[0] == "--command":
                return False
        elif word[:1] in ("-", "+"):
            if "c" in word:
                return False
            if "s" in word:
                return True
        else:
            return False
    return True


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _argv(pid: int) -> list[str]:
    """Return the command line of a live process, [] when there is none."""
    if pid <= 0:
        return []
    try:
        words = command_words(pid)
    except OSError:
        return []
    return [os.fsdecode(word) for word in words[:-1]]


def _program(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""
