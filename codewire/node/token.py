"""The node's token for remote clients (spec/files.md 3): made once, read anew at each use."""

from __future__ import annotations

import os

from codewire.files import read_regular
from codewire.session.store import write_atomically

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 32
# Of a file somebody wrote by hand.
MAX_BYTES = 1 << 16


def read_token(path: str) -> str:
    """Return the token, "" when there is none (then every remote login is refused)."""
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def ensure_token(path: str) -> None:
    """Make sure there is a token: CODEWIRE_TOKEN wins, then the file, else a new random one."""
    given = os.environ.get("CODEWIRE_TOKEN", "").strip()
    current = read_token(path)
    wanted = given or current or _random_token()
    if wanted != current:
        write_atomically(path, wanted)


def _random_token() -> str:
    import secrets

    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
