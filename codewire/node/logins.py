"""Who may come in over TCP: the token check, and a count of those who keep failing it."""

from __future__ import annotations

import hmac
import threading
import time
from collections import deque

from codewire.node.token import read_token

# In any case (RFC 9110 11.1).
SCHEME = "bearer "

# After so many wrong tokens in a minute an address is told to slow down; a good one still gets in,
# since it may share its address with the bad ones (a proxy's, a NAT's).
MAX_FAILURES = 10
WINDOW_SECONDS = 60.0
# The oldest is forgotten first: memory is bounded whoever knocks.
MAX_ADDRESSES = 1024


class Logins:
    """Checks tokens against the node's token file. `address` is an IP address as text."""

    def __init__(self, token_path: str) -> None:
        self._token_path = token_path
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def accepts(self, authorization: str) -> bool:
        """Say whether an Authorization field carries the token; the file is read anew.

        Without a token file nobody gets in. Takes the same time for every wrong token.
        """
        wanted = read_token(self._token_path).encode()
        if not wanted or not authorization.lower().startswith(SCHEME):
            return False
        given = authorization[len(SCHEME) :].strip().encode("latin-1", "replace")
        return hmac.compare_digest(given, wanted)

    def note_failure(self, address: str) -> int:
        """Count a wrong token and return how many came from there within the last minute."""
        now = time.monotonic()
        with self._lock:
            times = self._failures.pop(address, None) or deque(maxlen=MAX_FAILURES + 1)
            while times and now - times[0] > WINDOW_SECONDS:
                times.popleft()
            times.append(now)
            self._failures[address] = times
            if len(self._failures) > MAX_ADDRESSES:
                del self._failures[next(iter(self._failures))]
            return len(times)
