"""A session's messages at another node of the relay's network: by a grant, whoever asks.

The grant is the one that is given, or one that was accepted (network/accepted.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.client.reach.route import LONGEST_PAUSE, REMOTE_PATIENCE
from codewire.credentials.grants import LISTEN, READ
from codewire.errors import (
    CodewireError,
    ConnectionLost,
    NodeRefused,
    NodeUnreachable,
    OutOfTime,
    RelayRefused,
    RelayUnreachable,
    RequestError,
    UsageError,
)
from codewire.wire.answers.events import Event, Subscribed
from codewire.wire.answers.reading import read
from codewire.wire.peers import EVENT, Locator, make_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.client.reach.route import Route
    from codewire.io.deadline import Deadline
    from codewire.io.streams import FrameStream
    from codewire.network.peers import PeerLink, PeerWay
    from codewire.wire.answers.events import Happening

NEEDS = {
    READ: "remote inbox reads require --grant <token> or an accepted matching grant",
    LISTEN: "remote message subscriptions require --grant <token> or an accepted matching grant",
}
NO_USE = "a grant is for a session of a node in the relay's network, as in dev-1:planner"
# For an inbox of 4 MiB over a slow network.
ANSWER_SECONDS = 60.0
# To a node that went away; the relay is asked each time.
FIRST_PAUSE = 0.2


class Observed(NamedTuple):
    """A session of another node, the way there, and the grant that was given ("" for none)."""

    way: PeerWay
    locator: Locator
    grant: str

    @property
    def session(self) -> int | str:
        """The session's id or name."""
        return self.locator.name if self.locator.id is None else self.locator.id

    def token(self, verb: str) -> str:
        """Return the grant to show. Blocks for the relay. Raises RequestError without one."""
        if self.grant:
            return self.grant
        try:
            return self.way.grant_for(self.locator, verb)
        except RequestError as error:
            raise RequestError(f"{NEEDS[verb]}: {error}", error.code) from error


def observed(route: Route, session: int | str | None, grant: str) -> Observed | None:
    """Return the session if it is to be seen by grant alone; None: the node is asked as ever.

    `session` may name its node (`dev-1:planner`). Raises UsageError for a grant of no use.
    """
    way = route.peer()
    if isinstance(session, str) and ":" in session:
        node, _, session = session.partition(":")
        way = way_to(node)
    if way is None or session is None:
        if grant:
            raise UsageError(NO_USE)
        return None
    return Observed(way, way.locator(session), grant)


def way_to(node: str) -> PeerWay:
    """Return the way to a node of the selected network by its name."""
    from codewire.network.configuration import load_configuration
    from codewire.network.peers import PeerWay
    from codewire.paths import data_dir

    paths = data_dir()
    return PeerWay(load_configuration(paths.config), node, paths.root)


class Observing(NamedTuple):
    """Who looks: when that ends, who is told what is worth a line, who holds the connection."""

    deadline: Deadline
    notify: Callable[[str], None]
    hold: Callable[[FrameStream], FrameStream]

    def dial(self, seen: Observed) -> PeerLink:
        """Return a greeted connection; the caller closes it. Raises CodewireError."""
        link = seen.way.dial()
        self.hold(link.stream)
        return link


def read_inbox(seen: Observed, tail: int | None, who: Observing) -> dict[str, Any]:
    """Return the answer with a session's last `tail` messages (None: 50, 0: all).

    Raises CodewireError.
    """
    token = seen.token(READ)
    request = make_request("MsgRead", session=seen.locator, observer_cap=token, tail=tail)
    with who.dial(seen) as link:
        return link.ask(request, who.deadline.within(ANSWER_SECONDS))


def follow(seen: Observed, who: Observing) -> Iterator[Happening]:
    """Yield a Subscribed, then what the session sends and gets, for as long as the grant holds.

    Another Subscribed says that the connection was lost meanwhile. Raises CodewireError.
    """
    token = seen.token(LISTEN)
    request = make_request("MsgListen", session=seen.locator, observer_cap=token)
    has_begun, attempts, lost_at = False, 0, 0.0
    while True:
        try:
            with who.dial(seen) as link:
                for answer in link.follow(request, who.deadline):
                    has_begun, attempts = True, 0
                    yield _happening(answer)
        except CodewireError as error:
            if not (has_begun and _may_come_back(error)):
                raise
            if not attempts:
                lost_at = time.monotonic()
                who.notify(f"[cw] connection to node {seen.way.node} lost; trying again")
            elif time.monotonic() - lost_at > REMOTE_PATIENCE:
                raise
        _pause(attempts, who.deadline)
        attempts += 1


def _may_come_back(error: CodewireError) -> bool:
    if isinstance(error, RelayRefused):
        return error.is_transient
    kinds = (ConnectionLost, NodeUnreachable, RelayUnreachable)
    return isinstance(error, kinds) and not isinstance(error, (NodeRefused, OutOfTime))


def _pause(attempts: int, deadline: Deadline) -> None:
    seconds = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(attempts, 10)))
    time.sleep(deadline.within(seconds).left() or 0)
    if deadline.expired:
        raise OutOfTime("the node was lost, and is not back in time")


def _happening(answer: dict[str, Any]) -> Happening:
    if answer.get("type") != EVENT:
        return read(Subscribed, answer)
    event, session = answer.get("event"), answer.get("session")
    found = event if isinstance(event, dict) else {}
    number = session.get("id") if isinstance(session, dict) else 0
    return read(Event, found, session_id=number if isinstance(number, int) else 0)
