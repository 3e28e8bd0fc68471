"""A terminal attached to a scripted node, and what that node does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.io.scripted_node import NodeEnd, ScriptedNode
from tests.support import REPOSITORY
from tests.terminal import Terminal

CHILD = """
import sys
from codewire.client import Client
from codewire.client.attaching import attach, attachment
from codewire.errors import CodewireError
{prelude}
try:
    sys.exit(attach.run(Client(autostart=False), 1))
except CodewireError as error:
    print("Error:", error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

# What paints the bar and leaves the cursor where it is: it may come between any two outputs.
BAR = re.compile(rb"\x1b7\x1b\[\d+;1H\x1b\[7m.*?\x1b\[0m\x1b8")


class Screen(Terminal):
    """A terminal attached to session 1 of a scripted node; `prelude` runs in the client first."""

    def __init__(self, node: ScriptedNode, rows: int, cols: int, prelude: str, **env: str) -> None:
        super().__init__(rows, cols)
        self.node = node
        drop = ("CW_", "CODEWIRE_")
        outer = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
        node_env = {"CODEWIRE_DIR": node.data_dir.root, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(prelude=prelude)],
            start_new_session=True,
            env={**outer, **node_env, **env},
            **self.streams,
        )

    def output(self) -> bytes:
        """Return all that was seen of the session, without the bar."""
        return BAR.sub(b"", self.seen)


def attached(end: NodeEnd, offset: int | None = 0) -> dict[str, Any]:
    """Accept an attachment; returns the request."""
    request = end.receive_control()
    end.send_control({"type": "Attached", "id": 1, "offset": offset})
    return request


def serve(end: NodeEnd) -> None:
    """A whole attachment: a greeting, input echoed in brackets, Detach confirmed."""
    attached(end)
    end.send_data(b"hello\r\n")
    while (frame := end.receive()) is not None:
        if frame[0] == 1:
            end.send_data(b"<" + frame[1] + b">")
        elif json.loads(frame[1])["type"] == "Detach":
            end.send_control({"type": "Detached", "id": 1})
            return


def controls(end: NodeEnd) -> Iterator[dict[str, Any]]:
    """Yield the control frames that come."""
    while (frame := end.receive()) is not None:
        if frame[0] == 0:
            yield json.loads(frame[1])
