"""What a new runtime is made from: a project's file, and what is asked for beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.runtimes import names
from codewire.runtimes.instances import engine_of
from codewire.runtimes.records import Instance, current_directory, load, now_text
from codewire.runtimes.spec import Spec
from codewire.runtimes.yamlfile import read_spec

if TYPE_CHECKING:
    from collections.abc import Callable

PRESET_FILE = "codewire.yaml"


def project_directory(path: str) -> str:
    """Return a project's absolute path as the user says it. Raises CodewireError."""
    project = os.path.normpath(os.path.join(current_directory(), os.path.expanduser(path)))
    if not os.path.isdir(project):
        raise CodewireError(f"project path must be a directory: {project}")
    return project


def project_spec(path: str, warn: Callable[[str], None], *, is_named: bool) -> Spec:
    """Return what a project's file says; where there is none, nothing, unless it was named.

    Raises CodewireError.
    """
    try:
        return read_spec(path, warn)
    except FileNotFoundError:
        if is_named:
            raise CodewireError(f"{path}: no such file") from None
    except CodewireError:
        # Without a file it does not matter that none can be read.
        if os.path.lexists(path):
            raise
    return Spec()


def new_instance(
    spec: Spec,
    project: str,
    backend: str,
    *,
    name: str = "",
    node: str = "",
    others: dict[str, Any] | None = None,
) -> Instance:
    """Return the record of a runtime to be made. Raises CodewireError.

    `backend` may be podman; `node` says how sessions shall run ("": as it turns out).
    """
    engine_of(backend)
    name = name.strip() or names.derive_name(project)
    names.check_name(name)
    if name in load():
        raise CodewireError(f'local instance "{name}" already exists')
    image = spec.image or spec.preset
    if not image:
        raise CodewireError(
            "local create requires an image; set image in codewire.yaml or pass --image"
        )
    is_podman = backend == "podman"
    return Instance(
        name=name,
        backend="docker" if is_podman else backend,
        engine="podman" if is_podman else "",
        runtime_name=names.runtime_name(name),
        repo_path=project,
        preset=spec.preset,
        image=names.expand_image(image),
        install=spec.install,
        startup=spec.startup,
        secrets=spec.secrets,
        agent=spec.agent,
        env=spec.env,
        ports=spec.ports,
        mounts=spec.mounts,
        cpu=spec.cpu,
        memory=spec.memory,
        disk=spec.disk,
        created_at=now_text(),
        node=node,
        others=others or {},
    )
