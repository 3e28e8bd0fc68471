"""A node that lets clients in but does not answer: they say so instead of waiting for ever."""

from __future__ import annotations

import os
import signal

import pytest

from codewire.client.reach import connection
from codewire.errors import NodeSilent
from tests.support import Home, wait_until


def test_a_stopped_worker_is_reported_and_can_be_replaced(
    node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 0.5)
    stuck = node.worker_pid
    client = node.client()
    os.kill(stuck, signal.SIGSTOP)
    with pytest.raises(NodeSilent, match="does not answer .*node restart"):
        client.list_sessions()
    # The restart does not depend on the worker it replaces.
    assert node.cw("node", "restart").returncode == 0
    wait_until(lambda: not os.path.exists(f"/proc/{stuck}"), 20, "the stuck worker is gone")
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 20.0)
    assert client.list_sessions() == []
