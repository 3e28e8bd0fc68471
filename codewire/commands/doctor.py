"""`cw doctor`: what may be wrong on this machine, said before it hurts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.commands.context import Context

    # Name, status (ok, warn, fail, skip), detail.
    Finding = tuple[str, str, str]

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
MIB = 1 << 20
LOW_DISK_BYTES, EMPTY_DISK_BYTES = 512 * MIB, 16 * MIB
FEW_FILES = 1024
# sun_path of a Unix socket, its final NUL not counted (unix(7)).
SOCKET_PATH_BYTES = 107


def doctor(args: dict[str, Any], context: Context) -> int:
    """Check that everything cw needs is in order; the exit code is 1 when something is broken.

    To give an agent Codewire's tools, register the MCP server: claude mcp add codewire -- cw
    mcp-server. An attached terminal is left with Ctrl+B, then d.

    Usage:
      cw doctor [options]

    Options:
      -j, --json  Print the findings as JSON

    Examples:
      cw doctor
      cw --server gpu doctor
    """
    findings = [finding for check in CHECKS for finding in _run(check, context)]
    if args["--json"]:
        output.show_json([{"name": n, "status": s, "detail": d} for n, s, d in findings])
    else:
        target = context.server or "local"
        output.write(f"Current target: {target}\n\n")
        for name, status, detail in findings:
            output.line(f"{name:<12} {status:<6} {detail}")
    return 1 if any(status == FAIL for _, status, _ in findings) else 0


def _run(check: Callable[[Context], Iterator[Finding]], context: Context) -> Iterator[Finding]:
    try:
        yield from check(context)
    except (CodewireError, OSError, ValueError) as error:
        yield check.__name__.strip("_"), WARN, str(error)


def _python(context: Context) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield "python", OK if sys.version_info >= (3, 10) else FAIL, f"{version} ({sys.executable})"
    from importlib.util import find_spec

    if find_spec("gevent") is None:
        yield "gevent", WARN, "not installed: the node runs on threads, for fewer clients"
    else:
        yield "gevent", OK, "installed"


def _node(context: Context) -> Iterator[Finding]:
    from codewire import __version__
    from codewire.errors import NodeUnreachable

    try:
        facts = context.client(autostart=False).node_status()
    except NodeUnreachable as error:
        if context.server:
            yield "node", FAIL, str(error)
        else:
            yield "node", WARN, "not running (the first command starts it)"
        return
    except CodewireError as error:
        yield "node", FAIL, str(error)
        return
    yield "node", OK, f"pid {facts.get('keeper_pid')}, {facts.get('runtime')}"
    version = str(facts.get("version"))
    if version == __version__:
        yield "version", OK, version
    else:
        yield "version", WARN, f"node {version}, cw {__version__}: run 'cw node restart'"
    if not context.server:
        yield _oom(int(facts.get("keeper_pid") or 0))


def _oom(pid: int) -> Finding:
    try:
        with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
            adjustment = int(file.read())
    except (OSError, ValueError):
        return "oom", SKIP, "not known"
    if adjustment > 0:
        return "oom", WARN, f"the node is killed early when memory runs out (+{adjustment})"
    return "oom", OK, f"oom_score_adj {adjustment}"


def _data_dir(context: Context) -> Iterator[Finding]:
    from codewire.paths import data_dir

    paths = data_dir()
    if not os.path.isdir(paths.root):
        yield "data dir", SKIP, f"{paths.root} (not made yet)"
        return
    mode = os.stat(paths.root).st_mode & 0o777
    if not os.access(paths.root, os.W_OK):
        yield "data dir", FAIL, f"{paths.root} cannot be written"
    elif mode & 0o077:
        yield "data dir", WARN, f"{paths.root} is open to others (mode {mode:o}): chmod 700 it"
    else:
        yield "data dir", OK, paths.root
    length = len(os.fsencode(paths.socket))
    if length > SOCKET_PATH_BYTES:
        yield "socket", WARN, f"path of {length} bytes is too long for a socket: it moves to /tmp"
    else:
        yield "socket", OK, paths.socket
    disk = os.statvfs(paths.root)
    free = disk.f_bavail * disk.f_frsize
    status = FAIL if free < EMPTY_DISK_BYTES else WARN if free < LOW_DISK_BYTES else OK
    yield "disk", status, f"{free // MIB} MiB free"


def _terminal(context: Context) -> Iterator[Finding]:
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


def _linger(context: Context) -> Iterator[Finding]:
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


def _limits(context: Context) -> Iterator[Finding]:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = hard != resource.RLIM_INFINITY and hard < FEW_FILES
    yield "files", WARN if few else OK, f"{hard} open files at most"
    with open("/proc/sys/kernel/pty/max", encoding="ascii") as file:
        most = int(file.read())
    with open("/proc/sys/kernel/pty/nr", encoding="ascii") as file:
        used = int(file.read())
    status = FAIL if used >= most else WARN if used > most * 0.9 else OK
    yield "terminals", status, f"{used} of {most} pseudo-terminals in use"


def _completion(context: Context) -> Iterator[Finding]:
    from codewire.commands.completion import SHELLS, installed_path

    shell = os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        yield "completion", SKIP, f"none for {shell or 'an unknown shell'}"
        return
    path = installed_path(shell)
    if path:
        yield "completion", OK, path
    else:
        yield "completion", WARN, f"not installed for {shell}: run 'cw completion --install'"


CHECKS = (_python, _node, _data_dir, _terminal, _linger, _limits, _completion)
