"""JSON-RPC 2.0 over a pair of descriptors, one object a line: reading, answering, never dying.

Knows the transport, not the tools. Lines are read by one thread; requests may be answered by any.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from typing import Any

from codewire.io.transient import PAUSE_SECONDS, is_transient
from codewire.io.wait import wait_readable, wait_writable

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Of a resource (Model Context Protocol, "Resources").
NOT_FOUND = -32002

# Twice the largest input the node takes in one message.
MAX_LINE = 32 << 20

Message = dict[str, Any]


class LineReader:
    """Lines from a descriptor; one past MAX_LINE is skipped and reported as None."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._ended = False

    def next_line(self) -> bytes | None:
        """Return the next line without its newline, b"" at the end, None for one too long.

        Blank lines are skipped. Blocks.
        """
        too_long = False
        while True:
            at = self._buffer.find(b"\n")
            if at < 0 and len(self._buffer) > MAX_LINE:
                too_long = True
                self._buffer.clear()
            if at >= 0:
                line = bytes(self._buffer[:at]).strip()
                del self._buffer[: at + 1]
                if too_long:
                    return None
                if line:
                    return line
            elif self._ended:
                line = bytes(self._buffer).strip()
                self._buffer.clear()
                return None if too_long else line
            else:
                self._fill()

    def _fill(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
                break
            except BlockingIOError:
                # Whoever gave us the descriptor shares it, and has made it non-blocking.
                wait_readable(self._fd)
        self._ended = not data
        self._buffer += data


class Writer:
    """Messages to a descriptor, whole lines, from any thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write one message; a reader that has gone is ignored (the end of input comes next)."""
        text = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
        data = memoryview(text.encode("utf-8", "replace") + b"\n")
        with self._lock:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except BlockingIOError:
                    # To give up here would cut the message and glue the next one to its stump.
                    wait_writable(self._fd)
                except OSError as error:
                    if not is_transient(error):
                        return
                    time.sleep(PAUSE_SECONDS)

    def result(self, request_id: Any, result: Message) -> None:
        """Answer a request."""
        self.send({"id": request_id, "result": result})

    def error(self, request_id: Any, code: int, message: str) -> None:
        """Refuse a request; `request_id` None where it could not be read."""
        self.send({"id": request_id, "error": {"code": code, "message": message}})


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    """Return a number that can be written again: Python reads 1e400 as infinity."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return number


def parse_line(line: bytes) -> Any:
    """Return the JSON value of a line. Raises ValueError."""
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
