"""local_instances.toml: which runtimes this user has (spec/runtimes.md 1.4).

Private (0600), locked while it is changed, replaced whole. A record stands there before its
container does, in the state `creating`: a crash leaves nothing that `local list` does not show.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.config import read_toml
from codewire.errors import CodewireError, ConfigError
from codewire.paths import data_dir
from codewire.runtimes.spec import (
    LOOPBACK,
    MAX_AMOUNT,
    NONE,
    Mount,
    Port,
    Problem,
    from_mapping,
    whole,
)
from codewire.tomlfile import Edit

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = (
    "backend", "runtime_name", "repo_path", "workdir", "preset", "image", "install", "startup",
    "secrets", "agent", "created_at", "last_used_at", "phase", "node", "engine",
    "relay_url", "network",
)  # fmt: skip
CREATING = "creating"
READY = ""


class Instance(NamedTuple):
    """One runtime. cpu in millicores, memory in MB, disk in GB, 0 unset; times RFC 3339.

    `phase` is `creating` until it was made whole; `node` says how sessions run inside (`inside` or
    `exec`); `engine` is the program that was used where it is not the backend's own (podman);
    `network` is that of the relay `relay_url` which the node inside has joined by this name.
    """

    name: str
    backend: str
    runtime_name: str
    repo_path: str
    workdir: str = "/workspace"
    preset: str = ""
    image: str = ""
    install: str = ""
    startup: str = ""
    secrets: str = ""
    agent: str = ""
    env: Mapping[str, str] = NONE
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    cpu: int = 0
    memory: int = 0
    disk: int = 0
    created_at: str = ""
    last_used_at: str = ""
    phase: str = READY
    node: str = ""
    engine: str = ""
    relay_url: str = ""
    network: str = ""
    # What other releases wrote and we keep (lima, firecracker, include_*).
    others: Mapping[str, Any] = NONE


def records_path() -> str:
    """Return the file's path."""
    return data_dir().local_instances


def now_text() -> str:
    """Return the time as records say it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def load() -> dict[str, Instance]:
    """Return the instances by name, sorted. Raises ConfigError for a file that cannot be read."""
    path = records_path()
    return _instances(path, read_toml(path))


def add(instance: Instance) -> None:
    """Record a new instance. Raises CodewireError if there is one of that name."""
    path = records_path()
    with Edit(path) as document:
        known = _instances(path, document)
        if instance.name in known:
            raise CodewireError(f'local instance "{instance.name}" already exists')
        document.setdefault("instances", {})[instance.name] = _table(instance)


def update(name: str, **changes: Any) -> None:
    """Change fields of a record; one that has gone meanwhile is left alone."""
    path = records_path()
    with Edit(path) as document:
        known = _instances(path, document)
        if name in known:
            document["instances"][name] = _table(known[name]._replace(**changes))


def touch(instance: Instance) -> None:
    """Note that a runtime is used now; a record that cannot be written is no reason not to."""
    now = now_text()
    # To the minute: most uses write nothing.
    if instance.last_used_at[:16] == now[:16]:
        return
    try:
        update(instance.name, last_used_at=now)
    except (CodewireError, OSError):
        return


def remove(name: str) -> None:
    """Forget an instance; one that is not there is no error."""
    path = records_path()
    with Edit(path) as document:
        _instances(path, document)
        document.get("instances", {}).pop(name, None)


def find(name: str, known: dict[str, Instance] | None = None) -> Instance | None:
    """Return the instance of that name or runtime name, None where there is none."""
    instances = load() if known is None else known
    if name in instances:
        return instances[name]
    return next((each for each in instances.values() if each.runtime_name == name), None)


def resolve(name: str | None) -> Instance:
    """Return the instance meant: by name, or this directory's only one. Raises CodewireError."""
    known = load()
    if name:
        found = find(name, known)
        if found is None:
            raise CodewireError(f"local instance not found: {name}")
        return found
    if not known:
        raise CodewireError("no local instances found")
    here = current_directory()
    matching = [each for each in known.values() if each.repo_path == here]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(each.name for each in matching)
        raise CodewireError(f"multiple local instances match this repo: {names}")
    raise CodewireError(
        "no local instance associated with this directory; pass a name explicitly or run "
        "'cw local create'"
    )


