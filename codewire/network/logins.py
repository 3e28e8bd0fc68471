"""The login that `cw login` keeps: a server and a session of it (spec/files.md 8).

The file is upstream's own, so either program finds the other's login.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import ConfigError
from codewire.files import read_regular
from codewire.paths import home

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER, TOKEN = "server_url", "session_token"
MAX_BYTES = 1 << 20
# Whose platform the hosted relay belongs to (spec/relay.md 9).
HOSTED = frozenset(("codewire.sh", "www.codewire.sh", "app.codewire.sh", "api.codewire.sh"))
HOSTED_RELAY = "relay.codewire.sh"


class Login(NamedTuple):
    """Where one is logged in and the session there, as variables and the file say; "" for none."""

    server: str = ""
    token: str = ""
    # The session is a variable's: to log out means to unset that.
    is_given: bool = False

    def relay_url(self) -> str:
        """Return the relay that goes with the server: the hosted platform's, else itself."""
        scheme, _, rest = self.server.partition("://")
        host = rest.partition("/")[0].partition(":")[0].lower()
        if scheme in ("http", "https") and host in HOSTED:
            return f"{scheme}://{HOSTED_RELAY}"
        return self.server.rstrip("/")


def login_of(environ: Mapping[str, str]) -> Login:
    """Return the login. A file that cannot be read is none."""
    server = environ.get("CODEWIRE_SERVER_URL", "").strip()
    token = environ.get("CODEWIRE_API_KEY", "").strip()
    stored = {} if server and token else read_stored(environ)
    if not (_text(stored, SERVER) and _text(stored, TOKEN)):
        stored = {}
    return Login(
        server or _text(stored, SERVER), token or _text(stored, TOKEN), is_given=bool(token)
    )


def read_stored(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the login's file says, {} without a usable one."""
    for path in _paths(environ):
        try:
            found = json.loads(read_regular(path, MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def save_login(environ: Mapping[str, str], server: str, token: str) -> str:
    """Keep a login; what else is known of the same server stays. Return the file's path.

    Raises ConfigError.
    """
    from codewire.disk.filing import write_atomically

    path = _paths(environ)[0]
    before = read_stored(environ)
    kept = before if before.get(SERVER) == server else {}
    text = json.dumps({**kept, SERVER: server, TOKEN: token}, indent=2) + "\n"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"writing {path}: {error.strerror}") from error
    return path


def forget_login(environ: Mapping[str, str]) -> None:
    """Remove the login's file, an older program's, too. Raises ConfigError."""
    for path in _paths(environ):
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
        except OSError as error:
            raise ConfigError(f"removing {path}: {error.strerror}") from error


def _paths(environ: Mapping[str, str]) -> list[str]:
    """Return where a login is kept, and where an older program kept it."""
    given = environ.get("CW_CONFIG_DIR", "")
    if given:
        return [os.path.join(given, "config.json")]
    configs = os.path.join(home(), ".config")
    return [os.path.join(configs, name, "config.json") for name in ("cw", "cs")]


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value.strip() if isinstance(value, str) else ""
