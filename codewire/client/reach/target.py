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
    """A node to talk to: `url` is "" for the local one, else ws:// or wss:// with its path.

    `name` is what people call it. For wss, `ca` is a file of authorities to trust instead of the
    system's ("" for those), and `insecure` trusts anyone.
    """

    __slots__ = ("ca", "data_dir", "insecure", "name", "token", "url")

    def __init__(
        self,
        data_dir: DataDir,
        url: str = "",
        token: str = "",
        *,
        ca: str = "",
        insecure: bool = False,
        name: str = "",
    ) -> None:
        self.data_dir = data_dir
        self.name = name or url
        self.url = url
        self.token = token
        self.ca = ca
        self.insecure = insecure

    @property
    def is_local(self) -> bool:
        return not self.url

    def __str__(self) -> str:
        return f"node {self.name}" if self.url else "the local node"


def resolve_target(
    server: str | None = None,
    token: str | None = None,
    *,
    ca: str | None = None,
    insecure: bool = False,
) -> Target:
    """Return the target of `--server` and `--token`; no server means the local node.

    Raises UsageError for an address that needs a token and has none, ConfigError for an
    unreadable servers.toml.
    """
    directory = data_dir()
    if not server:
        return Target(directory)
    from codewire.client.reach.servers import find_server

    saved = find_server(directory.servers, server)
    if saved is not None:
        url, token, ca = saved.url, token or saved.token, ca or saved.ca
        insecure = insecure or saved.insecure
    else:
        url = server
        if not token and not server.startswith(("http://", "https://")):
            raise UsageError(_token_required(server, directory.servers))
    return Target(
        directory,
        websocket_url(url),
        token or "",
        ca=ca or "",
        insecure=insecure,
        name=server,
    )


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


def _token_required(server: str, path: str) -> str:
    """Word the refusal; a bare word was probably meant as the name of a saved server."""
    text = "--token required for ad-hoc WebSocket server"
    if "." in server or ":" in server:
        return text
    from codewire.client.reach.servers import known_names

    return f'{text} (no server "{server}" is saved; {known_names(path)})'
