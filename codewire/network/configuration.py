"""What is configured of relays: flags, then the environment, then config.toml (spec/relay.md 9).

Upstream's releases name some keys differently; both are read, the newer names are written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.config import read_toml
from codewire.errors import ConfigError
from codewire.network.exchange import Server
from codewire.network.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Mapping

# Keys of config.toml, the newer name first, and the variables that win over them.
URL = ("relay_url",)
NETWORK = ("relay_selected_network", "relay_network")
NODE_TOKEN = ("relay_node_token", "relay_token")
NODE_NETWORK = ("relay_node_network",)
INVITE_TOKEN = ("relay_invite_token",)
AUTO_JOIN = ("relay_auto_join_private",)
SESSION = ("relay_session",)

# Whose platform the hosted relay belongs to (spec/relay.md 9).
HOSTED = frozenset(("codewire.sh", "www.codewire.sh", "app.codewire.sh", "api.codewire.sh"))
HOSTED_RELAY = "relay.codewire.sh"

NO_RELAY = "relay not configured (set CODEWIRE_RELAY_URL or log in to hosted Codewire)"
NO_USER = (
    "relay user authentication not configured (pass --token, set CODEWIRE_RELAY_AUTH_TOKEN, or use "
    "'cw login'/CODEWIRE_API_KEY for hosted Codewire)"
)
NO_NETWORK = (
    "no network selected (pass --network, set CODEWIRE_RELAY_NETWORK, or run: cw network use NAME)"
)
NO_NODE = "relay node token is unavailable (run: cw network enroll redeem TOKEN)"


class Given(NamedTuple):
    """What the command line says of relays; "" for nothing."""

    url: str = ""
    network: str = ""
    token: str = ""
    ca: str = ""
    insecure: bool = False


class Configuration(NamedTuple):
    """What is known of the relay to use; "" for what is not."""

    url: str
    network: str
    node_token: str
    node_network: str
    invite_token: str
    auto_join_private: bool
    user_token: str
    ca: str
    insecure: bool

    @property
    def server(self) -> Server:
        """Return where the relay is. Raises ConfigError when that is not configured."""
        if not self.url:
            raise ConfigError(NO_RELAY)
        return Server(self.url, self.ca, self.insecure)

    def required_network(self) -> str:
        """Return the network to work in. Raises ConfigError when none is selected."""
        if not self.network:
            raise ConfigError(NO_NETWORK)
        return self.network

    def as_user(self) -> Relay:
        """Return the relay to the user. Raises ConfigError."""
        server = self.server
        if not self.user_token:
            raise ConfigError(NO_USER)
        return Relay(server, self.user_token)

    def as_node(self) -> Relay:
        """Return the relay to this node. Raises ConfigError."""
        server = self.server
        if not self.node_token:
            raise ConfigError(NO_NODE)
        return Relay(server, self.node_token)

    def as_anybody(self) -> Relay:
        """Return the relay without a token: to redeem an enrolment, to join. Raises ConfigError."""
        return Relay(self.server)


def load_configuration(
    path: str, given: Given | None = None, environ: Mapping[str, str] | None = None
) -> Configuration:
    """Return what is configured, by the config.toml at `path`. Raises ConfigError."""
    given = given or Given()
    env = os.environ if environ is None else environ
    tables = read_toml(path)
    file = _File(path, tables)
    login = _Login(env)
    url = given.url or _variable(env, "CODEWIRE_RELAY_URL") or file.text(URL) or file.node_url()
    hosted = login.hosted_relay()
    is_hosted = bool(hosted) and (url or hosted).rstrip("/") == hosted
    return Configuration(
        url=(url or hosted).rstrip("/"),
        network=given.network or _variable(env, "CODEWIRE_RELAY_NETWORK") or file.text(NETWORK),
        node_token=_variable(env, "CODEWIRE_RELAY_NODE_TOKEN", "CODEWIRE_RELAY_TOKEN")
        or file.text(NODE_TOKEN),
        node_network=_variable(env, "CODEWIRE_RELAY_NODE_NETWORK") or file.node_network(),
        invite_token=_variable(env, "CODEWIRE_RELAY_INVITE_TOKEN") or file.text(INVITE_TOKEN),
        auto_join_private=tables.get(AUTO_JOIN[0]) is True,
        user_token=given.token
        or _variable(env, "CODEWIRE_RELAY_AUTH_TOKEN")
        or file.text(SESSION)
        # The platform's token is for the platform's own relay and for no other.
        or (login.token if is_hosted else ""),
        ca=given.ca,
        insecure=given.insecure,
    )


def _variable(environ: Mapping[str, str], *names: str) -> str:
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


class _File:
    """The keys of a config.toml."""

    def __init__(self, path: str, tables: dict[str, Any]) -> None:
        self._path = path
        self._tables = tables

    def text(self, names: tuple[str, ...]) -> str:
        """Return the first of these that is there. Raises ConfigError for one that is no text."""
        for name in names:
            value = self._tables.get(name)
            if value is None or value == "":
                continue
            if not isinstance(value, str):
                raise ConfigError(f"parsing {self._path}: {name} must be a string, got {value!r}")
            return value
        return ""

    def node_url(self) -> str:
        """Return a relay_url that stands in [node], where a seed puts it (spec/files.md 6)."""
        node = self._tables.get("node", self._tables.get("daemon"))
        value = node.get(URL[0]) if isinstance(node, dict) else None
        return value if isinstance(value, str) else ""

    def node_network(self) -> str:
        """Return the network this node is in; the older release had one name for both."""
        found = self.text(NODE_NETWORK)
        if found or not self._tables.get("relay_token"):
            return found
        return self.text(("relay_network",))


class _Login:
    """The platform login (spec/files.md 8). One that cannot be read is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = _variable(environ, "CODEWIRE_SERVER_URL")
        self.token = _variable(environ, "CODEWIRE_API_KEY")
        if self._url and self.token:
            return
        stored = _read_login(environ)
        self._url = self._url or stored.get("server_url", "")
        self.token = self.token or stored.get("session_token", "")

    def hosted_relay(self) -> str:
        """Return the hosted relay's URL where the login is one of the hosted platform."""
        scheme, _, rest = self._url.partition("://")
        host = rest.partition("/")[0].partition(":")[0].lower()
        known = scheme in ("http", "https") and host in HOSTED
        return f"{scheme}://{HOSTED_RELAY}" if known else ""


def _read_login(environ: Mapping[str, str]) -> dict[str, str]:
    import json

    from codewire.files import read_regular
    from codewire.paths import home

    directory = environ.get("CW_CONFIG_DIR") or os.path.join(home(), ".config", "cw")
    try:
        found = json.loads(read_regular(os.path.join(directory, "config.json"), 1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def save(path: str, changes: Mapping[tuple[str, ...], str | bool]) -> None:
    """Set keys of config.toml by their names above, "" removes one; all else stays.

    Older names of the same go: they would contradict. Raises ConfigError, and leaves the file.
    """
    from codewire.network.configfile import edit

    values: dict[str, str | bool | None] = {}
    for names, value in changes.items():
        values.update(dict.fromkeys(names[1:]))
        values[names[0]] = None if value == "" else value
    edit(path, values)
