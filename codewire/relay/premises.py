"""The relay's data directory, before it serves: for its owner alone, and what must be in it.

Done by the command that becomes the relay, which forgets by that what it needed for it.
"""

from __future__ import annotations

import os

from codewire.errors import CodewireError, ConfigError
from codewire.io.fds import lock_file
from codewire.relay.certificate import ensure_certificate
from codewire.relay.settings import Settings

LOCK = "relay.lock"


def prepare(settings: Settings) -> None:
    """Make what is missing. Idempotent. Raises ConfigError."""
    os.umask(0o077)
    path = settings.data_dir
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        os.chmod(path, 0o700)
    except OSError as error:
        raise ConfigError(f"--data-dir {path}: {(error.strerror or str(error)).lower()}") from error
    ensure_certificate(settings)


def lock(settings: Settings) -> int:
    """Keep others out of the data directory for as long as the descriptor returned is open.

    Relays that share a PostgreSQL have a directory each. Raises CodewireError.
    """
    path = os.path.join(settings.data_dir, LOCK)
    try:
        fd = lock_file(path)
    except OSError as error:
        raise ConfigError(f"opening {path}: {(error.strerror or str(error)).lower()}") from error
    if fd is None:
        raise CodewireError(f"another relay serves from {settings.data_dir}: give --data-dir")
    return fd
