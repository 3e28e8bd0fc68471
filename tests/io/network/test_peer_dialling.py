"""The way to a peer ends in time, whatever of it gives no answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.errors import ConfigError, OutOfTime, RelayUnreachable
from codewire.io.deadline import Deadline
from codewire.network.configuration import Configuration, load_configuration
from codewire.network.peers import dial_peer


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Configuration]:
    """A relay that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = tmp_path / "config.toml"
        config.write_text(
            f'relay_url = "http://127.0.0.1:{listener.getsockname()[1]}"\n'
            'relay_node_token = "x"\nrelay_node_network = "proj"\n'
        )
        yield load_configuration(str(config), environ={"HOME": str(tmp_path)})


def test_a_relay_that_says_nothing(relay: Configuration) -> None:
    began = time.monotonic()
    with pytest.raises((RelayUnreachable, OutOfTime)):
        dial_peer(relay, "dev-2", Deadline.after(0.3), as_node=True)
    assert time.monotonic() - began < 10
    with pytest.raises(OutOfTime):
        dial_peer(relay, "dev-2", Deadline.after(0), as_node=True)


def test_who_is_nobody_there_does_not_dial(relay: Configuration) -> None:
    with pytest.raises(ConfigError, match="user authentication not configured"):
        dial_peer(relay, "dev-2")
