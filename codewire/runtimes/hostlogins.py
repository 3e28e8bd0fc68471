"""Logins of this machine for a container, only those named by `--with` (spec/runtimes.md 2, L).

Whatever runs in the container can use them: never a default.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import UsageError
from codewire.files import read_regular
from codewire.paths import home

if TYPE_CHECKING:
    from collections.abc import Iterable

HOME_INSIDE = "/home/codewire"
AGENT_SOCKET_INSIDE = "/tmp/codewire-ssh-agent.sock"
MAX_BYTES = 1 << 20


class Logins(NamedTuple):
    """What a container gets: (source, target, readonly) and variables."""

    mounts: list[tuple[str, str, bool]]
    env: list[tuple[str, str]]


KINDS: dict[str, tuple[tuple[str, bool], ...]] = {
    "claude": ((".claude", False), (".claude.json", False)),
    "codex": ((".codex", False),),
    "gh": ((".config/gh", True),),
    "git": ((".gitconfig", True),),
    "ssh": ((".ssh", True),),
}


def collect(kinds: Iterable[str]) -> Logins:
    """Return the logins of these kinds, as far as they are there. Raises UsageError."""
    mounts: list[tuple[str, str, bool]] = []
    env: list[tuple[str, str]] = []
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f'unknown --with "{kind}": {", ".join(sorted(KINDS))}')
        for path, readonly in KINDS[kind]:
            source = os.path.join(home(), path)
            if os.path.exists(source):
                mounts.append((os.path.realpath(source), f"{HOME_INSIDE}/{path}", readonly))
        env += _variables(kind)
        socket = os.environ.get("SSH_AUTH_SOCK", "")
        if kind == "ssh" and os.path.exists(socket):
            mounts.append((os.path.realpath(socket), AGENT_SOCKET_INSIDE, False))
            env.append(("SSH_AUTH_SOCK", AGENT_SOCKET_INSIDE))
    return Logins(mounts, env)


def _variables(kind: str) -> list[tuple[str, str]]:
    if kind == "gh":
        token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN") or ""
        return [("GH_TOKEN", token)] if token else []
    if kind == "claude":
        token = os.environ.get("CLAUDE_CODE_OAUTH_TOKEN") or _claude_token()
        pairs = [("CLAUDE_CODE_OAUTH_TOKEN", token)]
        pairs.append(("ANTHROPIC_API_KEY", os.environ.get("ANTHROPIC_API_KEY", "")))
        return [(key, value) for key, value in pairs if value]
    return []


def _claude_token() -> str:
    path = os.path.join(home(), ".claude", ".credentials.json")
    try:
        value = json.loads(read_regular(path, MAX_BYTES))["claudeAiOauth"]["accessToken"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
