"""Which node is meant: the local one, or a WebSocket server by name or URL (spec/cli.md 2).

Only names things; connection.py opens them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.paths import DataDir


class Target:
    """A node to talk to: `url` is "" for the local one, else ws:// or wss:// with its path."""

    __slots__ = ("data_dir", "token", "url")

    def __init__(self, data_dir: DataDir, url: str = "", token: str = "") -> None:
        self.data_dir = data_dir
        self.url = url
        self.token = token

    @property
    def is_local(self) -> bool:
        return not self.url


def resolve_target(server: str | None = None, token: str | None = None) -> Target:
    """Return the target of `--server` and `--token`; no server means the local node.

    Raises UsageError for an address that needs a token and has none, ConfigError for an
    unreadable servers.toml.
    """
    directory = data_dir()
    if not server:
        return Target(directory)
    saved = _saved_server(directory, server)
    if saved is not None:
        url, saved_token = saved
        return Target(directory, websocket_url(url), token or saved_token)
    if server.startswith(("http://", "https://")):
        return Target(directory, websocket_url(server), token or "")
    if not token:
        raise UsageError("--token required for ad-hoc WebSocket server")
    return Target(directory, websocket_url(server), token)


def websocket_url(url: str) -> str:
    """Return the address to dial for a server's URL (spec/wire.md 1).

    >>> websocket_url("https://host/")
    'wss://host/ws'
    """
    if url.startswith("https://"):
        url = "wss://" + url[len("https://") :]
    elif url.startswith("http://"):
        url = "ws://" + url[len("http://") :]
    elif not url.startswith(("ws://", "wss://")):
        url = "ws://" + url
    url = url.rstrip("/")
    return url if url.endswith("/ws") else url + "/ws"


def _saved_server(directory: DataDir, name: str) -> tuple[str, str] | None:
    """Return (url, token) of a server in servers.toml, None when none has that name."""
    from codewire.config import read_toml
    from codewire.errors import ConfigError

    servers = read_toml(directory.servers).get("servers", {})
    entry = servers.get(name) if isinstance(servers, dict) else None
    if entry is None:
        return None
    url = entry.get("url") if isinstance(entry, dict) else None
    if not isinstance(url, str) or not url:
        raise ConfigError(f"{directory.servers}: server {name!r} has no url")
    token = entry.get("token", "")
    return url, token if isinstance(token, str) else ""
