"""What a command is run with: the target the global flags name, and clients for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.errors import RequestError, UsageError

if TYPE_CHECKING:
    from typing import Any

    from codewire.client.api import Client
    from codewire.client.reach.asking import Deadline

NO_RELAY = "relay not configured (set CODEWIRE_RELAY_URL or log in to hosted Codewire)"


class Context:
    """The global flags of one command line; `server` and `token` are None when absent.

    CODEWIRE_SERVER stands in for --server, except where a command is about this machine alone.
    """

    def __init__(self, flags: dict[str, Any]) -> None:
        self._deadline: Deadline | None = None
        self._named_server: str | None = flags.get("--server") or None
        self.server = self._named_server or os.environ.get("CODEWIRE_SERVER") or None
        self.token: str | None = flags.get("--token") or None
        self.ca: str | None = flags.get("--ca") or None
        self.insecure = bool(flags.get("--insecure"))

    def client(self, *, autostart: bool = True) -> Client:
        """Return a client of the target; without --server a node is started when none runs."""
        return self._client(
            self.server, self.token, ca=self.ca, insecure=self.insecure, autostart=autostart
        )

    def give_up_after(self, seconds: float | None) -> None:
        """Bound all that this command asks of nodes by its --timeout (None and 0: no bound)."""
        if seconds:
            from codewire.client.reach.asking import deadline_behind

            self._deadline = deadline_behind(seconds)

    def _client(self, *args: Any, **options: Any) -> Client:
        from codewire.client.api import Client

        client = Client(*args, **options)
        return client if self._deadline is None else client.until(self._deadline)

    def refuse_server(self, command: str) -> None:
        """Raise UsageError for a command that acts on this machine's node only."""
        if self._named_server:
            raise UsageError(f"--server cannot be used with '{command}': it acts on the local node")

    def locate(self, ref: str, *, may_be_tag: bool = False) -> tuple[Client, str]:
        """Return the client a session reference belongs to, and the reference without its node.

        `node:session` names a session of a saved server; the local node's own name means here.
        With may_be_tag an unknown node is taken for the first half of a tag such as `group:a`.
        Raises UsageError.
        """
        node, colon, session = ref.partition(":")
        if not colon:
            return self.client(), ref
        known = self.knows(node) if node else None
        if may_be_tag and not known:
            return self.client(), ref
        from codewire.wire.texts import go_quote

        if not node or not session or ":" in session:
            raise UsageError(f"invalid session locator {go_quote(ref)}")
        if self._named_server:
            raise UsageError(
                f"remote session locators like {go_quote(ref)} cannot be combined with --server; "
                "use one or the other"
            )
        return self.client_of(node), session

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
            raise RequestError(f'unknown node "{node}": {self._known_names()}; {error}') from error

    def names_server(self, word: str | None) -> bool:
        """Say whether a word alone, where a session could stand, is a saved server's name."""
        return bool(word) and not self._named_server and self._is_saved(str(word))

    def client_of(self, node: str) -> Client:
        """Return a client of a node by its name: the local one's or a saved server's."""
        if self._named_server:
            raise UsageError(f'node "{node}" cannot be combined with --server; use one of them')
        known = self.knows(node)
        if not known:
            raise UsageError(f'unknown node "{node}": {self._known_names()}, and {NO_RELAY}')
        if known == "local":
            return self._client()
        return self._client(node, self.token, ca=self.ca, insecure=self.insecure)

    def _known_names(self) -> str:
        from codewire.client.reach.servers import known_names
        from codewire.paths import data_dir

        return known_names(data_dir().servers)

    def knows(self, node: str) -> str:
        """Say what a node name is: `local` for this machine's node, `saved`, or "" if unknown."""
        from codewire.config import load_settings
        from codewire.paths import data_dir

        if self._is_saved(node):
            return "saved"
        return "local" if node == load_settings(data_dir().config).node_name else ""

    def _is_saved(self, name: str) -> bool:
        from codewire.config import read_toml
        from codewire.paths import data_dir

        servers = read_toml(data_dir().servers).get("servers", {})
        return isinstance(servers, dict) and name in servers
