"""Names: of instances, their containers and images. Pure text (spec/runtimes.md 1.3)."""

from __future__ import annotations

import re

from codewire.errors import CodewireError

PREFIX = "cw-"
# Docker's rule for what stands behind the prefix; a container's host name has 63 characters.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
OWN_IMAGES = ("base", "full")


def derive_name(directory: str) -> str:
    """Return the name an instance of a project directory gets. Raises CodewireError."""
    base = directory.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[:60].strip("-")
    if not name:
        raise CodewireError("could not derive a valid local instance name; pass --name")
    return name


def check_name(name: str) -> None:
    """Raise CodewireError for a name that no engine takes, or that means something else."""
    if not NAME.fullmatch(name):
        raise CodewireError(
            f"invalid local instance name {name!r}: letters, digits, hyphens, dots and "
            "underscores, at most 60, a letter or digit first"
        )
    if name == "local":
        raise CodewireError('"local" is this machine; choose another name')


def runtime_name(name: str) -> str:
    """Return what the engine calls the container of an instance."""
    return PREFIX + name


def expand_image(image: str) -> str:
    """Return an image with its registry and tag, as it is asked of an engine.

    The first part of a path is a registry if it has a dot or a port, or is localhost; then
    nothing is added.
    """
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    if slash:
        return _tagged(f"docker.io/{image}")
    if re.split("[:@]", image)[0] in OWN_IMAGES:
        return _tagged(f"ghcr.io/codewiresh/{image}")
    return _tagged(f"docker.io/library/{image}")


def _tagged(image: str) -> str:
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image
    return f"{image}:latest"
