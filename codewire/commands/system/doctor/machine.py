"""Checks of the machine: Python, the terminal, what ends sessions at logout, limits, PTYs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from codewire.commands.system.doctor.finding import FAIL, OK, SKIP, WARN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.commands.context import Context
    from codewire.commands.system.doctor.finding import Finding

FEW_FILES = 1024


def python(context: Context) -> Iterator[Finding]:
    """Is Python new enough, and which runtime would a node have?"""
    version = ".".join(map(str, sys.version_info[:3]))
    yield "python", OK if sys.version_info >= (3, 10) else FAIL, f"{version} ({sys.executable})"
    wanted = os.environ.get("CW_RUNTIME", "")
    if wanted not in ("", "gevent", "threads"):
        yield "gevent", WARN, f"CW_RUNTIME={wanted} is no runtime (gevent, threads): it is ignored"
    elif not has_gevent() and wanted == "gevent":
        yield "gevent", FAIL, "not installed, but CW_RUNTIME=gevent asks for it: no node can start"
    elif not has_gevent():
        yield "gevent", WARN, "not installed: the node runs on threads, for fewer clients"
    else:
        yield "gevent", OK, "installed"


def has_gevent() -> bool:
    """Say whether gevent is installed; it is not imported."""
    from importlib.util import find_spec

    return find_spec("gevent") is not None


def terminal(context: Context) -> Iterator[Finding]:
    """Can a session be attached to this terminal?"""
    name = os.environ.get("TERM", "")
    if not (os.isatty(0) and os.isatty(1)):
        yield "terminal", SKIP, "not a terminal: attach needs one"
    elif name in ("", "dumb"):
        yield "terminal", WARN, f"TERM is {name or 'not set'}: full-screen programs will not work"
    else:
        size = os.get_terminal_size(1)
        yield "terminal", OK, f"{name}, {size.columns}x{size.lines}"
    words = [os.environ.get(key) for key in ("LC_ALL", "LC_CTYPE", "LANG")]
    locale = next((word for word in words if word), "")
    if "utf" in locale.lower():
        yield "locale", OK, locale
    else:
        yield "locale", WARN, f"{locale or 'none set'}: programs may not print UTF-8"


def linger(context: Context) -> Iterator[Finding]:
    """Does the login manager kill what a user leaves running? logind.conf(5), loginctl(1)."""
    if not os.path.isdir("/run/systemd/system"):
        yield "linger", SKIP, "no systemd: nothing ends sessions at logout"
        return
    if not _kills_user_processes():
        yield "linger", OK, "sessions outlive the logout"
        return
    from codewire.client.reach.scope import is_lingering

    if is_lingering():
        yield "linger", OK, "lingering is on"
    else:
        yield "linger", FAIL, "logout ends all sessions: run 'loginctl enable-linger'"


def _kills_user_processes() -> bool:
    """Return KillUserProcesses= of logind; later files win, and the default is no."""
    from glob import glob

    answer = False
    for path in ("/etc/systemd/logind.conf", *sorted(glob("/etc/systemd/logind.conf.d/*.conf"))):
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "KillUserProcesses":
                answer = value.strip().lower() in ("yes", "true", "1", "on")
    return answer


def limits(context: Context) -> Iterator[Finding]:
    """Are there descriptors and pseudo-terminals enough?"""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = hard != resource.RLIM_INFINITY and hard < FEW_FILES
    yield "files", WARN if few else OK, f"{hard} open files at most"
    yield _terminals()


def _terminals() -> Finding:
    """Open one, as a launch does: nothing else tells whether /dev/pts is there and has room."""
    used = _pty_count("nr")
    most = _pty_count("max")
    try:
        for fd in open_terminal():
            os.close(fd)
    except OSError as error:
        cause = error.strerror or str(error)
        if not os.path.isdir("/dev/pts"):
            cause += " (there is no /dev/pts: mount -t devpts devpts /dev/pts)"
        elif used is not None and most is not None and used >= most:
            cause += f" ({used} of {most} are in use: sysctl kernel.pty.max)"
        return "terminals", FAIL, f"no pseudo-terminal can be opened: {cause}"
    if used is None or not most:
        return "terminals", OK, "pseudo-terminals can be opened"
    status = WARN if used > most * 0.9 else OK
    return "terminals", status, f"{used} of {most} pseudo-terminals in use"


def open_terminal() -> tuple[int, int]:
    """Return both ends of a new pseudo-terminal; the caller closes them. Raises OSError."""
    return os.openpty()


def _pty_count(name: str) -> int | None:
    try:
        with open(f"/proc/sys/kernel/pty/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def completion(context: Context) -> Iterator[Finding]:
    """Does the shell complete cw's words?"""
    from codewire.commands.system.completion import SHELLS, installed_path

    shell = os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        yield "completion", SKIP, f"none for {shell or 'an unknown shell'}"
        return
    path = installed_path(shell)
    if path:
        yield "completion", OK, path
    else:
        yield "completion", WARN, f"not installed for {shell}: run 'cw completion --install'"
