"""What a command is run with: the target the global flags name, and clients for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.errors import RequestError, UsageError
from codewire.paths import has_runtimes

if TYPE_CHECKING:
    from typing import Any

    from codewire.client.api import Client
    from codewire.client.reach.asking import Deadline
    from codewire.client.reach.route import Route
    from codewire.client.reach.servers import Options
    from codewire.runtimes.records import Instance

# A line longer than this is no token.
MAX_TOKEN = 4096


class Context:
    """The global flags of one command line; `server` and `token` are None when absent.

    CODEWIRE_SERVER stands in for --server, except where a command is about this machine alone.
    """

    def __init__(self, flags: dict[str, Any]) -> None:
        self._deadline: Deadline | None = None
        self._route: Route | None = None
        self._named_server: str | None = flags.get("--server") or None
        self.server = self._named_server or os.environ.get("CODEWIRE_SERVER") or None
        self.token: str | None = flags.get("--token") or None
        self.ca: str | None = flags.get("--ca") or None
        self.network: str = flags.get("--network") or ""
        self.insecure = bool(flags.get("--insecure"))

    @property
    def named_server(self) -> str | None:
        """Return what --server says on this command line, None without it."""
        return self._named_server

    def use_route(self, route: Route) -> None:
        """Make a way to a node the target of this command."""
        self._route = route

    def client(self, *, autostart: bool = True) -> Client:
        """Return a client of the target; without --server a node is started when none runs."""
        return self._client(self.route(), autostart=autostart)

    def route(self) -> Route:
        """Return the way to the target: the local node, a name of another, or a URL."""
        if self._route is not None:
            return self._route
        if not self.server:
            self._refuse_network()
            return _current_route()
        from codewire.client.reach.servers import server_route
        from codewire.paths import data_dir

        route = self._find_node(self.server, only_elsewhere=True)
        return route or server_route(data_dir().servers, self.server, self._options())

    def client_on(self, target: str) -> Client:
        """Return a client of a target: a local runtime, another node, `local` for this machine."""
        if self._named_server:
            raise UsageError("--on cannot be combined with --server; use one of them")
        if target == "local":
            self._refuse_network()
            from codewire.client.reach.route import local_route

            return self._client(local_route())
        from codewire.commands.runtime.sessions import route_to
        from codewire.runtimes.records import find
        from codewire.runtimes.targets import choose, instance_of

        is_node = bool(self.network) or find(target) is None
        node = self._find_node(target, only_elsewhere=True) if is_node else None
        return self._client(node or route_to(instance_of(choose(target))))

    def exec_runtime(self, target: str | None, client: Client) -> Instance | None:
        """Return the runtime whose sessions are commands of its engine on this machine's node.

        None unless the target, or the current one without, is such a runtime and `client` is of
        this machine.
        """
        if self.server or not (target or has_runtimes()) or client.route.path_there("/") is None:
            return None
        from codewire.runtimes import targets
        from codewire.runtimes.inside import EXEC

        chosen = targets.choose(target) if target else targets.current()
        if chosen.is_this_machine:
            return None
        instance = targets.instance_of(chosen)
        return instance if instance.node == EXEC else None

    def give_up_after(self, seconds: float | None) -> None:
        """Bound all that this command asks of nodes by its --timeout (None and 0: no bound)."""
        if seconds:
            from codewire.client.reach.asking import deadline_behind

            self._deadline = deadline_behind(seconds)

    def _client(self, route: Route, *, autostart: bool = True) -> Client:
        from codewire.client.api import Client

        client = Client(route=route, autostart=autostart)
        return client if self._deadline is None else client.until(self._deadline)

    def refuse_server(self, command: str) -> None:
        """Raise UsageError for a command that asks no other node."""
        self._refuse("--server", self._named_server, command)

    def refuse_nodes(self, command: str) -> None:
        """Raise UsageError for a command that acts on this machine's node only."""
        self.refuse_server(command)
        self._refuse("--network", self.network, command)

    def _refuse(self, flag: str, value: str | None, command: str) -> None:
        if value:
            raise UsageError(f"{flag} cannot be used with '{command}': it acts on the local node")

    def locate(self, ref: str, *, may_be_tag: bool = False) -> tuple[Client, str]:
        """Return the client a session reference belongs to, and the reference without its node.

        `node:session` names a session of another node; the local node's own name means here.
        With may_be_tag an unknown node is taken for the first half of a tag such as `group:a`.
        Raises UsageError.
        """
        node, colon, session = ref.partition(":")
        if not colon:
            return self.client(), ref
        route = self._find_node(node) if node else None
        if may_be_tag and route is None:
            return self.client(), ref
        from codewire.wire.texts import go_quote

        if not node or not session or ":" in session:
            raise UsageError(f"invalid session locator {go_quote(ref)}")
        if self._named_server:
            raise UsageError(
                f"remote session locators like {go_quote(ref)} cannot be combined with --server; "
                "use one or the other"
            )
        return self._client_by(route, node), session

    def find(self, word: str) -> tuple[Client, int | str]:
        """Return a client and the session id, or else the tag, that `[node:]word` means there.

        Raises UsageError, and RequestError when there is neither.
        """
        from codewire.client.addressing import resolve_session_or_tag

        client, ref = self.locate(word, may_be_tag=True)
        try:
            return client, resolve_session_or_tag(client, ref)[1]
        except RequestError as error:
            node, colon, _ = ref.partition(":")
            # Tags of --group have a colon of their own; another is rather meant for a node.
            if not colon or node == "group":
                raise
            from codewire.commands.places import NO_SUCH_NODE, unknown_node

            words = unknown_node(node, is_certain=False)
            raise RequestError(f"{words}; {error}", NO_SUCH_NODE) from error

    def names_node(self, word: str | None) -> bool:
        """Say whether a word alone, where a session could stand, is the name of another node."""
        if not word or self._named_server:
            return False
        if self.network:
            # Nothing else on the line could be meant by it.
            return ":" not in word
        return self._find_node(word, only_elsewhere=True, is_word=True) is not None

    def client_of(self, node: str) -> Client:
        """Return a client of a node by its name, wherever that stands (places.py).

        Raises UsageError for a name that no place knows.
        """
        if self._named_server:
            raise UsageError(f'node "{node}" cannot be combined with --server; use one of them')
        return self._client_by(self._find_node(node), node)

    def _client_by(self, route: Route | None, node: str) -> Client:
        if route is None:
            from codewire.commands.places import NO_SUCH_NODE, unknown_node

            raise UsageError(unknown_node(node), code=NO_SUCH_NODE)
        return self._client(route)

    def _find_node(
        self, name: str, *, only_elsewhere: bool = False, is_word: bool = False
    ) -> Route | None:
        # An import of its own: most command lines name no node.
        from codewire.commands.places import find_node

        return find_node(name, self._options(), only_elsewhere=only_elsewhere, is_word=is_word)

    def _options(self) -> Options:
        from codewire.client.reach.servers import Options

        return Options(self.token, self.ca, self.insecure, self.network)

    def _refuse_network(self) -> None:
        """Raise UsageError for a network that no node is named of."""
        if self.network:
            raise UsageError(
                f"--network {self.network}: name a node of it, as in dev-1 or dev-1:3 (cw node "
                f"list --network {self.network})"
            )


def _current_route() -> Route:
    """Return the way to the current target: this machine's node unless `cw use` said otherwise."""
    from codewire.client.reach.route import local_route

    if has_runtimes():
        from codewire.commands.runtime.sessions import target_route

        return target_route() or local_route()
    return local_route()


def token_from_stdin() -> str:
    """Return the token on stdin's first line, which no other user sees. Raises UsageError."""
    import sys

    token = sys.stdin.readline(MAX_TOKEN).strip() if sys.stdin is not None else ""
    if not token:
        raise UsageError("no token on stdin")
    return token
