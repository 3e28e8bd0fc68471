"""Where a relay serves SSH, as ssh(1) is told of it: known hosts, destination, command line.

What a relay says goes into a file that ssh believes and into a command line, so it is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.credentials.sshkeys import parse_public_key
from codewire.errors import BadValue, ConfigError, RelayError, RelayRefused
from codewire.files import read_regular

if TYPE_CHECKING:
    from codewire.network.relay import Relay

FILE = "ssh_known_hosts"
MAX_BYTES = 1 << 20
PORT = 22
HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:")


class Door(NamedTuple):
    """Where SSH is served, checked. `user` is told a node, `key_count` a user."""

    host: str
    port: int
    host_key: str
    fingerprint: str
    user: str = ""
    key_count: int = 0

    @property
    def pattern(self) -> str:
        """Return what known hosts call it (sshd(8))."""
        return self.host if self.port == PORT else f"[{self.host}]:{self.port}"

    @property
    def known_hosts_line(self) -> str:
        """Return the line of a known_hosts file."""
        return f"{self.pattern} {self.host_key}"


def ask_door(relay: Relay) -> Door:
    """Return where a relay serves SSH. Raises RelayRefused (404) where it does not, RelayError."""
    try:
        said = relay.ssh_door()
    except RelayRefused as error:
        if error.status != 404:
            raise
        words = f"relay {relay.server.url} serves no SSH"
        raise RelayRefused(words, error.status, error.text) from error
    try:
        key = parse_public_key(said.host_key)
    except BadValue as error:
        raise RelayError(f"the relay's SSH host key cannot be used: {error}") from error
    if not is_host(said.host) or not 0 < said.port <= 0xFFFF:
        raise RelayError("the relay's answer cannot be understood: no host and port for SSH")
    return Door(said.host, said.port, key.line, key.fingerprint, said.user, said.key_count)


def is_host(text: str) -> bool:
    """Say whether a text can be a host's name or address, and no option or pattern of ssh's."""
    return bool(text) and HOST_CHARACTERS.issuperset(text) and text[0] != "-"


def command_line(door: Door, user: str, options: list[str] | None = None) -> list[str]:
    """Return what reaches a node: `ssh -p 2222 [options] user@host`."""
    port = [] if door.port == PORT else ["-p", str(door.port)]
    return ["ssh", *port, *(options or []), f"{user}@{door.host}"]


def trusting(path: str) -> list[tuple[str, str]]:
    """Return the options by which ssh believes the file of known hosts, and nobody else."""
    return [("UserKnownHostsFile", quoted(path)), ("StrictHostKeyChecking", "yes")]


def quoted(path: str) -> str:
    """Return a path as ssh_config(5) reads it: percent signs and blanks mean something there."""
    text = path.replace("%", "%%")
    return f'"{text}"' if any(c.isspace() for c in text) else text


def remember(path: str, door: Door, *, is_vouched: bool) -> bool:
    """Have the file of known hosts say this of the door; say whether it said something else.

    A key that has changed is taken where the relay `is_vouched` for (https), else refused: who sits
    on the way could have changed it. Raises RelayError, ConfigError.
    """
    lines = _read(path)
    others = [line for line in lines if line.split(" ")[0] != door.pattern]
    is_other = len(others) < len(lines)
    if door.known_hosts_line in lines:
        return False
    if is_other and not is_vouched:
        raise RelayError(
            f"the SSH host key of {door.pattern} is not the one it was: now {door.fingerprint}. "
            f"The relay is asked without TLS, so anybody on the way may have changed it. Where the "
            f"relay was set up anew, remove its line from {path}"
        )
    _write(path, [*others, door.known_hosts_line])
    return is_other


def _read(path: str) -> list[str]:
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"reading {path}: {(error.strerror or '').lower()}") from error


def _write(path: str, lines: list[str]) -> None:
    import os

    from codewire.disk.filing import write_atomically

    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_atomically(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        if lines[-1] in _read(path):
            # Another command has just done it.
            return
        raise ConfigError(f"writing {path}: {(error.strerror or '').lower()}") from error
