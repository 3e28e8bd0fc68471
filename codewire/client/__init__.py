"""The client side of a node: typed calls and the attach loop. Also the public Python API.

    from codewire.client import Client

    client = Client()
    session = client.launch(["make", "all"])
    for chunk in client.logs(session, follow=True):
        print(chunk.text, end="")

Plain blocking standard library code: no gevent, no threads. Knows requests, not sessions' insides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client.api import Client

if TYPE_CHECKING:
    from codewire.client.readers import LogChunk, WatchChunk

__all__ = ["Client", "LogChunk", "WatchChunk"]


def __getattr__(name: str) -> type:
    """Load the streams' types on first use: most commands read no stream."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from codewire.client import readers

    return {"LogChunk": readers.LogChunk, "WatchChunk": readers.WatchChunk}[name]
