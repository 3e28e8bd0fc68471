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
MAX_GRACE_SECONDS = 3600.0
# Far above any budget of bytes or sessions, and what every system call takes.
MAX_WHOLE = 1 << 62
# A configuration is a page; what is larger is another file.
MAX_CONFIG_BYTES = 1 << 20

# What means something to us or, in the same file, to the upstream program (spec/files.md 6). None
# stands for a table whose keys are its owner's business.
NODE_KEYS = (
    "name", "listen", "external_url", "tls_cert", "tls_key",
    "log_max_bytes", "keep_finished", "grace_seconds", "env", "restore",
    "allow_network_owners",
)  # fmt: skip
KNOWN_KEYS: dict[str, tuple[str, ...] | None] = {
    "node": (*NODE_KEYS, "relay_url"),
    "daemon": (*NODE_KEYS, "relay_url"),
    "current_target": ("kind", "ref", "name"),
    "nats": None,
    "fleet": ("allow",),
    "notify": ("on", "command", "webhook", "terminals", "per_minute"),
}
KNOWN_TOP_KEYS = frozenset((
    "relay_url", "relay_invite_token", "relay_auto_join_private", "relay_network",
    "relay_selected_network", "relay_token", "relay_node_token", "relay_node_network",
    "relay_session",
))  # fmt: skip
# So many are named; a file of another kind has more.
MANY_KEYS = 20
# difflib's measure: two letters of four changed places.
SIMILAR = 0.75


CALLER, NODE = "caller", "node"
ASK, AUTO, NEVER = RESTORE = ("ask", "auto", "never")


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
    # Whether a fleet is configured (fleet/settings.py reads how).
    has_nats: bool = False
    # Whether anybody is to be told of sessions (notify/settings.py reads whom).
    has_notify: bool = False
    # Whose environment sessions start with: that of who launches them here, or the node's own.
    env: str = CALLER
    # What becomes of sessions that ended with their node: offered, started again, or nothing.
    restore: str = ASK
    # Whether owners of the relay's network may use the node as its own owner does.
    allow_network_owners: bool = False
    # Keys of the file that mean nothing to anybody, as `table.key`, in its order.
    unknown_keys: tuple[str, ...] = ()


def read_toml(path: str) -> dict[str, Any]:
    """Return the tables of a TOML file, {} when there is none. Raises ConfigError."""
    try:
        text = read_regular(path, MAX_CONFIG_BYTES).decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"reading {path}: {_cause(error)}") from error
    if not text.strip():
        return {}
    import toml

    try:
        return toml.loads(text)
    except RecursionError as error:
        raise ConfigError(f"parsing {path}: nested too deeply") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # Not all that is wrong gets the parser's own error, which is a ValueError.
        raise ConfigError(f"parsing {path}: {error}") from error


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
        has_nats="nats" in tables or bool(env.get("CODEWIRE_NATS_URL", "").strip()),
        has_notify="notify" in tables,
        env=_choice(node, "env", (CALLER, NODE), path),
        restore=_choice(node, "restore", RESTORE, path),
        allow_network_owners=_truth(node, "allow_network_owners", path),
        unknown_keys=tuple(unknown_keys(tables)),
    )


def unknown_keys(tables: dict[str, Any]) -> list[str]:
    """Return the keys of a config.toml that nobody reads, as `table.key`; MANY_KEYS at most."""
    found: list[str] = []
    for name, value in tables.items():
        known = KNOWN_KEYS.get(name, ())
        if name not in KNOWN_KEYS:
            if name not in KNOWN_TOP_KEYS:
                found.append(name)
        elif known is not None and isinstance(value, dict):
            found += [f"{name}.{key}" for key in value if key not in known]
    return found[:MANY_KEYS]


def similar_key(unknown: str) -> str:
    """Return the known key that an unknown one was probably meant to be, "" when none is close."""
    from difflib import get_close_matches

    table, _, key = unknown.rpartition(".")
    if not table:
        # A name of the file's top, or one of the node's whose table was forgotten.
        close = get_close_matches(key, [*KNOWN_TOP_KEYS, *KNOWN_KEYS], 1, SIMILAR)
        if close:
            return close[0]
    close = get_close_matches(key, NODE_KEYS, 1, SIMILAR)
    return f"node.{close[0]}" if close else ""


def default_node_name(env: Mapping[str, str]) -> str:
    """Return the host's name with every other character than letters, digits, - and _ as -."""
    raw = env.get("HOSTNAME") or env.get("HOST") or "codewire"
    return "".join(c if c in NAME_CHARACTERS else "-" for c in raw)


def _text(table: dict[str, Any], key: str, path: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"parsing {path}: node.{key} must be a string, got {value!r}")
    return value


def _truth(table: dict[str, Any], key: str, path: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"parsing {path}: node.{key} must be true or false, got {value!r}")
    return value


def _choice(table: dict[str, Any], key: str, words: tuple[str, ...], path: str) -> str:
    """Return one of `words`, the first where there is none."""
    value = table.get(key, words[0])
    if value not in words:
        allowed = " or ".join(f'"{word}"' for word in words)
        raise ConfigError(f"parsing {path}: node.{key} must be {allowed}, got {value!r}")
    return str(value)


def _whole(table: dict[str, Any], key: str, default: int, path: str) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_WHOLE:
        raise ConfigError(f"parsing {path}: node.{key} must be a whole number ≥ 0, got {value!r}")
    return value


def _seconds(table: dict[str, Any], key: str, default: float, path: str) -> float:
    value = table.get(key, default)
    if (
        not isinstance(value, (int, float))
        or isinstance(value, bool)
        or not 0 <= value <= MAX_GRACE_SECONDS
    ):
        raise ConfigError(f"parsing {path}: node.{key} must be 0 to 3600 seconds, got {value!r}")
    return float(value)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
