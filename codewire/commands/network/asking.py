"""Which relay a command asks and as whom, how long that takes, and what to say when it fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from codewire.commands.network.spinner import Spinner
from codewire.errors import CodewireError, RelayRefused, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from types import TracebackType

    from codewire.commands.context import Context
    from codewire.network.configuration import Configuration
    from codewire.network.relay import Relay

MAX_ANSWER = 1024
# A relay's own words, and what they mean to who reads them.
MEANINGS = {
    "membership required": "you are not in network {network} (ask one of its owners for an invite)",
    "owner access required": "only an owner of network {network} may do that",
    "network already claimed": "somebody else has a network of that name; choose another",
    "invalid or expired invite": "ask for a new one",
    "the relay's admin token is needed": "pass it by --token",
}


def configuration(args: dict[str, Any], context: Context, *, url: str = "") -> Configuration:
    """Return what is configured of relays; flags count first, `url` only after --relay-url.

    Raises CodewireError.
    """
    from codewire.network.configuration import Given, load_configuration

    if context.named_server:
        raise UsageError("--server names a node; a relay is named by --relay-url")
    given = Given(
        url=args.get("--relay-url") or url,
        network=context.network,
        token=context.token or "",
        ca=context.ca or "",
        insecure=context.insecure,
    )
    return load_configuration(data_dir().config, given)


def in_network(args: dict[str, Any], context: Context) -> tuple[Configuration, Relay, str]:
    """Return what is configured, the relay to the user, and the network. Raises CodewireError."""
    relay = allowed(configuration(args, context))
    return relay, relay.as_user(), relay.required_network()


def allowed(relay: Configuration) -> Configuration:
    """Return the configuration with the stored login, where its owner wants that sent there.

    Somebody's invite may name a relay of theirs: asks on a terminal, changes nothing without one.
    """
    if not relay.withheld_session or not _has_terminal():
        return relay
    home = relay.usual_url or "another server"
    if not confirm(f"Your login is for {home}. Send it to {relay.url}? [y/N] "):
        raise CodewireError("nothing was sent")
    return relay._replace(user_token=relay.withheld_session, withheld_session="")


def confirm(question: str) -> bool:
    """Ask on the terminal, return whether the answer is yes."""
    return ask(question).lower() in ("y", "yes")


def ask(question: str) -> str:
    """Return a line of the terminal, or of what stands in for it. Raises CodewireError."""
    if sys.stderr is not None:
        sys.stderr.write(question)
        sys.stderr.flush()
    answer = sys.stdin.readline(MAX_ANSWER) if sys.stdin is not None else ""
    if not answer:
        raise CodewireError("no answer on stdin")
    return answer.strip()


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class Asking:
    """Around a relay's calls: shows that they take long, says what it means when they fail."""

    def __init__(self, action: str, relay: Configuration, *, shows: bool = True) -> None:
        """`action` is what is tried, as in "create group"."""
        self._action = action
        self._relay = relay
        self._shows = shows
        self._spinner = Spinner(f"waiting for {relay.url}")

    def __enter__(self) -> None:
        if self._shows:
            self._spinner.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._spinner.stop()
        if isinstance(error, RelayRefused):
            raise RelayRefused(self._words(error), error.status, error.text) from error

    def _words(self, error: RelayRefused) -> str:
        text = str(error)
        if error.status == 401:
            return f"{text}: log in (cw login), or pass another --token"
        if text != error.text and error.status in (404, 405, 429, 501) or 300 <= error.status < 400:
            return text
        meaning = MEANINGS.get(error.text, "").format(network=f'"{self._relay.network}"')
        return f"failed to {self._action}: {text}{': ' if meaning else ''}{meaning}"
