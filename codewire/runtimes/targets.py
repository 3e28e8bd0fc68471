"""The current target: where commands run when nothing else is said (spec/runtimes.md 5.1).

Kept as `[current_target]` in config.toml; `local` is this machine.
"""

from __future__ import annotations

from typing import NamedTuple

from codewire.config import read_toml
from codewire.errors import CodewireError
from codewire.paths import data_dir
from codewire.runtimes import records
from codewire.tomlfile import set_keys

LOCAL = "local"
# An environment of a hosted platform: kept in the file, not to be reached by this version.
ENVIRONMENT = "env"


class Target(NamedTuple):
    """One target: `ref` is the key of a record or an environment's id."""

    kind: str = LOCAL
    ref: str = LOCAL
    name: str = LOCAL

    @property
    def is_this_machine(self) -> bool:
        """Say whether it is no runtime at all."""
        return self.kind == LOCAL and self.ref == LOCAL


def current() -> Target:
    """Return the current target. Raises ConfigError."""
    table = read_toml(data_dir().config).get("current_target")
    if not isinstance(table, dict):
        return Target()
    kind, ref, name = (table.get(key) or "" for key in ("kind", "ref", "name"))
    if not all(isinstance(value, str) for value in (kind, ref, name)) or not ref:
        return Target()
    return Target(kind or LOCAL, ref, name or ref)


def choose(name: str) -> Target:
    """Return the target of that name. Raises CodewireError where there is none."""
    if name == LOCAL:
        return Target()
    found = records.find(name)
    if found is None:
        known = ", ".join(records.load())
        raise CodewireError(
            f'target "{name}" not found: '
            + (f"local runtimes: {known}" if known else "no local runtimes ('cw local create')")
        )
    return Target(LOCAL, found.name, found.name)


def set_current(target: Target) -> None:
    """Keep a target as the current one."""
    keys = ("kind", "ref", "name")
    set_keys(data_dir().config, "current_target", dict(zip(keys, target, strict=True)))


def forget(name: str) -> bool:
    """Go back to this machine if the current target is a runtime that has just gone; say so."""
    target = current()
    is_current = target.kind == LOCAL and target.ref == name and not target.is_this_machine
    if is_current:
        set_current(Target())
    return is_current


def instance_of(target: Target) -> records.Instance:
    """Return the runtime a target means. Raises CodewireError for one that has gone."""
    if target.kind == ENVIRONMENT:
        raise CodewireError(
            f'target "{target.name}" is a hosted environment: not in this version '
            "('cw use local' goes back to this machine)"
        )
    found = records.find(target.ref)
    if found is None:
        raise CodewireError(f"local instance not found: {target.name}")
    return found
