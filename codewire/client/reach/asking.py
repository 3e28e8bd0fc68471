"""One request, one answer, over as many connections as it may take.

Which requests may be sent again, and which only to a node that knows how to tell a repeat from
another one, stands in wire/requests.py and wire/features.py; here it is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.client.reach.connection import (
    MARGIN_SECONDS,
    NO_WORKER,
    PROMPT_TOTAL_SECONDS,
    Redial,
    asked_again,
    check_answer,
    exchange,
    node_deadline,
)
from codewire.errors import (
    CodewireError,
    ConnectionLost,
    NodeHungUp,
    NodeSilent,
    NodeUnreachable,
    UsageError,
)
from codewire.io.deadline import NEVER
from codewire.io.deadline import Deadline as Deadline
from codewire.wire import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from codewire.client.reach.route import Route
    from codewire.io.streams import FrameStream

    Self = TypeVar("Self", bound="Asker")

# What nodes have said they know, for this process, by the key of their route. A node that said
# nothing is asked again: it may have been brought up to date.
_KNOWN: dict[str, frozenset[str]] = {}

UNKNOWN_OUTCOME = "it is not known whether it was done"


def deadline_behind(seconds: float) -> Deadline:
    """Return a deadline a little behind a node's own time-out of so many seconds from now.

    The node words it, where it is alive and knows time-outs.
    """
    return Deadline.after(seconds + MARGIN_SECONDS)


class Asker:
    """What Client asks with. Its `deadline` bounds everything it does; see `until`."""

    def __init__(self, route: Route, autostart: bool, notify: Callable[[str], None]) -> None:
        self.route = route
        self.deadline: Deadline = NEVER
        self._autostart = autostart and route.can_start
        self._notify = notify

    def until(self: Self, deadline: Deadline) -> Self:
        """Return this client with a deadline: what it does raises OutOfTime when it has passed.

        The sooner one counts where there is one already.
        """
        bounded = self._copy()
        bounded.deadline = self.deadline.sooner(deadline)
        return bounded

    def within(self: Self, seconds: float) -> Self:
        """Return this client with a deadline so many seconds from now; see `until`."""
        return self.until(Deadline.after(seconds))

    def telling(self: Self, notify: Callable[[str], None]) -> Self:
        """Return this client with another one to be told what is worth a line."""
        client = self._copy()
        client._notify = notify
        return client

    def _copy(self: Self) -> Self:
        client = object.__new__(type(self))
        client.__dict__.update(self.__dict__)
        return client

    def connect(self) -> FrameStream:
        """Return a new connection, after starting the node if need be; the caller closes it."""
        try:
            return self.route.open(self.deadline)
        except NodeSilent:
            raise
        except NodeUnreachable:
            if not self._autostart:
                raise
        self.route.start(self._notify)
        return self.route.open(self.deadline)

    def redial(self) -> Redial:
        """Return what reaches the node again for one stream."""
        return Redial(self.route, self._notify, self.deadline)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request, once, and return its single answer (spec/wire.md 5, 6).

        Keys whose value is None are left out. Raises RequestError when the answer is an Error.
        """
        answer = exchange(self.connect(), request, self.redial())
        if answer is None:
            raise ConnectionLost("connection closed before response")
        return check_answer(answer)

    def ask(self, request: dict[str, Any], *, is_checked: bool = True) -> dict[str, Any]:
        """Send a request and return its answer; it is sent again where that does no harm.

        Raises RequestError unless not `is_checked`; UsageError for an option the node does not
        know, before anything is sent; ConnectionLost for what must not be sent again.
        """
        asker = self
        if not requests.is_wait(request):
            asker = self.within(PROMPT_TOTAL_SECONDS)
        asker.require(request)
        if requests.row_of(request).streams:
            # Of a stream a node sends codes only to those who want them.
            request = {**request, "codes": True}
        redial, ends = asker.redial(), node_deadline(request)
        answer = exchange(asker.connect(), request, redial)
        while answer is None:
            asker._check_repeatable(request, redial)
            answer = exchange(redial.open(), asked_again(request, ends), redial)
        is_refused = is_checked or answer.get("code") == NO_WORKER
        return check_answer(answer) if is_refused else answer

    def _check_repeatable(self, request: dict[str, Any], redial: Redial) -> None:
        """Raise ConnectionLost unless this request, which may have been done, may be sent again."""
        if requests.is_question(request):
            return
        lost, feature = "connection closed before response", requests.key_of(request)
        if not feature:
            raise ConnectionLost(lost)
        try:
            known = self._features(redial.open)
        except CodewireError as error:
            raise ConnectionLost(f"{lost}; {UNKNOWN_OUTCOME} ({error})") from error
        if feature not in known:
            raise ConnectionLost(
                f"{lost}; {UNKNOWN_OUTCOME}: {self.route} does not know repeated requests, so it "
                "was sent once"
            )

    # What the node knows

    def require(self, request: dict[str, Any]) -> None:
        """Raise UsageError when the node would drop an option of this request silently.

        Asks the node, on a connection of its own, only where the request has such an option.
        """
        needed = requests.row_of(request).needs
        if not any(request.get(name) is not None for name in needed.split()):
            return
        # An import of its own: most requests have no such option.
        from codewire.wire import features

        bounded = self.within(PROMPT_TOTAL_SECONDS)
        option = features.missing(request, bounded._features(bounded.connect))
        if option:
            nothing = features.NOTHING_DONE.get(request["type"], "")
            raise UsageError(
                f"{self.route} does not know {option} (it is older than this cw)"
                + (f"; {nothing}" if nothing else "")
            )

    def _features(self, connect: Callable[[], FrameStream]) -> frozenset[str]:
        """Return what the node says it knows; nothing where it does not say.

        On a connection of its own: a node of another make serves one request a connection.
        """
        from codewire.wire.features import listed

        known = _KNOWN.get(self.route.key)
        if known:
            return known
        redial, request = self.redial(), {"type": "NodeStatus"}
        try:
            answer = exchange(connect(), request, redial)
            while answer is None:
                answer = exchange(redial.open(), request, redial)
        except NodeHungUp:
            # As good as a node that names none.
            return frozenset()
        if answer.get("type") == "Error" and answer.get("code") == NO_WORKER:
            check_answer(answer)
        known = _KNOWN[self.route.key] = listed(answer)
        return known
