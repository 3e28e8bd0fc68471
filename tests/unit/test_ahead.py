"""What is read ahead of a client whose input waits: little, and no more than that."""

from __future__ import annotations

from collections import deque
from typing import cast

from codewire.io.streams import FrameStream
from codewire.node.handlers.ahead import MAX_BYTES, MAX_FRAMES, MAX_READS, Ahead
from codewire.wire.frames import CONTROL, DATA


class Script:
    """A stream that has so many frames ready, and so many reads that complete none."""

    def __init__(self, frames: list[tuple[int, bytes]], reads: int = 0) -> None:
        self.frames = deque(frames)
        self.reads = reads
        self.fills = 0

    def next_frame(self) -> tuple[int, bytes] | None:
        return self.frames.popleft() if self.frames else None

    def may_receive(self) -> bool:
        return self.fills < self.reads

    def fill(self) -> bool:
        self.fills += 1
        return True


def receive(ahead: Ahead, script: Script) -> list[tuple[int, bytes]]:
    found = []
    for kind, payload in ahead.receive(cast(FrameStream, script)):
        found.append((kind, payload))
        if kind == DATA:
            ahead.add(payload)
    return found


def test_frames_are_kept_in_order() -> None:
    ahead = Ahead()
    ahead.add(b"first")
    frames = [(DATA, b"second"), (CONTROL, b"{}"), (DATA, b"third")]
    assert receive(ahead, Script(frames)) == frames
    assert [ahead.take() for _ in range(4)] == [b"first", b"second", b"third", None]


def test_a_full_one_reads_no_more() -> None:
    script = Script([(DATA, b"x" * 1000)] * 1000)
    ahead = Ahead()
    while receive(ahead, script):
        pass
    assert MAX_BYTES / 1064 - 1 < 1000 - len(script.frames) < MAX_BYTES / 1064 + 2
    ahead.drop()
    assert ahead.take() is None
    assert receive(ahead, script)


def test_empty_frames_count_too() -> None:
    script = Script([(DATA, b"")] * 100_000)
    ahead = Ahead()
    while receive(ahead, script):
        pass
    assert len(script.frames) > 90_000


def test_one_call_ends_whatever_is_sent() -> None:
    assert len(receive(Ahead(), Script([(CONTROL, b"{}")] * 10_000))) == MAX_FRAMES


def test_a_large_frame_is_left_on_its_way() -> None:
    script = Script([], reads=1000)
    ahead = Ahead()
    for _ in range(100):
        assert receive(ahead, script) == []
    assert script.fills == MAX_READS
