"""Where things are: the data directory and the commands that start our own processes.

Knows names, not contents. Layout: spec/files.md 1.
"""

from __future__ import annotations

import os
import sys

from codewire.errors import CodewireError

# sun_path with its final NUL is 108 bytes on Linux (unix(7)), 104 where a length comes before it.
MAX_SOCKET_PATH = 107 if hasattr(os, "splice") else 103
# More than a configuration ever has (config.py refuses it).
MAX_CONFIG_BYTES = 1 << 20
# Far more than an id and what it is kept with.
NODE_ID_BYTES = 4096


class DataDir:
    """The paths inside one data directory (`~/.codewire` unless CODEWIRE_DIR says otherwise)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.socket = os.path.join(root, "codewire.sock")
        self.pid = os.path.join(root, "codewire.pid")
        self.lock = os.path.join(root, "codewire.lock")
        self.start_lock = os.path.join(root, "codewire.start.lock")
        self.stop_note = os.path.join(root, "codewire.stop")
        self.node_id = os.path.join(root, "node-id")
        self.token = os.path.join(root, "token")
        self.config = os.path.join(root, "config.toml")
        self.servers = os.path.join(root, "servers.toml")
        self.local_instances = os.path.join(root, "local_instances.toml")
        self.environment = os.path.join(root, "environment.json")
        self.node_log = os.path.join(root, "node.log")
        self.sessions_json = os.path.join(root, "sessions.json")
        self.sessions_journal = os.path.join(root, "sessions.journal.jsonl")
        self.sessions = os.path.join(root, "sessions")
        self.requests = os.path.join(root, "requests.jsonl")
        self.untyped = os.path.join(root, "untyped.jsonl")
        self.notify = os.path.join(root, "notify.json")
        self.left = os.path.join(root, "left.json")
        self.kv = os.path.join(root, "kv.jsonl")
        self.groups = os.path.join(root, "groups.jsonl")
        self.used_tokens = os.path.join(root, "used_tokens.jsonl")
        self.relay_keys = os.path.join(root, "relay_keys.json")

    def session(self, session_id: int) -> str:
        """Return the directory of one session's files."""
        return os.path.join(self.sessions, str(session_id))

    def read_node_id(self) -> str:
        """Return the id of the node that has this directory, "" where that is not known."""
        from codewire.files import read_regular

        try:
            return read_regular(self.node_id, NODE_ID_BYTES).decode().partition("\n")[0]
        except (OSError, ValueError):
            return ""

    def real_socket(self) -> str:
        """Return the path to dial; where it is too long, a node leaves a symlink to a short one."""
        if len(os.fsencode(self.socket)) <= MAX_SOCKET_PATH:
            return self.socket
        try:
            return os.readlink(self.socket)
        except OSError:
            return self.socket


def data_dir() -> DataDir:
    """Return the data directory of this user; it need not exist yet.

    CODEWIRE_DIR wins, then HOME, then the password database (an ssh command may run without HOME).
    """
    root = os.environ.get("CODEWIRE_DIR", "")
    if not root:
        root = os.path.join(home(), ".codewire")
    return DataDir(os.path.abspath(root))


def has_runtimes() -> bool:
    """Say whether this user ever had a local runtime: nothing else is imported without one."""
    return os.path.exists(data_dir().local_instances)


def node_environment() -> dict[str, str]:
    """Return the environment of a node to be started: CODEWIRE_DIR counts from here, not from /."""
    if not os.environ.get("CODEWIRE_DIR"):
        return dict(os.environ)
    return {**os.environ, "CODEWIRE_DIR": data_dir().root}


def has_relay() -> bool:
    """Say whether a relay may be configured, without reading how (network/configuration.py)."""
    if any(name in os.environ for name in ("CODEWIRE_RELAY_URL", "CODEWIRE_SERVER_URL")):
        return True
    from codewire.files import read_regular

    try:
        if b"relay" in read_regular(data_dir().config, MAX_CONFIG_BYTES):
            return True
    except OSError:
        pass
    directory = os.environ.get("CW_CONFIG_DIR") or os.path.join(home(), ".config", "cw")
    return os.path.exists(os.path.join(directory, "config.json"))


def home() -> str:
    """Return the user's home directory, also where HOME is unset, empty or relative."""
    path = os.environ.get("HOME", "")
    if os.path.isabs(path):
        return path
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir or "/"
    except KeyError:
        return "/"


def check_owner(path: str) -> None:
    """Refuse to make a file as root where the directory is another user's (`sudo` keeps HOME).

    It would be root's, and its owner would be locked out from then on. Raises CodewireError.
    """
    if os.geteuid() != 0:
        return
    directory = path
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    owner = os.stat(directory).st_uid
    if owner == 0:
        return
    raise CodewireError(
        f"{directory} belongs to {_user_name(owner)}, and what root makes there would be closed to "
        "them: use 'sudo -H cw' for a node of root's own, cw without sudo for theirs, or name "
        "another directory in CODEWIRE_DIR"
    )


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def check_data_dir() -> None:
    """The same for the data directory; one that CODEWIRE_DIR names is meant."""
    if not os.environ.get("CODEWIRE_DIR"):
        check_owner(data_dir().root)


def program() -> list[str]:
    """Return the argv prefix that runs this very copy of cw: interpreter, then cw.py or cw.pyz."""
    package = os.path.dirname(os.path.abspath(__file__))
    container = os.path.dirname(package)
    entry = os.path.join(container, "cw.py") if os.path.isdir(container) else container
    return [sys.executable or "python3", entry]


def self_command() -> list[str]:
    """Return the argv prefix for starting cw as a user would; the node adds `node`."""
    return program()


def keeper_command(foreground: bool = True) -> list[str]:
    """Return the argv of a keeper; `foreground` logs to stderr, else to the node's log file."""
    return [*program(), "keeper", "--foreground" if foreground else "--detached"]


def bridge_command() -> list[str]:
    """Return the argv of the fleet's bridge; name, instance and URL are appended by the worker."""
    return [*program(), "fleet-bridge"]


def notifier_command() -> list[str]:
    """Return the argv of the notifier; name and moment are appended by the worker."""
    return [*program(), "notifier"]


def warden_command() -> list[str]:
    """Return the argv of the warden of SSH's shells; its end of the link is appended."""
    return [*program(), "shell-warden"]


def gateway_command() -> list[str]:
    """Return the argv of a relay's SSH gateway; its end of the link is appended."""
    return [*program(), "ssh-gateway"]


def worker_command() -> list[str]:
    """Return the argv of a worker; its end of the keeper's link is appended by the keeper."""
    return [*program(), "worker"]
