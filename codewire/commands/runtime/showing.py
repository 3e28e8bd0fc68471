"""How local runtimes are shown: columns, labelled lines (spec/runtimes.md 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.commands import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.runtimes.records import Instance

LABEL_WIDTH = 11


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
        ("Sessions", sessions_words(instance)),
        ("Network", instance.network and f"{instance.network} (node: {instance.name})"),
        ("Preset", instance.preset),
        ("Install", one_line(instance.install)),
        ("Startup", one_line(instance.startup)),
        ("Created", instance.created_at),
    ]
    for label, value in pairs:
        if value:
            output.line(f"{label + ':':<{LABEL_WIDTH}}{printable(value)}")


def sessions_words(instance: Instance) -> str:
    """Say how sessions run in a runtime, "" while that is not known."""
    program = instance.engine or instance.backend
    return {
        "inside": "on a node of its own inside",
        "exec": f"on this machine's node, by {program} exec (no node inside)",
    }.get(instance.node, "")


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
