"""Who comes in over the peer RPC: credentials checked by the network's keys, and used up.

The keys are kept while they hold (15 minutes), on disk, too: a relay that cannot be reached, or a
worker that was replaced meanwhile, keeps nobody out.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from codewire.credentials.bundle import Bundle
from codewire.credentials.claims import Claims, RuntimeClaims
from codewire.credentials.envelope import peek, verify_runtime
from codewire.credentials.grants import Principal
from codewire.disk.filing import write_atomically
from codewire.errors import CodewireError, ProtocolError, RelayError, RelayRefused, RequestError
from codewire.files import read_regular
from codewire.io.clock import CLOCK, Clock
from codewire.network.bundles import Bundles
from codewire.network.relay import Relay
from codewire.node.peers.membership import Me, Membership
from codewire.node.peers.used import Used
from codewire.wire.codes import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.disk.scribe import Scribe
    from codewire.network.configuration import Configuration
    from codewire.paths import DataDir

log = logging.getLogger(__name__)

# A visitor waits for it.
FETCH_SECONDS = 8.0
MAX_BUNDLE_BYTES = 1 << 20
# Keys are asked for anew when half of their life is over, so that there is some left whenever the
# relay goes away.
HALF_LIFE_NS = 450 * 1_000_000_000
# What failed is not tried again before.
RETRY_SECONDS = 30.0

C = TypeVar("C", bound=Claims)


class Visitor(NamedTuple):
    """Who has shown a good credential, and to which node of which network."""

    me: Me
    principal: Principal

    def __str__(self) -> str:
        return f"{self.principal.kind} {self.principal.id}"


class Gate:
    """The node's own checks. Any thread may call; most of it blocks for the relay or the disk."""

    def __init__(self, paths: DataDir, clock: Clock = CLOCK, scribe: Scribe | None = None) -> None:
        self._paths = paths
        self.clock = clock
        self.membership = Membership(paths.config)
        self.used = Used(paths.used_tokens, clock, scribe)
        self._next_try = 0.0
        self._lock = threading.Lock()
        self._bundles: tuple[tuple[str, str], Bundles] | None = None
        # Set when something is revoked: one for each that is being listened to.
        self._watchers: tuple[threading.Event, ...] = ()

    def admit(self, credential: str) -> Visitor:
        """Return whose credential it is, and use it up.

        Raises RequestError, and ProtocolError for one that names nobody.
        """
        me = self.membership.now()
        # Nobody has the relay asked for keys by what is no credential at all.
        peek(credential, RuntimeClaims)
        claims = self.verify(me, verify_runtime, credential)
        if not claims.subject_kind or not claims.subject_id:
            raise ProtocolError("a credential of nobody")
        self.used.use_up(claims)
        return Visitor(me, Principal(claims.subject_kind, claims.subject_id))

    def verify(self, me: Me, check: Callable[[str, Bundle, int], C], token: str) -> C:
        """Return what a token of this node's network says; `check` is envelope.verify_runtime, say.

        Raises RequestError.
        """
        try:
            return self._bundles_of(me).verify(check, token, me.network)
        except RelayError as error:
            log.info("a peer's token cannot be checked: %s", error)
            text = "the relay cannot be asked for the keys that verify it"
            raise RequestError(f"peer authentication failed: {text}", UNAVAILABLE) from error

    def keep_keys(self) -> None:
        """Have keys with some life left, where the relay can be asked. Raises nothing; blocks.

        The first credential makes a network's first key: a node that finds none asks for one.
        """
        now = time.monotonic()
        if now < self._next_try:
            return
        self._next_try = now + RETRY_SECONDS
        try:
            me = self.membership.now()
            bundles = self._bundles_of(me)
            try:
                bundles.renew(me.network, HALF_LIFE_NS)
            except RelayRefused as error:
                if error.status != 404:
                    raise
                Relay(me.relay.server, me.relay.node_token, FETCH_SECONDS).runtime_credential()
                bundles.renew(me.network, HALF_LIFE_NS)
        except CodewireError as error:
            log.debug("the network's keys cannot be fetched now: %s", error)

    # Revocation

    def revoke(self, network: str, grant_id: str, expires_at: int = 0) -> None:
        """Refuse a grant from now on; who uses it is looked at again. Never blocks."""
        self.used.revoke(network, grant_id, expires_at)
        for watcher in self._watchers:
            watcher.set()

    def watch(self, waker: threading.Event) -> None:
        """Have `waker` set when something is revoked, until `unwatch`."""
        with self._lock:
            self._watchers = (*self._watchers, waker)

    def unwatch(self, waker: threading.Event) -> None:
        """Undo `watch`."""
        with self._lock:
            self._watchers = tuple(one for one in self._watchers if one is not waker)

    # Keys

    def _bundles_of(self, me: Me) -> Bundles:
        """Return the keys of a network of a relay; another relay's are others."""
        key = (me.relay.url, me.network)
        with self._lock:
            if self._bundles is not None and self._bundles[0] == key:
                return self._bundles[1]
        bundles = Bundles(self._fetch, self.clock)
        kept = self._load_keys(key)
        if kept is not None:
            bundles.keep(kept)
        with self._lock:
            self._bundles = (key, bundles)
        return bundles

    def _fetch(self, network: str) -> Bundle:
        relay = self.membership.now().relay
        bundle = Relay(relay.server, relay.node_token, FETCH_SECONDS).bundle(network)
        self._save_keys(relay, bundle)
        return bundle

    def _save_keys(self, relay: Configuration, bundle: Bundle) -> None:
        value = {"relay_url": relay.url, "bundle": bundle.to_json()}
        try:
            write_atomically(self._paths.relay_keys, json.dumps(value) + "\n", is_synced=False)
        except OSError as error:
            log.warning("the network's keys are not kept: %s", error.strerror)

    def _load_keys(self, key: tuple[str, str]) -> Bundle | None:
        """Return the keys that were kept of this network of this relay."""
        try:
            value = json.loads(read_regular(self._paths.relay_keys, MAX_BUNDLE_BYTES))
            bundle = Bundle.from_json(value["bundle"])
            is_ours = (value["relay_url"], bundle.network_id) == key
        except (OSError, ValueError, TypeError, LookupError, RecursionError, CodewireError):
            return None
        return bundle if is_ours else None
