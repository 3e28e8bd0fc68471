"""One tool call in progress: it can be cancelled, run out of time, and report progress.

Every call has connections of its own, so ending a call is shutting them down.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from codewire.client.api import Client
from codewire.client.reach.connection import Redial
from codewire.errors import CodewireError, ConnectionLost, NodeUnreachable, OutOfTime
from codewire.mcp.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.client.reach.route import Route
    from codewire.io.deadline import Deadline
    from codewire.io.streams import FrameStream

Item = TypeVar("Item")


class CallEnded(CodewireError):
    """The call was cancelled, or the server ends."""


class Call:
    """The life of one tools/call request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: FrameStream | None = None
        self._over = threading.Event()
        self.is_cancelled = False

    @property
    def is_over(self) -> bool:
        """Say whether the call may not wait any more."""
        return self._over.is_set()

    def wait_over(self, seconds: float) -> bool:
        """Block until the call is over, at most `seconds`; say whether it is."""
        return self._over.wait(seconds)

    def hold(self, stream: FrameStream) -> FrameStream:
        """Note the connection the call waits on. Raises CallEnded when the call is over."""
        with self._lock:
            self._stream = stream
            if self.is_over:
                stream.close()
                raise CallEnded("the call has ended")
        return stream

    def cancel(self) -> None:
        """End the call because the agent no longer wants it."""
        self.is_cancelled = True
        self.end()

    def end(self) -> None:
        """Stop waiting: whoever reads from the node gets CallEnded."""
        with self._lock:
            self._over.set()
            if self._stream is not None:
                self._stream.shutdown()


class CallRedial(Redial):
    """Reaches a replaced worker again, unless the call is over."""

    def __init__(self, route: Route, call: Call, deadline: Deadline) -> None:
        super().__init__(route, None, deadline)
        self._call = call

    def try_open(self) -> FrameStream | None:
        if self._call.is_over:
            raise CallEnded("the call has ended")
        stream = super().try_open()
        return None if stream is None else self._call.hold(stream)


class CallClient(Client):
    """A Client whose connections belong to one call."""

    def __init__(self, route: Route, notify: Callable[[str], None]) -> None:
        # What there was to say meanwhile, for results that repeat it.
        self.notices: list[str] = []

        def note(text: str) -> None:
            self.notices.append(text)
            notify(text)

        super().__init__(route=route, notify=note)
        # What screens showed at earlier offsets; the server gives all calls the same one.
        self.memory = Memory()
        self.call_in_progress = Call()

    def connect(self) -> FrameStream:
        return self.call_in_progress.hold(super().connect())

    def _hold(self, stream: FrameStream) -> FrameStream:
        return self.call_in_progress.hold(stream)

    def redial(self) -> Redial:
        return CallRedial(self.route, self.call_in_progress, self.deadline)


def until_out_of_time(
    stream: Iterator[Item], lost: Callable[[str], object] | None = None
) -> Iterator[Item]:
    """Yield from a stream of a client with a deadline; its end is no error then.

    With `lost` a stream that breaks off is none either, once something has come: that is told why.
    """
    has_any = False
    try:
        for item in stream:
            has_any = True
            yield item
    except OutOfTime:
        return
    except (ConnectionLost, NodeUnreachable) as error:
        if lost is None or not has_any:
            raise
        lost(str(error))
