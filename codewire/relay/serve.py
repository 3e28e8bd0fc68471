"""A relay: its parts put together, its loops, and an orderly end.

Everything that lasts is in the store; what is here is live connections and the loops that look
after them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire import __version__
from codewire.credentials.tokens import new_word
from codewire.errors import CodewireError
from codewire.io.fds import raise_file_limit
from codewire.io.tcp import join_address, listen_tcp, resolve_listen
from codewire.io.wait import RUNTIME, spawn, spawn_essential
from codewire.io.watchdog import Watchdog
from codewire.relay.certificate import tls_context
from codewire.relay.http.api import make_router
from codewire.relay.http.call import Service
from codewire.relay.http.identity import Identities, Resolve
from codewire.relay.http.limits import Limiter, Proxies
from codewire.relay.http.metrics import render_metrics
from codewire.relay.http.routes.login.oidc import Platform
from codewire.relay.http.routes.service import METRICS_KIND
from codewire.relay.providers.github import GitHub
from codewire.relay.providers.oidc import Oidc
from codewire.relay.ssh.failures import Failures
from codewire.relay.ssh.gateway import Gateway, check_asyncssh
from codewire.relay.ssh.hostkey import host_key, public_line
from codewire.relay.store import networks, nodes, orders, people
from codewire.relay.uplinks.coordinator import Coordinator
from codewire.relay.uplinks.feeds import EventFeeds
from codewire.relay.uplinks.hub import DEAD_SECONDS, PING_SECONDS, Hub
from codewire.relay.uplinks.leases import Leases
from codewire.relay.uplinks.orders import Orders
from codewire.relay.uplinks.revocations import Revocations
from codewire.relay.uplinks.siblings import Siblings
from codewire.relay.uplinks.streams import Streams
from codewire.web.connection import Limits
from codewire.web.router import Router
from codewire.web.server import Server
from codewire.wire.http import Answer
from codewire.wire.tailnet import derp_map

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from codewire.relay.settings import Settings
    from codewire.relay.store.database import Database, Tx
    from codewire.web.request import Request

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
SETUP_CODE_LENGTH = 16
# Where SSH is served unless --ssh-listen says otherwise, or this.
SSH_LISTEN, OFF = ":2222", "off"
SAVE_SECONDS = 1.0
# Everything has ended by then.
STOP_SECONDS = 5.0
# Of the descriptors there may be, what everything but clients needs.
OWN_DESCRIPTORS = 64
# A thousand nodes may come back in the same second; heads trickle for ten.
HEADS = 1024


class Relay:
    """One relay. `start` begins to serve, `stop` ends it."""

    def __init__(
        self, settings: Settings, store: Database, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.settings = settings
        self.store = store
        self._clock = clock
        self._started = time.monotonic()
        self._is_over = threading.Event()
        self._servers: list[Server] = []
        self._watchdog = Watchdog(PING_SECONDS, DEAD_SECONDS)
        self.leases = Leases(store, settings.advertise_url, clock)
        self.hub = Hub(store, self._watchdog, clock, self.leases)
        self.feeds = EventFeeds(store)
        self.revocations = Revocations(store, self.hub, clock)
        self.hub.on_connect = self.revocations.greet
        store.on_events = self._wake
        self.streams = Streams(self.hub, self._watchdog)
        self.siblings = Siblings(store, self.leases, self.streams, self._watchdog)
        self.orders = Orders(store, settings.advertise_url, self._obey)
        mesh = derp_map(settings.host, settings.port, settings.is_encrypted)
        self.coordinator = Coordinator(self._watchdog, mesh, os.urandom)
        self.coordinator.is_elsewhere = lambda *key: self.leases.find(*key) is not None
        self.proxies = Proxies(settings.trusted_proxy)
        self.limiter = Limiter()
        self.oidc = Oidc(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
        self.gateway: Gateway | None = None
        self.service = Service(
            settings=settings,
            clock=clock,
            identities=Identities(settings.auth_token, settings.base_url, self._resolvers()),
            presence=self.hub,
            coordination=self.coordinator,
            streams=self.streams,
            feeds=self.feeds,
            siblings=self.siblings,
            order=self._order,
            status=self.status,
            limiter=self.limiter,
            proxies=self.proxies,
            github=GitHub(settings.github_url, settings.github_api_url),
            oidc=self.oidc,
        )

    def _resolvers(self) -> tuple[Resolve, ...]:
        if self.settings.auth_mode != "oidc":
            return ()
        return (Platform(self.oidc, self.settings.oidc_allowed_groups),)

    def start(self) -> tuple[str, int]:
        """Listen and serve; return the address. Raises CodewireError."""
        listener = _listen(self.settings.listen)
        host, port = listener.getsockname()[:2]
        if self.settings.metrics_listen:
            metrics = _listen(self.settings.metrics_listen)
            self._serve(metrics, self._metrics_router())
            log.info("metrics on %s", join_address(metrics.getsockname()[:2]))
        self.limiter.load(self.store, self._clock())
        self.leases.measure()
        self.orders.begin()
        self.siblings.begin()
        if self.settings.auth_mode == "github":
            self._prepare_github()
        if self.settings.auth_mode == "oidc":
            spawn(self._discover)
        self.gateway = self._open_ssh()
        for loop in (
            self._watchdog.run,
            self.feeds.run,
            self.hub.run,
            self.revocations.run,
            self.orders.run,
            self._save,
            self._sweep,
        ):
            spawn_essential(self._until_over, loop)
        self._serve(listener, make_router(self.service, self.store), tls=True)
        if self.gateway is not None:
            spawn_essential(self._until_over, self.gateway.run)
        address = join_address((host, port))
        log.info("HTTP listening on %s (base_url=%s)", address, self.settings.base_url)
        return str(host), int(port)

    def stop(self) -> bool:
        """End what is served, within STOP_SECONDS; say whether all of it ended by itself."""
        self._is_over.set()
        self.hub.end()
        self.feeds.end()
        self.revocations.end()
        self.orders.end()
        deadline = time.monotonic() + STOP_SECONDS
        if self.gateway is not None:
            spawn(self.gateway.stop)
        is_clean = all(
            [server.stop(max(0.1, deadline - time.monotonic())) for server in self._servers]
        )
        try:
            self.limiter.save(self.store, self._clock())
        except CodewireError as error:
            log.warning("counts of calls are lost: %s", error)
        return is_clean

    def _wake(self, network: str) -> None:
        """Have a network's events looked at, all networks' for ""."""
        self.feeds.wake(network)
        self.revocations.wake(network)
        self.orders.wake(network)

    # Other relays of the database

    def _order(self, network: str, kind: str, whom: str) -> None:
        """Have the other relays end something; where they cannot be told, they find it later."""
        by = self.settings.advertise_url
        if by:
            now = self._clock()
            give = partial(orders.give, network=network, kind=kind, whom=whom, by=by, now=now)
            self._try(lambda: self.store.write(lambda tx: give(tx)), "an order to other relays")

    def _obey(self, network: str, kind: str, whom: str) -> None:
        """End what another relay has ended. Raises StoreError."""
        if kind == orders.CONNECTION:
            self.hub.drop_connection(network, whom)
        elif kind == orders.NODE:
            node = self.store.read(lambda tx: nodes.get(tx, network, whom))
            if self.hub.drop_stale(network, whom, node) or node is None:
                self.service.end_node(network, whom)
        elif kind == orders.MEMBER and not self._role(network, whom):
            self.service.end_member(network, whom)

    def _role(self, network: str, who: str) -> str:
        return self.store.read(lambda tx: networks.role(tx, network, who))

    def status(self) -> dict[str, Any]:
        """Return the relay's figures."""
        return {
            "version": __version__,
            "runtime": RUNTIME,
            "store": self.store.kind,
            "base_url": self.settings.base_url,
            "auth_mode": self.settings.auth_mode,
            "uptime_seconds": int(time.monotonic() - self._started),
            "connections": sum(server.connections for server in self._servers),
            "uplinks": len(self.hub),
            "uplinks_replaced_total": self.hub.replaced,
            "streams": len(self.streams),
            "ssh_logins": len(self.gateway) if self.gateway is not None else 0,
            "peers": len(self.coordinator),
            "event_readers": self.feeds.readers,
            "events_sent_total": self.feeds.sent,
            **self.siblings.questions.figures(),
        }

    def _open_ssh(self) -> Gateway | None:
        """Listen for SSH and return who serves it; None where it is not to be, or cannot.

        Raises CodewireError where it was asked for.
        """
        wanted = self.settings.ssh_listen
        if wanted == OFF:
            return None
        try:
            check_asyncssh()
            key = host_key(self.store, self.settings.data_dir)
            listener = _listen(wanted or SSH_LISTEN)
        except CodewireError as error:
            if wanted:
                raise
            log.warning("no SSH: %s (--ssh-listen off says so, too)", error)
            return None
        address = listener.getsockname()[:2]
        self.service.ssh_host_key, self.service.ssh_port = public_line(key), address[1]
        log.info("SSH listening on %s", join_address(address))
        return Gateway(listener, key, self.store, self.streams, Failures())

    def _prepare_github(self) -> None:
        """Keep the app that was given, or print what whoever makes one has to know."""
        given = self.settings
        app = {"client_id": given.github_client_id, "client_secret": given.github_client_secret}

        def prepare(tx: Tx) -> bool:
            if people.github_app(tx) is None and all(app.values()):
                people.github_app_put(tx, app)
            return people.github_app(tx) is not None

        if not self.store.write(prepare):
            self.service.setup_code = new_word(SETUP_CODE_LENGTH)
            log.warning(
                "no GitHub App yet: open %s and enter the setup code %s",
                given.base_url,
                self.service.setup_code,
            )

    def _discover(self) -> None:
        try:
            self.oidc.discover()
        except CodewireError as error:
            # Whoever logs in has it looked for again.
            log.warning("OIDC discovery failed: %s", error)

    def _serve(self, listener: socket.socket, router: Router, *, tls: bool = False) -> None:
        soft, _ = raise_file_limit()
        limits = Limits(
            heads=HEADS,
            connections=max(64, _descriptors(soft) - OWN_DESCRIPTORS),
            is_exempt=self.proxies.is_trusted,
        )
        context = tls_context(self.settings) if tls else None
        server = Server(listener, router, limits=limits, tls=context)
        self._servers.append(server)
        spawn_essential(self._until_over, server.run)

    def _metrics_router(self) -> Router:
        def show(request: Request) -> Answer:
            text = render_metrics(self.status())
            return Answer(200, text.encode(), (("Content-Type", METRICS_KIND),))

        router = Router()
        router.add("GET", "/metrics", show)
        return router

    # Loops

    def _until_over(self, loop: Callable[[], object]) -> None:
        """Run a loop the relay cannot do without; its end counts only before the relay's."""
        loop()
        if self._is_over.is_set():
            # The process is about to end; until then whoever returns here is not missed.
            threading.Event().wait()
        raise CodewireError("a loop of the relay has ended")

    def _save(self) -> None:
        while not self._is_over.wait(SAVE_SECONDS):
            self._try(lambda: self.limiter.save(self.store, self._clock()), "counts of calls")

    def _sweep(self) -> None:
        while not self._is_over.wait(SWEEP_SECONDS):
            self._try(lambda: self.store.sweep(self._clock()), "what has expired")

    def _try(self, step: Callable[[], object], what: str) -> None:
        try:
            step()
        except CodewireError as error:
            # Next time.
            log.warning("storing %s: %s", what, error)


def _listen(address: str) -> socket.socket:
    family, wanted = resolve_listen(address)
    return listen_tcp(family, wanted)


def _descriptors(soft: int) -> int:
    import resource

    return max(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
