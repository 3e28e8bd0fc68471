"""Letters from a session of a node to sessions of another node of its network (spec/peer.md 1).

The sender's node has the relay vouch for it, once for each attempt; what is sent again after a lost
connection carries the same `op_id`, by which the other node does it once.
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any

from codewire.client.reach.asking import UNKNOWN_OUTCOME, deadline_behind
from codewire.client.reach.connection import PROMPT_TOTAL_SECONDS
from codewire.errors import (
    CodewireError,
    ConnectionLost,
    NodeRefused,
    NodeUnreachable,
    OutOfTime,
    ProtocolError,
    RelayError,
    RelayRefused,
    RelayUnreachable,
    RequestError,
    RequestTimedOut,
    UsageError,
)
from codewire.wire.answers.messages import MessageSent, Reply
from codewire.wire.answers.reading import read
from codewire.wire.codes import UNAVAILABLE
from codewire.wire.peers import Locator
from codewire.wire.texts import go_quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.client.reach.asking import Asker
    from codewire.io.deadline import Deadline
    from codewire.io.streams import FrameStream
    from codewire.network.peers import PeerLink, PeerWay

    Hold = Callable[[FrameStream], object]

# How long a node that has been sent nothing yet is looked for: a relay may be restarting, and a
# node comes back to it after a pause.
PATIENCE_SECONDS = 30.0
NO_SENDER = (
    "a session of another node is written to by a session: run this in one, or name one (--from)"
)
# What ends an attempt without a word of the node's on what became of it.
ENDS = (RequestError, RelayError, NodeUnreachable, ConnectionLost, ProtocolError)
NO_FORCE = "a text cannot be forced into a session of another node"


def find(home: Asker, ref: str, hold: Hold) -> tuple[Abroad | None, str]:
    """Return who writes to the node in `node:session`, None where that is `home` itself.

    And the session without its node. `hold` is told of connections that are waited on. Raises
    UsageError.
    """
    from codewire.config import load_settings
    from codewire.paths import data_dir

    node, _, session = ref.partition(":")
    if not node or not session or ":" in session:
        raise UsageError(f"invalid session locator {go_quote(ref)}")
    config = data_dir().config
    if home.route.node_id() is not None and node == load_settings(config).node_name:
        return None, session
    from codewire.client.observing import way_to

    return Abroad(home, way_to(node), hold), session


class Abroad:
    """One node's sessions, as those of another write to them; see Messaging for the arguments."""

    def __init__(self, home: Asker, way: PeerWay, hold: Hold) -> None:
        """`home` is a client of the sender's node, `way` leads to the other one."""
        self.home = home
        self.node = way.node
        self._way = way
        self._hold = hold

    def msg(
        self, to: str, body: str, sender: int | None, delivery: str, force: bool
    ) -> MessageSent:
        """Send a message. Text is typed only where `delivery` says so: auto is the inbox."""
        request = self._letter("MsgSend", to, body, delivery, force)
        deadline = self.home.deadline.within(PROMPT_TOTAL_SECONDS)
        is_kept = request["delivery"] != "pty"
        answer = _Sending(self, sender, "msg").run(request, deadline, is_kept=is_kept)
        return read(MessageSent, {"delivered": request["delivery"], **answer})

    def request(
        self,
        to: str,
        body: str,
        sender: int | None,
        limit: float,
        delivery: str,
        force: bool,
    ) -> Reply:
        """Ask, and block for the reply. Raises RequestTimedOut."""
        request = self._letter("MsgRequest", to, body, delivery, force)
        deadline = self.home.deadline.sooner(deadline_behind(limit))
        sending = _Sending(self, sender, "request")
        try:
            answer = sending.run(request, deadline, seconds=limit)
        except OutOfTime as error:
            text = f"request timed out after {limit:g}s: {error}"
            raise RequestTimedOut(text) from error
        # Its number means nothing here.
        return read(Reply, answer, from_id=0, from_name=self._replier(answer))

    def dial(self, deadline: Deadline) -> PeerLink:
        """Return a connection to the node, as this machine's node where it has a token."""
        from codewire.network.peers import dial_peer

        relay = self._way.relay
        as_node = bool(relay.node_token and relay.node_network)
        link = dial_peer(relay, self.node, deadline, as_node=as_node)
        self._hold(link.stream)
        return link

    def _replier(self, answer: dict[str, Any]) -> str:
        """Return who replied; both name and number may be there (spec/peer.md 1.5)."""
        found = answer.get("from")
        name = found.get("name") or found.get("id") if isinstance(found, dict) else None
        return f"{self.node}:{name}" if isinstance(name, (str, int)) else self.node

    def _letter(self, kind: str, to: str, body: str, delivery: str, force: bool) -> dict[str, Any]:
        if force:
            raise UsageError(NO_FORCE)
        return {
            "type": kind,
            "to": self._way.locator(to).to_json(),
            "body": body,
            "delivery": "inbox" if delivery == "auto" else delivery,
        }


