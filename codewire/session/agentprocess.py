"""Which program has a session's terminal: its foreground process (tcgetpgrp(3), proc(5)).

Most agents are scripts, started by an interpreter or a runner: those are looked through.
"""

from __future__ import annotations

import contextlib
import os
import re

from codewire.io.procfs import command_words, environment_words, read_process
from codewire.session.session import Session

# What an agent that is known by no process name may be called, in the session's environment.
HINT = "CW_AGENT"
MAX_ENVIRONMENT_BYTES = 1 << 20
MAX_HINT = 64

WRAPPERS = frozenset(
    "node nodejs bun bunx deno npx npm pnpm yarn python python3 uv uvx pipx env sudo nice nohup "
    "timeout stdbuf script bash sh zsh".split()
)
# Words of a wrapper's own that stand before the program: `uv run x`, `npm exec x`, `pnpm dlx x`.
VERBS = frozenset(("run", "exec", "dlx", "x", "tool", "-m"))
PYTHON = re.compile(r"python[0-9.]*\Z")
SUFFIXES = (".js", ".mjs", ".cjs", ".py", ".ts", ".exe")
# Files that are called the same in every package: their directories say whose they are.
ENTRY_NAMES = frozenset(("cli", "index", "main", "__main__", "bin", "start"))


def program_names(argv: list[str]) -> list[str]:
    """Return what a command line may be called, the likeliest first."""
    names: list[str] = []
    for place, word in enumerate(argv):
        if place and (word.startswith("-") or word in VERBS or "=" in word or word.isdigit()):
            continue
        name = _base(word)
        names += [name, *_packages(word, name)]
        if name not in WRAPPERS and not PYTHON.match(name):
            break
    return [name for name in names if name]


def program_place(argv: list[str], names: tuple[str, ...]) -> int:
    """Return which word of a command line is the program's own name, 0 where none is."""
    for place in range(len(argv)):
        if any(name in names for name in program_names(argv[place : place + 1])):
            return place
    return 0


def _base(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2].removeprefix("-").lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    # npx takes `name@version`, and scopes.
    return name.partition("@")[0] or name


def _packages(path: str, name: str) -> list[str]:
    """Return the directories around a file whose own name says little, the nearest first."""
    if "/" not in path or (name not in ENTRY_NAMES and "node_modules" not in path):
        return []
    parts = path.split("/")[:-1]
    found = [part.removesuffix("-cli").removesuffix("-code") for part in parts[-4:]]
    return found[::-1]


def foreground(session: Session) -> int:
    """Return the process group that has the terminal, 0 where nobody can tell."""
    found: list[int] = []
    if session.input is not None:
        with contextlib.suppress(OSError):
            session.input.use(lambda fd: found.append(os.tcgetpgrp(fd)))
    return found[0] if found and found[0] > 0 else 0


def foreground_names(group: int, leader: int) -> list[str]:
    """Return what the foreground process may be called, [] where there is none."""
    for pid in (group, leader):
        argv: list[str] = []
        with contextlib.suppress(OSError):
            argv = _words(command_words(pid)) if pid > 0 else []
        if argv:
            return program_names(argv)
    return []


def hint(leader: int) -> str | None:
    """Return what the session's environment says its agent is, "" where it does not.

    None where it cannot be told: in the middle of execve(2) there is none to be seen.
    """
    environment = environment_words(leader, MAX_ENVIRONMENT_BYTES) if leader > 0 else b""
    if not environment:
        return None
    _, _, rest = (b"\0" + environment).partition(f"\0{HINT}=".encode())
    return os.fsdecode(rest.partition(b"\0")[0]).strip().lower()[:MAX_HINT]


def is_gone(pid: int) -> bool:
    """Say whether there is no such process any more."""
    return not os.path.exists(f"/proc/{pid}") and read_process(pid) is None


def _words(data: list[bytes]) -> list[str]:
    return [os.fsdecode(word) for word in data if word]
