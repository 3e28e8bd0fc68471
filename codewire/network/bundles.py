"""The verifier bundles of networks, kept for as long as they hold (spec/network-auth.md 2).

While a relay cannot be reached, what it said last is good to its end and no longer. A token whose
key is unknown may be signed by a new one: the relay is asked again, once a minute at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from codewire.credentials.bundle import Bundle
from codewire.credentials.envelope import UnknownKey
from codewire.errors import RelayUnreachable
from codewire.io.clock import Clock

T = TypeVar("T")

REFETCH_NS = 60_000_000_000
# A node belongs to one network, a relay's guest to a few.
MAX_NETWORKS = 64


class _Kept:
    __slots__ = ("asked_ns", "bundle")

    def __init__(self, bundle: Bundle, asked_ns: int) -> None:
        self.bundle = bundle
        self.asked_ns = asked_ns


class Bundles:
    """Any thread may call; `fetch` is called without a lock, maybe by two at a time."""

    def __init__(self, fetch: Callable[[str], Bundle], clock: Clock) -> None:
        """`fetch` asks a relay for a network's bundle (Relay.bundle)."""
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def verify(self, check: Callable[[str, Bundle, int], T], token: str, network_id: str) -> T:
        """Return what `check` (envelope.verify_runtime, say) makes of a token of this network.

        Blocks while a bundle is fetched. Raises CredentialError, and RelayError without a bundle.
        """
        now = self._clock.wall_ns()
        try:
            return check(token, self.get(network_id), now)
        except UnknownKey as error:
            if not self._may_ask_again(network_id):
                raise
            unknown = error
        try:
            bundle = self._ask(network_id)
        except RelayUnreachable:
            raise unknown from None
        return check(token, bundle, now)

    def get(self, network_id: str) -> Bundle:
        """Return a bundle that holds now. Blocks while it is fetched. Raises RelayError."""
        now = self._clock.wall_ns()
        with self._lock:
            kept = self._kept.get(network_id)
        if kept is not None and kept.bundle.is_fresh(now):
            return kept.bundle
        try:
            return self._ask(network_id)
        except RelayUnreachable:
            if kept is None or now > kept.bundle.expires_at:
                raise
            return kept.bundle

    def keep(self, bundle: Bundle) -> None:
        """Use a bundle that was fetched earlier, for as long as it holds."""
        with self._lock:
            self._put(bundle.network_id, bundle, self._clock.steady_ns() - REFETCH_NS)

    def renew(self, network_id: str, left_ns: int) -> None:
        """Fetch a bundle unless there is one that holds for so long. Blocks. Raises RelayError."""
        with self._lock:
            kept = self._kept.get(network_id)
        if kept is None or kept.bundle.expires_at - self._clock.wall_ns() < left_ns:
            self._ask(network_id)

    def _may_ask_again(self, network_id: str) -> bool:
        """Say whether the relay was last asked long enough ago; from now on it was just now."""
        steady_ns = self._clock.steady_ns()
        with self._lock:
            kept = self._kept.get(network_id)
            if kept is None or steady_ns - kept.asked_ns >= REFETCH_NS:
                if kept is not None:
                    kept.asked_ns = steady_ns
                return True
            return False

    def _ask(self, network_id: str) -> Bundle:
        asked_ns = self._clock.steady_ns()
        bundle = self._fetch(network_id)
        with self._lock:
            self._put(network_id, bundle, asked_ns)
        return bundle

    def _put(self, network_id: str, bundle: Bundle, asked_ns: int) -> None:
        if network_id not in self._kept and len(self._kept) >= MAX_NETWORKS:
            self._kept.pop(next(iter(self._kept)))
        self._kept[network_id] = _Kept(bundle, asked_ns)
