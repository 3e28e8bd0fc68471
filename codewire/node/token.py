"""The node's token for remote clients (spec/files.md 3): made once, read anew at each use."""

from __future__ import annotations

import os

from codewire.disk.filing import move_aside, read_file, write_atomically
from codewire.io.transient import is_transient
from codewire.io.wait import run_blocking

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 32
MAX_BYTES = 1 << 16


def read_token(path: str) -> str:
    """Return the token, "" when there is none (then every remote login is refused)."""
    try:
        return run_blocking(read_file, path, MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def ensure_token(path: str) -> None:
    """Make sure there is a token: CODEWIRE_TOKEN wins, then the file, else a new random one.

    Raises OSError when it cannot be written.
    """
    given = os.environ.get("CODEWIRE_TOKEN", "").strip()
    current = ""
    try:
        current = read_file(path, MAX_BYTES).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        if is_transient(error):
            raise
        # Not overwritten: it may only be unreadable for this user.
        move_aside(path, error.strerror or str(error))
    wanted = given or current or _random_token()
    if wanted != current:
        write_atomically(path, wanted)


def _random_token() -> str:
    import secrets

    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
