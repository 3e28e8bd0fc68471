"""Saved servers: names for remote nodes in servers.toml, with their tokens (spec/files.md 7).

What `--server` names, a saved one or a URL, becomes a route here (spec/cli.md 2).

The file is private (0600) and replaced atomically. Tokens go in and to the node, never to a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.config import read_toml
from codewire.errors import CodewireError, ConfigError, UsageError
from codewire.tomlfile import Edit

if TYPE_CHECKING:
    from codewire.client.reach.remote import WebRoute


class Server(NamedTuple):
    """One saved server. `ca` is a file of authorities, `insecure` trusts any certificate."""

    url: str
    token: str = ""
    ca: str = ""
    insecure: bool = False


class Options(NamedTuple):
    """What a command line says of how to reach a server; it wins over what is saved.

    With a `network` names are those of its nodes.
    """

    token: str | None = None
    ca: str | None = None
    insecure: bool = False
    network: str = ""


def load_servers(path: str) -> dict[str, Server]:
    """Return the saved servers by name, {} when there is no file. Raises ConfigError."""
    return {name: _server(path, name, entry) for name, entry in _tables(path).items()}


def find_server(path: str, name: str) -> Server | None:
    """Return one saved server, None when none has that name. Raises ConfigError."""
    tables = _tables(path)
    return _server(path, name, tables[name]) if name in tables else None


def known_names(path: str) -> str:
    """Return the words that say which servers are saved."""
    names = sorted(_tables(path))
    return f"saved servers: {', '.join(names)}" if names else "no servers are saved"


def add_server(path: str, name: str, server: Server) -> None:
    """Save a server; one of that name is replaced. Raises CodewireError."""
    with _Edit(path) as tables:
        entry: dict[str, Any] = {"url": server.url, "token": server.token}
        if server.ca:
            entry["ca"] = server.ca
        if server.insecure:
            entry["insecure"] = True
        tables[name] = entry


def remove_server(path: str, name: str) -> None:
    """Forget a server. Raises CodewireError when none has that name."""
    with _Edit(path) as tables:
        if name not in tables:
            raise CodewireError(f'server "{name}" not found')
        del tables[name]


def server_route(path: str, server: str, options: Options) -> WebRoute:
    """Return the way to a server saved in the file `path`, or else to the URL that it is.

    Raises UsageError for an address that needs a token and has none, ConfigError.
    """
    saved = saved_route(path, server, options)
    if saved is not None:
        return saved
    if not options.token and not server.startswith(("http://", "https://")):
        raise UsageError(_token_required(server, path))
    from codewire.client.reach.remote import WebRoute

    url, ca = websocket_url(server), options.ca or ""
    return WebRoute(url, options.token or "", ca=ca, insecure=options.insecure, name=server)


def saved_route(path: str, name: str, options: Options) -> WebRoute | None:
    """Return the way to a saved server, None when none has that name. Raises ConfigError."""
    saved = find_server(path, name)
    if saved is None:
        return None
    from codewire.client.reach.remote import WebRoute

    return WebRoute(
        websocket_url(saved.url),
        options.token or saved.token,
        ca=options.ca or saved.ca,
        insecure=options.insecure or saved.insecure,
        name=name,
        token_in_query=True,
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


class _Edit(Edit):
    """The saved servers, to be changed in place."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file = path

    def __enter__(self) -> dict[str, Any]:
        document = super().__enter__()
        try:
            document["servers"] = _tables(self._file, document)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        tables: dict[str, Any] = document["servers"]
        return tables


def _tables(path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
    servers = (read_toml(path) if document is None else document).get("servers", {})
    if not isinstance(servers, dict):
        raise ConfigError(f"{path}: [servers] must be a table")
    return servers


def _server(path: str, name: str, entry: Any) -> Server:
    url = entry.get("url") if isinstance(entry, dict) else None
    if not isinstance(url, str) or not url:
        raise ConfigError(f'{path}: server "{name}" has no url')
    for key in ("token", "ca"):
        if not isinstance(entry.get(key, ""), str):
            raise ConfigError(f'{path}: server "{name}": {key} must be a string')
    insecure = entry.get("insecure") is True
    return Server(url, entry.get("token", ""), entry.get("ca", ""), insecure)


def _token_required(server: str, path: str) -> str:
    """Word the refusal; a bare word was probably meant as the name of a saved server."""
    text = "--token required for ad-hoc WebSocket server"
    if "." in server or ":" in server:
        return text
    return f'{text} (no server "{server}" is saved; {known_names(path)})'
