"""`[notify]` of config.toml: whom to tell, of what, and how often."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from codewire.config import read_toml
from codewire.errors import ConfigError

BLOCKED, DONE, FAILED = EVENTS = ("blocked", "done", "failed")
OSC9, OSC777 = TERMINALS = ("osc9", "osc777")
DEFAULT_PER_MINUTE = 20
MAX_PER_MINUTE = 600


class Notify(NamedTuple):
    """`command` is an argv, `terminals` "" or the sequence attached terminals are told by."""

    on: frozenset[str] = frozenset(EVENTS)
    command: tuple[str, ...] = ()
    webhook: str = ""
    terminals: str = ""
    per_minute: int = DEFAULT_PER_MINUTE

    def tells_anybody(self) -> bool:
        """Say whether there is anybody to tell."""
        return bool(self.command or self.webhook or self.terminals)

    def host(self) -> str:
        """Return the webhook's host for messages: the rest of a URL may be a secret."""
        return urlsplit(self.webhook).hostname or "?"


def load_notify(path: str) -> Notify:
    """Return what config.toml says. Raises ConfigError."""
    table = read_toml(path).get("notify", {})
    if not isinstance(table, dict):
        raise ConfigError(f"parsing {path}: [notify] must be a table")
    try:
        return _from_table(table)
    except ValueError as error:
        raise ConfigError(f"parsing {path}: notify.{error}") from None


def _from_table(table: dict[str, Any]) -> Notify:
    command = table.get("command", [])
    if isinstance(command, str):
        raise ValueError(
            'command must be a list of words, ["program", "argument"]: no shell is used'
        )
    if not _are_texts(command) or (command and not command[0]):
        raise ValueError("command must be a list of strings")
    on = table.get("on", list(EVENTS))
    if not _are_texts(on) or not set(on) <= set(EVENTS):
        raise ValueError(f"on must be a list of {', '.join(EVENTS)}, got {on!r}")
    rate = table.get("per_minute", DEFAULT_PER_MINUTE)
    if type(rate) is not int or not 1 <= rate <= MAX_PER_MINUTE:
        raise ValueError(f"per_minute must be a whole number from 1 to {MAX_PER_MINUTE}")
    return Notify(frozenset(on), tuple(command), _webhook(table), _terminals(table), rate)


def _webhook(table: dict[str, Any]) -> str:
    url = table.get("webhook", "")
    if not isinstance(url, str):
        raise ValueError("webhook must be a URL")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("webhook must be an http or https URL")
    return url


def _terminals(table: dict[str, Any]) -> str:
    value = table.get("terminals", False)
    if value is True:
        return OSC9
    if value is False or value == "":
        return ""
    if value not in TERMINALS:
        raise ValueError(f"terminals must be true, false, {' or '.join(TERMINALS)}")
    return str(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
