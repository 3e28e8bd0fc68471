"""What a project's file may not have without the user's word: a cloned repository is a stranger.

Mounts outside the project need `--allow-mount`, engine sockets are never mounted, commands are
shown before they run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codewire.runtimes.spec import Mount, Spec

# Whoever has one of these is root on this machine.
ENGINE_SOCKETS = (
    "/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock",
    "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/buildkit/buildkitd.sock",
    "/var/lib/incus/unix.socket", "/run/incus/unix.socket", "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
)  # fmt: skip
SOCKET_NAMES = frozenset(os.path.basename(path) for path in ENGINE_SOCKETS)


def resolve_mounts(
    mounts: Iterable[Mount], project: str, allowed: Sequence[str]
) -> list[tuple[str, str, bool]]:
    """Return (source, target, readonly) with absolute paths. Raises CodewireError."""
    return [_resolve(mount, project, allowed) for mount in mounts]


def _resolve(mount: Mount, project: str, allowed: Sequence[str]) -> tuple[str, str, bool]:
    given = os.path.join(project, os.path.expanduser(mount.source))
    # What is mounted is what the links lead to now: the check and the mount are of one path.
    source = os.path.realpath(given)
    if not os.path.exists(source):
        raise CodewireError(f"mount {mount.source}: no such file or directory")
    check_sockets(source)
    inside = [os.path.realpath(path) for path in (project, *allowed)]
    if not any(_contains(path, source) for path in inside):
        raise CodewireError(
            f"mount {mount.source} lies outside the project; if you trust this project with it, "
            f"pass --allow-mount {source}"
        )
    target = mount.target or os.path.normpath(given)
    if not os.path.isabs(target):
        raise CodewireError(f"mount {mount.source}: target must be an absolute path, got {target}")
    return source, target, mount.readonly


def check_sockets(source: str) -> None:
    """Raise CodewireError for a path that is an engine's socket, or holds one."""
    source = os.path.realpath(source)
    for socket in {*ENGINE_SOCKETS, *_users_sockets()}:
        real = os.path.realpath(socket)
        if source == real or (os.path.exists(real) and _contains(source, real)):
            raise CodewireError(
                f"{source} cannot be mounted: with {socket} a container has this whole machine"
            )
    if os.path.basename(source) in SOCKET_NAMES and not os.path.isdir(source):
        raise CodewireError(f"{source} cannot be mounted: it looks like an engine's socket")


def _users_sockets() -> list[str]:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    found = [os.path.join(runtime, name) for name in ("docker.sock", "podman/podman.sock")]
    host = os.environ.get("DOCKER_HOST", "")
    if host.startswith("unix://"):
        found.append(host[len("unix://") :])
    return [path for path in found if os.path.isabs(path)]


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def consent_text(spec: Spec, path: str) -> str:
    """Return what is shown before the commands of a project's file run."""
    lines = [f"{path} wants to run in the new container:"]
    for key in ("install", "startup"):
        text = getattr(spec, key)
        if text:
            first, *rest = text.rstrip("\n").split("\n")
            lines += [f"  {key + ':':<9}{first}", *(f"  {'':<9}{line}" for line in rest)]
    for port in spec.ports:
        if port.address not in ("127.0.0.1", "::1"):
            lines.append(f"  and port {port.guest} open at {port.address}:{port.published}")
    return "\n".join(lines)
