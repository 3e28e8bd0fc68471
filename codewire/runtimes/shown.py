"""Local runtimes as programs are shown them (spec/runtimes.md 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.runtimes.spec import LOOPBACK

if TYPE_CHECKING:
    from codewire.runtimes.records import Instance
    from codewire.runtimes.spec import Port

TEXTS = ("preset", "image", "install", "startup", "secrets", "agent")


def instance_json(instance: Instance, state: str) -> dict[str, Any]:
    """Return a runtime for programs; empty keys are left out."""
    shown: dict[str, Any] = {
        "name": instance.name,
        "backend": instance.backend,
        "runtime_name": instance.runtime_name,
        "repo_path": instance.repo_path,
        "workdir": instance.workdir,
    }
    shown.update({key: getattr(instance, key) for key in TEXTS})
    shown["env"] = instance.env
    shown["ports"] = [port_json(port) for port in instance.ports]
    shown["mounts"] = [
        {"source": mount.source, "target": mount.target, "readonly": mount.readonly}
        for mount in instance.mounts
    ]
    shown.update({key: getattr(instance, key) for key in ("cpu", "memory", "disk")})
    shown.update(created_at=instance.created_at, last_used_at=instance.last_used_at)
    shown.update(engine=instance.engine, sessions=instance.node)
    shown.update(network=instance.network, relay_url=instance.relay_url)
    return {key: value for key, value in shown.items() if value} | {"status": state}


def port_json(port: Port) -> dict[str, Any]:
    """Return a port for programs; a plain one appears as both."""
    shown: dict[str, Any] = {"host_port": port.published, "guest_port": port.guest}
    if port.label:
        shown["label"] = port.label
    if port.address != LOOPBACK:
        shown["address"] = port.address
    return shown
