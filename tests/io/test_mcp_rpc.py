"""MCP messages over descriptors that somebody else has made non-blocking."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from codewire.mcp.rpc import LineReader, Writer


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection whose buffer is small; the first one never waits."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.setblocking(False)
    theirs.settimeout(20)
    with ours, theirs:
        yield ours, theirs


def test_results_are_whole_when_the_reader_is_slow(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    writer = Writer(ours.fileno())
    texts = {number: str(number) * 100_000 for number in range(6)}
    threads = [
        threading.Thread(target=writer.result, args=(number, {"text": text}), daemon=True)
        for number, text in texts.items()
    ]
    for thread in threads:
        thread.start()
    received = b""
    while received.count(b"\n") < len(texts):
        data = theirs.recv(1 << 16)
        assert data
        received += data
    for thread in threads:
        thread.join(20)
    messages = [json.loads(line) for line in received.splitlines()]
    assert {message["id"]: message["result"]["text"] for message in messages} == texts


def test_a_reader_that_has_gone_ends_the_writing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    writer = Writer(ours.fileno())
    thread = threading.Thread(target=writer.result, args=(1, {"text": "x" * 1_000_000}))
    thread.start()
    assert theirs.recv(1)
    theirs.close()
    thread.join(20)
    assert not thread.is_alive()


def test_lines_are_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = LineReader(ours.fileno())
    lines: list[bytes | None] = []
    thread = threading.Thread(target=lambda: lines.extend((reader.next_line(), reader.next_line())))
    thread.start()
    theirs.sendall(b"{}")
    time.sleep(0)
    theirs.sendall(b"\n")
    theirs.shutdown(socket.SHUT_WR)
    thread.join(20)
    assert lines == [b"{}", b""]
