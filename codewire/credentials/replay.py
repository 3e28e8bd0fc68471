"""Which single-use tokens a node has seen (spec/network-auth.md 3, Replay cache).

Kept until a token could not be used any more anyway, and in a journal of the caller's, so that a
restart forgets none. A relay consumes in its store.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Any

from codewire.credentials.claims import SKEW_SECONDS, RuntimeClaims, SenderClaims
from codewire.errors import CredentialError

SKEW_NS = SKEW_SECONDS * 1_000_000_000
# Tokens live for minutes; who gets that many signed in that time wants our memory.
MAX_REMEMBERED = 100_000

Key = tuple[str, str, str]
Line = dict[str, Any]


class Replay:
    """The tokens that were used. Any thread may call."""

    def __init__(self, remember: Callable[[Line], bool] | None = None) -> None:
        """`remember` appends a line to a journal and says whether it is there."""
        self._lock = threading.Lock()
        self._remember = remember
        self._seen: set[Key] = set()
        self._ends: list[tuple[int, Key]] = []

    def consume(self, kind: str, network_id: str, jti: str, expires_at: int, now: int) -> bool:
        """Use a token up: True the first time. False also where it could not be remembered.

        Blocks for the journal, and nobody else: who comes with the same meanwhile is late already.
        """
        key = (kind, network_id, jti)
        with self._lock:
            self._sweep(now)
            if key in self._seen or len(self._seen) >= MAX_REMEMBERED:
                return False
            self._note(key, expires_at)
        line = {"kind": kind, "network_id": network_id, "jti": jti, "expires_at": expires_at}
        if self._remember is None or self._remember(line):
            return True
        # It was of no use, so it may come again.
        with self._lock:
            self._seen.discard(key)
        return False

    def knows(self, kind: str, network_id: str, jti: str) -> bool:
        """Say whether a token was used."""
        return (kind, network_id, jti) in self._seen

    def __len__(self) -> int:
        return len(self._seen)

    def restore(self, line: Line) -> None:
        """Take in one line of the journal. Raises ValueError, TypeError or KeyError."""
        key = tuple(line[name] for name in ("kind", "network_id", "jti"))
        expires_at = line["expires_at"]
        if not all(isinstance(part, str) for part in key) or type(expires_at) is not int:
            raise ValueError("no consumed token")
        with self._lock:
            self._note((str(key[0]), str(key[1]), str(key[2])), expires_at)

    def lines(self, now: int) -> list[Line]:
        """Return what a journal that is written anew has to hold."""
        with self._lock:
            self._sweep(now)
            # One that came again stands there twice.
            ends = {key: end for end, key in self._ends if key in self._seen}
        return [
            {"kind": kind, "network_id": network_id, "jti": jti, "expires_at": end - SKEW_NS}
            for (kind, network_id, jti), end in ends.items()
        ]

    def _note(self, key: Key, expires_at: int) -> None:
        if key not in self._seen:
            self._seen.add(key)
            heapq.heappush(self._ends, (expires_at + SKEW_NS, key))

    def _sweep(self, now: int) -> None:
        while self._ends and self._ends[0][0] < now:
            self._seen.discard(heapq.heappop(self._ends)[1])


def require_unused(replay: Replay, claims: RuntimeClaims | SenderClaims, now: int) -> None:
    """Use a verified token up. Raises CredentialError when it was used before or has no id."""
    if not (claims.network_id and claims.jti):
        raise CredentialError("credential replay key is incomplete")
    if not replay.consume(claims.kind, claims.network_id, claims.jti, claims.expires_at, now):
        raise CredentialError(f"{claims.kind} credential replay detected")