def current_directory() -> str:
    """Return where we are as the shell says it ($PWD), symlinks kept. Raises CodewireError."""
    try:
        actual = os.getcwd()
        pwd = os.environ.get("PWD", "")
        if os.path.isabs(pwd) and os.path.samefile(pwd, actual):
            return os.path.normpath(pwd)
    except FileNotFoundError:
        raise CodewireError("the current directory no longer exists") from None
    except OSError:
        pass
    return actual


def _instances(path: str, document: dict[str, Any]) -> dict[str, Instance]:
    tables = document.get("instances", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"parsing {path}: [instances] must be a table")
    return {name: _instance(path, name, tables[name]) for name in sorted(tables)}


def _instance(path: str, name: str, table: Any) -> Instance:
    if not isinstance(table, dict):
        raise ConfigError(f"parsing {path}: [instances.{name}] must be a table")
    try:
        texts = {key: _text(table, key) for key in TEXTS}
        lists = from_mapping(_lowered(table), mounts_are_readonly=False)
        amounts = {key: whole(table.get(key, 0), key, MAX_AMOUNT)
                   for key in ("cpu", "memory", "disk")}  # fmt: skip
    except Problem as error:
        raise ConfigError(f"parsing {path}: instances.{name}: {error}") from None
    known = {"name", "env", "ports", "mounts", "cpu", "memory", "disk", *TEXTS}
    others = {key: value for key, value in table.items() if key not in known}
    fields: dict[str, Any] = {**texts, **amounts, "workdir": texts["workdir"] or "/workspace"}
    return Instance(
        name=name,
        env=lists.env,
        ports=lists.ports,
        mounts=lists.mounts,
        others=others,
        **fields,
    )


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise Problem(f"{key} must be a string, got {value!r}")
    return value


def _lowered(table: dict[str, Any]) -> dict[str, Any]:
    """Return what the spec reads of a record: ports of either release, 0 for unset."""
    ports = []
    for entry in table.get("ports") or []:
        if not isinstance(entry, dict):
            raise Problem("ports must be tables")
        lower = {str(key).lower(): value for key, value in entry.items()}
        ports.append({key: value for key, value in lower.items() if value not in (0, "")})
    return {"env": table.get("env"), "ports": ports, "mounts": table.get("mounts")}


def _table(instance: Instance) -> dict[str, Any]:
    """Return a record as upstream writes it; numbers always, other keys where they are set."""
    table: dict[str, Any] = {"name": instance.name}
    table.update({key: getattr(instance, key) for key in TEXTS if getattr(instance, key)})
    table.update({key: getattr(instance, key) for key in ("cpu", "memory", "disk")})
    table.update(instance.others)
    table.setdefault("firecracker_pid", 0)
    if instance.env:
        table["env"] = dict(instance.env)
    if instance.ports:
        table["ports"] = [port_table(port) for port in instance.ports]
    if instance.mounts:
        table["mounts"] = [_mount(mount) for mount in instance.mounts]
    return table


def port_table(port: Port) -> dict[str, Any]:
    """Return a port as the later release writes it."""
    table: dict[str, Any] = {"port": 0, "host_port": port.host, "guest_port": port.guest}
    if not port.host:
        table = {"port": port.guest, "host_port": 0, "guest_port": 0}
    if port.label:
        table["label"] = port.label
    if port.address != LOOPBACK:
        table["address"] = port.address
    return table


def _mount(mount: Mount) -> dict[str, Any]:
    return {"source": mount.source, "target": mount.target, "readonly": mount.readonly}
