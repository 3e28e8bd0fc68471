"""What tests of the peer RPC start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.peers.host import Host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in [name for name in os.environ if name.startswith(("CODEWIRE_", "CW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    host = Host(tmp_path)
    yield host
    host.close()
