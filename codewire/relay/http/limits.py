"""How often an address may do what needs no login: sliding windows, kept in memory.

Each second what is new is added to the store and the sum of all relays read back, so that neither
a restart nor a second relay gives anybody a fresh start. A request never waits for that.
"""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, NamedTuple

from codewire.relay.http.answers import Refusal
from codewire.relay.store import limits
from codewire.wire.timestamps import SECOND

if TYPE_CHECKING:
    from codewire.relay.store.database import Database
    from codewire.web.request import Request

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WINDOW = 60 * SECOND
# A window slides by so much.
STEP = SECOND
# The oldest is forgotten first: memory is bounded whoever knocks.
MAX_KEYS = 20_000


class Limit(NamedTuple):
    """Calls a minute and address; what shares a name shares the count."""

    name: str
    calls: int


JOIN = Limit("join", 10)
REDEEM = Limit("redeem", 60)
POLL = Limit("poll", 60)
CONNECT = Limit("connect", 60)
CONFIRM = Limit("confirm", 20)
SSH_KEYS = Limit("ssh-keys", 60)


class Limiter:
    """Counts calls. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # key → {start of a step: calls}, those of other relays included.
        self._counts: dict[str, dict[int, int]] = {}
        self._unsaved: dict[tuple[str, int], int] = {}

    def hit(self, limit: Limit, address: str, now: int) -> None:
        """Count a call. Raises Refusal (429) for one too many, which counts no further."""
        self.check(limit, address, now)
        self.count(limit, address, now)

    def check(self, limit: Limit, address: str, now: int) -> None:
        """Raise Refusal (429) when an address has had its calls."""
        with self._lock:
            counts = self._counts.get(_key(limit, address), {})
            if sum(n for start, n in counts.items() if start > now - WINDOW) >= limit.calls:
                raise Refusal(429, "rate limit exceeded", (("Retry-After", "60"),))

    def count(self, limit: Limit, address: str, now: int) -> None:
        """Count a call."""
        key, start = _key(limit, address), now - now % STEP
        with self._lock:
            counts = self._counts.pop(key, {})
            counts[start] = counts.get(start, 0) + 1
            self._counts[key] = {at: n for at, n in counts.items() if at > now - WINDOW}
            if len(self._counts) > MAX_KEYS:
                del self._counts[next(iter(self._counts))]
            self._unsaved[key, start] = self._unsaved.get((key, start), 0) + 1

    def save(self, store: Database, now: int) -> None:
        """Add what is new to the store and take over what it has. Raises StoreError."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        if unsaved:
            try:
                store.write(lambda tx: limits.add(tx, unsaved))
            except Exception:
                self._put_back(unsaved)
                raise
            self.load(store, now)

    def load(self, store: Database, now: int) -> None:
        """Take over the store's counts of the last minute."""
        saved = store.read(lambda tx: limits.load(tx, now - WINDOW))
        with self._lock:
            counts: dict[str, dict[int, int]] = {}
            for (key, start), number in (*saved.items(), *self._unsaved.items()):
                of_key = counts.setdefault(key, {})
                of_key[start] = of_key.get(start, 0) + number
            self._counts = counts

    def _put_back(self, unsaved: dict[tuple[str, int], int]) -> None:
        with self._lock:
            for at, number in unsaved.items():
                self._unsaved[at] = self._unsaved.get(at, 0) + number


def _key(limit: Limit, address: str) -> str:
    return f"{limit.name} {holder_of(address)}"


def holder_of(address: str) -> str:
    """Return what an address is counted by; whoever has an IPv6 address has a whole /64."""
    if ":" in address and not address.startswith("::ffff:"):
        try:
            network = ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False)
            return str(network.network_address)
        except ValueError:
            pass
    return address


class Proxies:
    """The proxies whose X-Forwarded-For is believed."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        """`listed` are addresses and networks. Raises ValueError."""
        self._networks = [ipaddress.ip_network(text, strict=False) for text in listed]

    def is_trusted(self, address: str) -> bool:
        """Say whether an address is one of them."""
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self._networks)

    def client_address(self, request: Request) -> str:
        """Return who asks: the last address that is none of the proxies'."""
        address = request.address
        chain = request.field("X-Forwarded-For").split(",")
        while self.is_trusted(address) and chain:
            previous = chain.pop().strip()
            try:
                ipaddress.ip_address(previous)
            except ValueError:
                break
            address = previous
        return address