class _Sending:
    """One letter on its way, over as many connections as it takes."""

    def __init__(self, abroad: Abroad, sender: int | None, verb: str) -> None:
        """Raises UsageError without a sender."""
        if not sender:
            raise UsageError(NO_SENDER)
        self._abroad = abroad
        self._home, self._node = abroad.home, abroad.node
        self._sender = sender
        self._verb = verb
        self._op_id = f"op_{os.urandom(16).hex()}"
        # Whether the node may have it, and whether it has said no to it.
        self._was_sent = False
        self._is_answered = False

    def run(
        self,
        request: dict[str, Any],
        deadline: Deadline,
        *,
        seconds: float = 0.0,
        is_kept: bool = True,
    ) -> dict[str, Any]:
        """Return the answer. What an inbox keeps is sent again until the deadline.

        `seconds` is how long the node may wait for a reply. Raises OutOfTime, ConnectionLost where
        it is not known whether it was done, and whatever says that it was not.
        """
        first, ends = deadline.within(PATIENCE_SECONDS), time.monotonic() + seconds
        attempts = 0
        while True:
            if seconds:
                left = max(1, math.ceil(ends - time.monotonic()))
                request = {**request, "timeout_seconds": left}
            try:
                return self._attempt(request, deadline)
            except CodewireError as error:
                if self._is_answered:
                    raise
                if not self._is_passing(error) or (self._was_sent and not is_kept):
                    raise self._worded(error) from error
                self._pause(error, attempts, deadline, first)
            attempts += 1

    def _is_passing(self, error: CodewireError) -> bool:
        """Say whether another attempt may do better."""
        if isinstance(error, RelayRefused):
            return error.is_transient
        if isinstance(error, RequestError):
            return error.code == UNAVAILABLE
        is_away = isinstance(error, (ConnectionLost, NodeUnreachable, RelayUnreachable))
        return is_away and not isinstance(error, (NodeRefused, OutOfTime))

    def _pause(
        self, problem: CodewireError, attempts: int, deadline: Deadline, first: Deadline
    ) -> None:
        """Wait for the next attempt. Raises what to say where there is no time for one."""
        seconds = self._home.route.pause(attempts)
        end = deadline if self._was_sent else first
        if _is_before(seconds, end):
            if attempts == 0:
                self._home._notify(f"[cw] {problem}; trying again")
            time.sleep(seconds)
        elif self._verb == "request" and not _is_before(seconds, deadline):
            raise OutOfTime(str(problem)) from problem
        else:
            raise self._worded(problem) from problem

    def _worded(self, error: CodewireError) -> CodewireError:
        """Return what to say at last: where it may have been done, that this is not known."""
        is_late = isinstance(error, OutOfTime)
        if not self._was_sent or (is_late and self._verb == "request"):
            return error
        if not is_late and not isinstance(error, ENDS):
            return error
        kind = OutOfTime if is_late else ConnectionLost
        return kind(f"{error}; {UNKNOWN_OUTCOME}")

    def _attempt(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        """Send it once, on a connection and with a delegation of its own."""
        issued = self._home.until(deadline).ask(
            {
                "type": "IssueSenderDelegation",
                "id": self._sender,
                "verb": self._verb,
                "audience_node": self._node,
            }
        )
        letter = {
            **request,
            "op_id": self._op_id,
            "from": Locator(str(issued.get("from_node") or ""), self._sender).to_json(),
            "sender_cap": issued.get("sender_cap"),
            "repeat": self._was_sent or None,
        }
        with self._abroad.dial(deadline) as link:
            self._was_sent = True
            try:
                return link.ask(letter, deadline)
            except RequestError:
                self._is_answered = True
                raise


def _is_before(seconds: float, end: Deadline) -> bool:
    """Say whether there are more than so many seconds until then."""
    left = end.left()
    return left is None or seconds < left
