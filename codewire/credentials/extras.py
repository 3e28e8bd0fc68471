"""What to say where an optional package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codewire.errors import ConfigError


@contextmanager
def needs_relay(what: str) -> Iterator[None]:
    """Turn a failing import of an extra package into words: ConfigError with the pip command."""
    try:
        yield
    except ImportError as error:
        name = (error.name or "cryptography").partition(".")[0]
        raise ConfigError(
            f"{what} needs the Python package {name!r}: pip install 'codewire[relay]'"
        ) from error
