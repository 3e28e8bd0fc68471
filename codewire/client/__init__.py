"""The client side of a node: typed calls and the attach loop. Also the public Python API.

    from codewire.client import Client

    client = Client()
    session = client.launch(["make", "all"])
    for chunk in client.logs(session, follow=True):
        print(chunk.text, end="")

Plain blocking standard library code: no gevent, no threads. Knows requests, not sessions' insides.
"""

from codewire.client.api import Client
from codewire.client.readers import LogChunk, WatchChunk

__all__ = ["Client", "LogChunk", "WatchChunk"]
