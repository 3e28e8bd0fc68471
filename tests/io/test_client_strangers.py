"""A program that is no node, but has the node's socket: who asks it learns whom he has asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codewire.client import Client
from codewire.client.reach import connection
from codewire.errors import CodewireError
from tests.kernel import needs_peers


@needs_peers
@pytest.mark.parametrize(("says", "words"), [(b"HTTP/1.1 400\r\n", "too large"), (b"", "answer")])
def test_a_stranger_at_the_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bytes, words: str
) -> None:
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 0.2)
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    path = str(tmp_path / "codewire.sock")
    code = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
        "s.listen(); print(flush=True); c, _ = s.accept();"
        f"c.sendall({says!r}); time.sleep(60)"
    )
    argv = [sys.executable, "-c", code, path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as stranger:
        try:
            assert stranger.stdout is not None and stranger.stdout.readline()
            with pytest.raises(CodewireError, match=f"{words}.*pid {stranger.pid} .python"):
                Client(autostart=False).list_sessions()
        finally:
            stranger.kill()
