"""Where a node that a client starts belongs: not in the cgroup of the login it is started from.

logind may end everything in a login's scope when the connection ends (KillUserProcesses=,
logind.conf(5)). A scope of the user's own service manager is beyond its reach, but ends with that
manager, soon after the last logout, unless lingering is on (loginctl(1)). So the node is moved
there only then; elsewhere it is safer where it is. autostart.py asks; `cw doctor` warns.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# By its full path: a command over ssh may come with a PATH that lacks it.
SYSTEMD_RUN = "/usr/bin/systemd-run"
LINGER = "/var/lib/systemd/linger"


def own_scope(environ: Mapping[str, str], root: str = "/") -> list[str]:
    """Return the argv prefix that runs a command in a scope of its own, [] if it needs none.

    The process stays the same one: systemd-run(1) becomes the command. `root` is where the
    system's files are.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if not runtime or not _is_in_login_scope(os.path.join(root, "proc/self/cgroup")):
        return []
    needed = (SYSTEMD_RUN, f"{runtime}/systemd/private")
    if not is_lingering(root) or not all(_exists(root, path) for path in needed):
        return []
    return [SYSTEMD_RUN, "--user", "--scope", "--quiet", "--collect", "--"]


def is_lingering(root: str = "/") -> bool:
    """Say whether this user's service manager outlives the last logout (loginctl(1))."""
    return _exists(root, f"{LINGER}/{_user()}")


def _exists(root: str, path: str) -> bool:
    return os.path.exists(os.path.join(root, path.lstrip("/")))


def _is_in_login_scope(path: str) -> bool:
    """Say whether a cgroup(7) file names a login: /user.slice/user-1000.slice/session-3.scope."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            parts = file.read().replace("\n", "/").split("/")
    except OSError:
        return False
    return any(part.startswith("session-") and part.endswith(".scope") for part in parts)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
