"""Releases on a local HTTP server that may lie, and GPG keys of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from codewire import __version__
from tests.support import REPOSITORY


def build_pyz(output: Path) -> Path:
    """Build cw.pyz at a path and return that."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "build-pyz"), str(output)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return output


class Server:
    """Serves `files` by path; a path in `cut` loses the second half of its bytes on the way."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = outer.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                kept = len(data or b"") // 2 if self.path in outer.cut else None
                self.wfile.write((data or b"")[:kept])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/releases"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def publish(self, made: Path) -> None:
        for place in ("latest/download", f"download/v{__version__}"):
            for path in made.iterdir():
                self.files[f"/releases/{place}/{path.name}"] = path.read_bytes()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Keys:
    """GPG keys of the test's own, in a directory of their own."""

    def __init__(self, *names: str) -> None:
        # Short: the agent has a socket there.
        self.env = {**os.environ, "GNUPGHOME": tempfile.mkdtemp(prefix="cwg-", dir="/tmp")}
        for name in names:
            self.make(name)

    def make(self, name: str) -> None:
        self.gpg(
            "--passphrase", "", "--quick-gen-key", f"{name}@example.org", "ed25519", "sign", "0"
        )

    def gpg(self, *args: str) -> bytes:
        done = subprocess.run(
            ["gpg", "--batch", *args], env=self.env, capture_output=True, timeout=60, check=True
        )
        return done.stdout

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self.env, check=True, timeout=60)
        shutil.rmtree(self.env["GNUPGHOME"], ignore_errors=True)
