"""The SSH gateway's process: asyncssh on asyncio, with the listener and the host key it is given.

It has no store, no settings and no secret but that key. It ends with its link, when stdin says so
or ends, and when its loop does; what it prints is for the relay's log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

from codewire.errors import CodewireError
from codewire.io.fds import raise_file_limit
from codewire.io.lines import Line, take_line
from codewire.relay.ssh.asking import Relay
from codewire.wire.control import decode_control

# For goodbyes to get out.
GOODBYE_SECONDS = 0.3
STDIN = 0


def main(argv: list[str]) -> int:
    """Run it; `argv` is the descriptor of its end of the link."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
    raise_file_limit()
    link = socket.socket(fileno=int(argv[0]))
    os.set_inheritable(link.fileno(), False)
    begun = _begin(link)
    if begun is None:
        return 1
    listener, host_key = begun
    try:
        asyncio.run(_serve(listener, host_key, link))
    except OSError as error:
        print(f"listening: {error.strerror}", flush=True)
        return 1
    return 0


def _begin(link: socket.socket) -> tuple[socket.socket, str] | None:
    """Return what the relay gives a new process; None when it is gone."""
    taken = take_line(link)
    if taken is None or len(taken[1]) != 1:
        return None
    line, listener = Line(taken[0]), socket.socket(fileno=taken[1][0])
    try:
        frame = line.receive()
        message = decode_control(frame[1]) if frame is not None else {}
    except CodewireError:
        return None
    finally:
        line.close()
    listener.setblocking(False)
    return listener, str(message.get("host_key"))


async def _serve(listener: socket.socket, host_key: str, link: socket.socket) -> None:
    from codewire.relay.ssh.doors import Doors

    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(STDIN, over.set)
    # Nothing more is ever said on it.
    loop.add_reader(link.fileno(), over.set)
    doors = Doors(listener, host_key, Relay(link))
    accepting = loop.create_task(doors.run())
    ending = loop.create_task(over.wait())
    await asyncio.wait((accepting, ending), return_when=asyncio.FIRST_COMPLETED)
    doors.close()
    await asyncio.sleep(GOODBYE_SECONDS)
    if accepting.done():
        accepting.result()
    # Whatever is still open ends with the process.
    sys.stdout.flush()
    os._exit(0)
