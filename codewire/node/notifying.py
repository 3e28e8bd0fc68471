"""The node's notifier: a process beside the worker."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from codewire.io.island import Island
from codewire.paths import notifier_command

if TYPE_CHECKING:
    from codewire.node.context import Node

log = logging.getLogger(__name__)

MAX_WORDS = 300


class Notifier:
    """Keeps the process running, and does what it says."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # What happens before it is there is told as well.
        argv = [*notifier_command(), node.settings.node_name, str(node.started_ns)]
        self._island = Island("the notifier", argv, self._hear)

    def run(self) -> None:
        """Keep it running. Blocks."""
        self._island.run()

    def _hear(self, line: bytes) -> None:
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        if isinstance(said.get("log"), str):
            log.warning("notify: %s", said["log"][:MAX_WORDS])
        notice = said.get("notice")
        if isinstance(notice, dict):
            texts = {key: str(notice.get(key) or "")[:MAX_WORDS] for key in ("title", "body")}
            self._node.notices.tell({**texts, "form": str(notice.get("form") or "")})
