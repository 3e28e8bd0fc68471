"""How NATS is reached: `[nats]` of config.toml, which wins whole, else the environment.

What is empty is not set. Secrets are never in a message (spec/fleet.md 6).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from codewire.config import read_toml
from codewire.errors import ConfigError
from codewire.fleet.messages import VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_CONFIGURED = (
    "NATS not configured. Set CODEWIRE_NATS_URL or add [nats] to ~/.codewire/config.toml"
)
SCHEMES = ("nats", "tls", "ws", "wss")
DEFAULT_ALLOW = ("list", "status", "launch", "send", "kill")
KEYS = ("url", "token", "creds_file", "user", "password", "ca")


class Nats(NamedTuple):
    """How to reach NATS. Paths are absolute or relative to the data directory."""

    urls: tuple[str, ...]
    token: str = ""
    creds_file: str = ""
    user: str = ""
    password: str = ""
    ca: str = ""

    def public_urls(self) -> str:
        """Return the URLs without what they say of a user."""
        return ", ".join(re.sub(r"//[^@/]*@", "//", url) for url in self.urls)


def load_nats(config_path: str, root: str, environ: Mapping[str, str] | None = None) -> Nats | None:
    """Return how NATS is reached, None where no fleet is configured. Raises ConfigError."""
    env = os.environ if environ is None else environ
    table = read_toml(config_path).get("nats")
    if table is not None:
        return _from_table(table, config_path, root)
    url = env.get("CODEWIRE_NATS_URL", "").strip()
    if not url:
        return None
    creds = env.get("CODEWIRE_NATS_CREDS", "").strip()
    return _checked(
        Nats(
            _urls(url),
            env.get("CODEWIRE_NATS_TOKEN", "").strip(),
            os.path.abspath(os.path.expanduser(creds)) if creds else "",
        ),
        "CODEWIRE_NATS_URL",
    )


def is_configured(config_path: str, environ: Mapping[str, str] | None = None) -> bool:
    """Say whether a fleet is configured, without looking closer."""
    env = os.environ if environ is None else environ
    if env.get("CODEWIRE_NATS_URL", "").strip():
        return True
    return os.path.exists(config_path) and "nats" in read_toml(config_path)


def load_allow(config_path: str) -> frozenset[str]:
    """Return the verbs that `[fleet] allow` grants to whoever may publish. Raises ConfigError."""
    table = read_toml(config_path).get("fleet", {})
    if not isinstance(table, dict):
        raise ConfigError(f"parsing {config_path}: [fleet] must be a table")
    allow = table.get("allow", list(DEFAULT_ALLOW))
    known = sorted(set(VERBS.values()))
    if not isinstance(allow, list) or not all(verb in known for verb in allow):
        raise ConfigError(
            f"parsing {config_path}: fleet.allow must be a list of {', '.join(known)}"
        )
    return frozenset(allow)


def _from_table(table: Any, path: str, root: str) -> Nats:
    if not isinstance(table, dict):
        raise ConfigError(f"parsing {path}: [nats] must be a table")
    texts = {key: table.get(key, "") for key in KEYS}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise ConfigError(f"parsing {path}: nats.{key} must be a string")
    texts = {key: value.strip() for key, value in texts.items()}
    if not texts["url"]:
        raise ConfigError(f"parsing {path}: [nats] needs a url")
    for key in ("creds_file", "ca"):
        if texts[key]:
            texts[key] = os.path.join(root, os.path.expanduser(texts[key]))
    urls = _urls(texts.pop("url"))
    return _checked(Nats(urls, **texts), f"{path}: nats.url")


def _urls(text: str) -> tuple[str, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(part if "://" in part else f"nats://{part}" for part in parts)


def _checked(nats: Nats, where: str) -> Nats:
    """Return the settings with what a URL says of the user taken out of it."""
    urls, user, password, token = [], nats.user, nats.password, nats.token
    for url in nats.urls:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError(f"{where}: bad host or port in {_masked(url)!r}") from None
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ConfigError(
                f"{where}: {_masked(url)!r} is no URL of a NATS server, such as nats://host:4222"
            )
        if parts.username is not None and parts.password is not None:
            user, password = user or unquote(parts.username), password or unquote(parts.password)
        elif parts.username:
            token = token or unquote(parts.username)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = port or {"ws": 80, "wss": 443}.get(parts.scheme, 4222)
        urls.append(f"{parts.scheme}://{host}:{port}{parts.path}")
    if not urls:
        raise ConfigError(f"{where}: no URL of a NATS server")
    if len({url.partition("://")[0] in ("ws", "wss") for url in urls}) > 1:
        raise ConfigError(f"{where}: ws:// and nats:// URLs cannot be mixed")
    return nats._replace(urls=tuple(urls), user=user, password=password, token=token)


def _masked(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)
