"""Lines to a process beside ours: a socketpair for each conversation.

The link between the two carries nothing but ends of them (SCM_RIGHTS, unix(7)), a byte each. So
the kernel keeps what is on its way bounded, a line that stalls holds up no other, and whoever dies
ends all of theirs.
"""

from __future__ import annotations

import os
import socket

from codewire.errors import ConnectionLost
from codewire.io.streams import FrameStream
from codewire.io.unix import receive_message, send_with_fds

ONE = b"\0"


class Line(FrameStream):
    """One end of a line, in frames. Ends as a WebSocket does, without saying why."""

    def shutdown(self, code: int = 0, reason: str = "") -> None:
        """End the line from any thread; what was sent can still be read. Idempotent."""
        super().shutdown()

    def abort(self) -> None:
        """The same: nobody is said goodbye to."""
        super().shutdown()


def open_line(link: socket.socket, *fds: int) -> socket.socket:
    """Return our end of a new line whose other end is on its way, with `fds` behind it.

    Raises OSError; ConnectionLost when the process is gone.
    """
    near, far = socket.socketpair()
    try:
        send_with_fds(link, ONE, [far.fileno(), *fds])
    except OSError as error:
        near.close()
        raise ConnectionLost(f"connection lost: {error.strerror or error}") from error
    except BaseException:
        near.close()
        raise
    finally:
        far.close()
    return near


def take_line(link: socket.socket) -> tuple[socket.socket, list[int]] | None:
    """Return the next line that the other side opened, and what came with it; None at the end.

    Blocks. What is short of descriptors loses the line, whose other end finds it closed.
    """
    while True:
        try:
            data, fds, is_cut = receive_message(link, len(ONE))
        except OSError:
            return None
        if not data:
            return None
        if fds and not is_cut:
            return socket.socket(fileno=fds[0]), fds[1:]
        for fd in fds:
            os.close(fd)
