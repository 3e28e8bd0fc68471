"""How local runtimes are shown: columns, labelled lines, JSON (spec/runtimes.md 1.1 and 1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.runtimes.records import Instance
    from codewire.runtimes.spec import Port

LABEL_WIDTH = 11
TEXTS = ("preset", "image", "install", "startup", "secrets", "agent")


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need, two blanks between them."""
    from codewire.term.width import display_width

    widths = [max(map(display_width, column)) + 1 for column in zip(*rows, strict=True)]
    output.table(rows, widths)


def print_fields(instance: Instance, state: str) -> None:
    """Print one runtime as labelled lines."""
    from codewire.term.width import printable

    pairs = [
        ("Name", instance.name),
        ("Backend", instance.engine or instance.backend),
        ("State", state),
        ("Runtime", instance.runtime_name),
        ("Image", instance.image),
        ("Repo", instance.repo_path),
        ("Workdir", instance.workdir),
        ("Ports", ports_text(instance)),
        ("Sessions", NODE_WORDS.get(instance.node, "")),
        ("Preset", instance.preset),
        ("Install", one_line(instance.install)),
        ("Startup", one_line(instance.startup)),
        ("Created", instance.created_at),
    ]
    for label, value in pairs:
        if value:
            output.line(f"{label + ':':<{LABEL_WIDTH}}{printable(value)}")


# How sessions run in a runtime, as records say it, in words.
NODE_WORDS = {
    "inside": "on a node of its own inside",
    "exec": "on this machine's node (docker exec): no node could be had inside",
}


def ports_text(instance: Instance) -> str:
    """Return the published ports as `8080->80, 9000`."""
    shown = []
    for port in instance.ports:
        host = "" if port.address == "127.0.0.1" else f"{port.address}:"
        pair = f"{port.published}->{port.guest}" if port.published != port.guest else port.guest
        shown.append(f"{host}{pair}")
    return ", ".join(shown)


def one_line(text: str) -> str:
    """Return a command's first line, with a mark where it goes on."""
    lines = text.strip().split("\n")
    return lines[0] + (" …" if len(lines) > 1 else "")


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
    return {key: value for key, value in shown.items() if value} | {"status": state}


def port_json(port: Port) -> dict[str, Any]:
    """Return a port for programs; a plain one appears as both."""
    shown: dict[str, Any] = {"host_port": port.published, "guest_port": port.guest}
    if port.label:
        shown["label"] = port.label
    if port.address != "127.0.0.1":
        shown["address"] = port.address
    return shown
