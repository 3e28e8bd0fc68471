"""The bridge as a process: started by the worker, told to stop by its stdin, heard by its stdout.

It says how things are, one JSON object a line, and ends when its stdin does, whatever hangs.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any

from codewire.errors import CodewireError
from codewire.fleet import subjects
from codewire.fleet.answering import Answerer
from codewire.fleet.bridge import GOODBYE_SECONDS, Bridge
from codewire.fleet.settings import load_allow, load_nats
from codewire.paths import data_dir


def say(value: dict[str, Any]) -> None:
    """Tell the worker one thing. A worker that has gone ends us by our stdin."""
    try:
        os.write(1, json.dumps(value).encode() + b"\n")
    except OSError:
        pass


async def serve(bridge: Bridge) -> None:
    """Run a bridge until stdin says `stop`; the process ends where stdin does."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_watch, args=(loop, stopping), daemon=True).start()
    await bridge.run(stopping)
    # Neither threads that wait for a node which hangs nor tasks of the library keep us.
    os._exit(0)


def _watch(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """End the process with its stdin; at the word `stop`, only after it may have said goodbye."""
    if os.read(0, 16):
        loop.call_soon_threadsafe(stopping.set)
        time.sleep(GOODBYE_SECONDS + 0.5)
    os._exit(0)


def main(argv: list[str]) -> int:
    """Be the bridge of this user's node; `argv` is its name, instance and external URL."""
    if len(argv) != 3:
        sys.stderr.write("Error: 'cw fleet-bridge' is started by the node; run 'cw node' instead\n")
        return 1
    paths = data_dir()
    about = dict(zip(("name", "instance", "external_url"), argv, strict=True))
    try:
        nats = load_nats(paths.config, paths.root)
        allow = load_allow(paths.config)
        problem = subjects.name_problem(str(about["name"]))
    except CodewireError as error:
        say({"state": "refused", "error": str(error)})
        return 1
    if nats is None or problem:
        say({"state": "refused", "error": problem or "NATS is not configured any more"})
        return 1
    asyncio.run(serve(Bridge(nats, Answerer(paths, str(about["name"])), about, allow, say)))
    return 0
