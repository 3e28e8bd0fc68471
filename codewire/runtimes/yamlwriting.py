"""codewire.yaml, written: keys in upstream's order, unset ones left out (spec/runtimes.md 6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.runtimes.yamlfile import yaml_library

if TYPE_CHECKING:
    from codewire.runtimes.spec import Mount, Port, Spec

STEP = "    "


def write_spec(path: str, spec: Spec, *, replaces: bool) -> None:
    """Write a codewire.yaml (0644), never over an existing one unless `replaces`.

    Raises CodewireError.
    """
    text = spec_text(spec)
    if not replaces and os.path.lexists(path):
        raise CodewireError(f"{path} already exists (use --force to overwrite)")
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise CodewireError(f"writing {path}: {error.strerror}") from error


def spec_text(spec: Spec) -> str:
    """Return a spec as YAML. Raises CodewireError where PyYAML is missing."""
    lines: list[str] = []
    for key in ("image", "install", "startup"):
        if getattr(spec, key):
            lines += _entry(key, getattr(spec, key))
    lines += _secrets(spec)
    if spec.env:
        lines.append("env:")
        for name, value in sorted(spec.env.items()):
            lines += [STEP + line for line in _entry(name, value)]
    lines += _items("ports", [_port(port) for port in spec.ports])
    lines += _items("mounts", [_mount(mount) for mount in spec.mounts])
    lines += [f"{key}: {getattr(spec, key)}" for key in ("cpu", "memory", "disk")
              if getattr(spec, key)]  # fmt: skip
    if spec.tools or spec.install_tools is not None:
        lines.append("agents:")
        lines.append(f"{STEP}install: {_word(spec.install_tools is not False)}")
        if spec.tools:
            lines.append(f"{STEP}tools:")
            lines += [f"{STEP * 2}- {_scalar(tool)}" for tool in spec.tools]
    return "\n".join(lines) + "\n"


def _secrets(spec: Spec) -> list[str]:
    lines = ["secrets:"]
    lines.append(f"{STEP}org: {_word(spec.org_secrets is not False)}")
    lines.append(f"{STEP}user: {_word(spec.user_secrets is not False)}")
    if spec.secrets:
        lines.append(f"{STEP}project: {_scalar(spec.secrets)}")
    return lines


def _items(key: str, items: list[list[str]]) -> list[str]:
    if not items:
        return []
    lines = [f"{key}:"]
    for first, *rest in items:
        lines += [f"{STEP}- {first}", *(f"{STEP}  {line}" for line in rest)]
    return lines


def _port(port: Port) -> list[str]:
    ports = [f"port: {port.guest}"]
    if port.host:
        ports = [f"host_port: {port.host}", f"guest_port: {port.guest}"]
    return ports + ([f"label: {_scalar(port.label)}"] if port.label else [])


def _mount(mount: Mount) -> list[str]:
    lines = [f"source: {_scalar(mount.source)}"]
    if mount.target:
        lines.append(f"target: {_scalar(mount.target)}")
    return [*lines, f"readonly: {_word(mount.readonly)}"]


def _word(value: bool) -> str:
    return "true" if value else "false"


def _entry(key: str, text: str) -> list[str]:
    """Return `key: text`, as a literal block where it has several lines that survive one."""
    lines = text.split("\n")
    is_block = len(lines) > 1 and all(line.isprintable() for line in lines)
    if not is_block or lines[0][:1] in ("", " ") or text.endswith("\n\n"):
        return [f"{_scalar(key)}: {_scalar(text)}"]
    ends = "|" if text.endswith("\n") else "|-"
    body = lines[:-1] if text.endswith("\n") else lines
    return [f"{_scalar(key)}: {ends}", *(STEP + line if line else "" for line in body)]


def _scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line, quoted where it must be."""
    yaml: Any = yaml_library()
    dumped = yaml.dump(text, allow_unicode=True, width=1 << 30, default_flow_style=True)
    if "\n" in dumped.rstrip("\n").removesuffix("\n..."):
        dumped = yaml.dump(text, allow_unicode=False, width=1 << 30, default_style='"')
    return str(dumped).removesuffix("...\n").strip("\n")
