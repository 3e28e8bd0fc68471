"""The node's settings: defaults, then config.toml, then the environment; built and checked once.

Which of file and environment wins is upstream's choice, key by key (spec/files.md 6).
Clients read single keys through `read_toml`; only the node needs `load_settings`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import ConfigError
from codewire.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")

# 1 GiB a session: days of a chatty agent, and a small disk survives a few of them.
DEFAULT_LOG_MAX_BYTES = 1 << 30
DEFAULT_KEEP_FINISHED = 500
DEFAULT_GRACE_SECONDS = 5.0
MAX_TOML_BYTES = 1 << 20


class Settings(NamedTuple):
    """What a node is told. Sizes are bytes, times seconds."""

    node_name: str
    listen: str
    external_url: str
    tls_cert: str
    tls_key: str
    log_max_bytes: int
    keep_finished: int
    grace_seconds: float


def read_toml(path: str) -> dict[str, Any]:
    """Return the tables of a TOML file, {} when there is none. Raises ConfigError."""
    try:
        text = read_regular(path, MAX_TOML_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"reading {path}: {_cause(error)}") from error
    if not text.strip():
        return {}
    import toml

    try:
        return toml.loads(text)
    except (toml.TomlDecodeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"parsing {path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"parsing {path}: nested too deeply") from error


def load_settings(path: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the node's settings from `path` and the environment. Raises ConfigError."""
    env = os.environ if environ is None else environ
    tables = read_toml(path)
    node = tables.get("node", tables.get("daemon", {}))
    if not isinstance(node, dict):
        raise ConfigError(f"parsing {path}: [node] must be a table")
    name = env.get("CODEWIRE_NODE_NAME") or _text(node, "name", path) or default_node_name(env)
    if not name or not NAME_CHARACTERS.issuperset(name):
        raise ConfigError(
            f'node name must be non-empty and alphanumeric (with - or _), got: "{name}"'
        )
    return Settings(
        node_name=name,
        listen=_text(node, "listen", path) or env.get("CODEWIRE_LISTEN", ""),
        external_url=_text(node, "external_url", path) or env.get("CODEWIRE_EXTERNAL_URL", ""),
        tls_cert=_text(node, "tls_cert", path),
        tls_key=_text(node, "tls_key", path),
        log_max_bytes=_whole(node, "log_max_bytes", DEFAULT_LOG_MAX_BYTES, path),
        keep_finished=_whole(node, "keep_finished", DEFAULT_KEEP_FINISHED, path),
        grace_seconds=_seconds(node, "grace_seconds", DEFAULT_GRACE_SECONDS, path),
    )


def default_node_name(env: Mapping[str, str]) -> str:
    """Return the host's name with every other character than letters, digits, - and _ as -."""
    raw = env.get("HOSTNAME") or env.get("HOST") or "codewire"
    return "".join(c if c in NAME_CHARACTERS else "-" for c in raw)


def _text(table: dict[str, Any], key: str, path: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"parsing {path}: node.{key} must be a string, got {value!r}")
    return value


def _whole(table: dict[str, Any], key: str, default: int, path: str) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"parsing {path}: node.{key} must be a whole number ≥ 0, got {value!r}")
    return value


def _seconds(table: dict[str, Any], key: str, default: float, path: str) -> float:
    value = table.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 3600:
        raise ConfigError(f"parsing {path}: node.{key} must be 0 to 3600 seconds, got {value!r}")
    return float(value)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
