"""What an SSH session asks a node to run, from the relay's request to argv and environment.

As sshd(8) does it: the user's shell, as a login shell or with `-c`, in the home directory.
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codewire import environment
from codewire.errors import CodewireError
from codewire.paths import home
from codewire.wire.sizes import DEFAULT_COLS, DEFAULT_ROWS, MAX_SIDE, clamped

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where systems have OpenSSH's; it is on nobody's PATH.
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/lib/misc/sftp-server",
)
SFTP = "sftp"
# Shells that say no, given to users who are to have none: who runs a node has decided otherwise.
NO_SHELLS = frozenset(("nologin", "false", "true", "sync"))
FALLBACK = "/bin/sh"
MAX_VARIABLES = 64


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to run. Without `has_control` it is another relay's: a login shell, bytes only."""

    path: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    rows: int
    cols: int
    has_terminal: bool
    has_control: bool


def read_order(message: Mapping[str, Any], environ: Mapping[str, str]) -> Order:
    """Return what an SSHRequest asks for. Raises CodewireError: the words are for who is there."""
    has_control = message.get("control") is True
    has_terminal = message.get("pty") is True or not has_control
    command, subsystem = _text(message, "command"), _text(message, "subsystem")
    shell = _login_shell(environ)
    if subsystem:
        path, argv = _subsystem(subsystem)
    elif command and has_control:
        path, argv = shell, [os.path.basename(shell), "-c", command]
    else:
        path, argv = shell, [f"-{os.path.basename(shell)}"]
    rows, cols = clamped(_side(message, "rows", DEFAULT_ROWS), _side(message, "cols", DEFAULT_COLS))
    env = _environment(environ, message, shell, has_terminal)
    return Order(path, argv, env, home(), rows, cols, has_terminal, has_control)


def _subsystem(name: str) -> tuple[str, list[str]]:
    if name != SFTP:
        raise CodewireError(f"this node has no subsystem {name[:64]!r}")
    path = next((p for p in SFTP_SERVERS if os.access(p, os.X_OK)), None)
    path = path or shutil.which("sftp-server")
    if path is None:
        raise CodewireError(
            "this node has no sftp-server: install OpenSSH's (package openssh-sftp-server), "
            "or copy with scp -O"
        )
    return path, [path]


def _login_shell(environ: Mapping[str, str]) -> str:
    """Return the user's shell; one that is there and is one."""
    try:
        own = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        own = ""
    for path in (own, environ.get("SHELL", "")):
        is_shell = os.path.isabs(path) and os.path.basename(path) not in NO_SHELLS
        if is_shell and os.access(path, os.X_OK):
            return path
    return FALLBACK


def _environment(
    environ: Mapping[str, str], message: Mapping[str, Any], shell: str, has_terminal: bool
) -> dict[str, str]:
    """Return the node's own, as a session has it, and what the client adds to it."""
    env = environment.for_session(environ)
    env.pop("TERM", None)
    env.update(SHELL=shell, HOME=home())
    if has_terminal:
        env["TERM"] = _text(message, "term") or environment.COMMON_TERM
    given = message.get("env")
    if isinstance(given, dict):
        for name, value in list(given.items())[:MAX_VARIABLES]:
            if isinstance(value, str) and _is_variable(name) and "\0" not in value:
                env[name] = value
    return env


def _is_variable(name: str) -> bool:
    return bool(name) and name.isprintable() and "=" not in name


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    return value if isinstance(value, str) and "\0" not in value else ""


def _side(message: Mapping[str, Any], key: str, default: int) -> int:
    value = message.get(key)
    is_side = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIDE
    return int(value) if is_side and value is not None else default


def read_size(message: Mapping[str, Any]) -> tuple[int, int]:
    """Return (rows, cols) of a Resize message."""
    return clamped(_side(message, "rows", DEFAULT_ROWS), _side(message, "cols", DEFAULT_COLS))
