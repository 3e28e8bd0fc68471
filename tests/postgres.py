"""A PostgreSQL server of our own: a private cluster on a Unix socket, ended by its pid.

PostgreSQL refuses to run as root, so root runs it as the user its package made.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import quote

USER = "postgres"
DATABASE = "postgres"
READY = "database system is ready to accept connections"
END_SECONDS = 20


def programs() -> Path:
    """Return the directory of initdb and postgres, the newest of those installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    assert found or on_path, "PostgreSQL is not installed: apt-get install postgresql"
    return found[-1].parent if found else Path(str(on_path)).parent


class Cluster:
    """One server. `stop` and `start` may follow each other; `close` removes everything."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="cwpg-", dir="/tmp"))
        self.user = USER if os.getuid() == 0 else None
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.root, entry.pw_uid, entry.pw_gid)
        self._server: subprocess.Popen[str] | None = None
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8",
                  f"--username={USER}", f"--pgdata={self.root}/data")  # fmt: skip
        self.start()

    def _run(self, program: str, *args: str) -> None:
        subprocess.run(
            [programs() / program, *args], user=self.user, cwd="/", check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        # Without TCP: no port is taken, and none can be taken from it.
        self._server = subprocess.Popen(
            [programs() / "postgres", "-D", f"{self.root}/data", "-k", str(self.root),
             "-c", "listen_addresses=", "-c", "fsync=off", "-c", "deadlock_timeout=100ms",
             "-c", "max_connections=200"],
            user=self.user, cwd="/", text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", "LC_MESSAGES": "C"},
        )  # fmt: skip
        assert self._server.stderr is not None
        said = _read_until(self._server.stderr, READY)
        assert READY in said, said
        # Its log goes nowhere from here on; a full pipe would stop the server.
        self._server.stderr.close()

    def stop(self) -> None:
        """End the server at once, as a power cut does not: connections are told."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(END_SECONDS)
            self._server = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.root)

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql:///{database}?host={quote(str(self.root))}&user={USER}"

    def create_database(self) -> str:
        """Make an empty database and return its URL."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)


def _read_until(stream: IO[str], text: str) -> str:
    said = ""
    for line in stream:
        said += line
        if text in line:
            break
    return said
