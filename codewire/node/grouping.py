"""What groups mean on this node: who may write to whom, and who may be launched into one.

Without a relay they are tags and nothing else is loaded. With one, its word counts.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, RequestError
from codewire.mail.groups import NONE, bindings_by_tags, groups_of, is_member, may_reach
from codewire.paths import DataDir, has_relay
from codewire.session.lifecycle import Lifecycle
from codewire.session.program import check_name
from codewire.wire.codes import UNAUTHORISED, UNAVAILABLE

if TYPE_CHECKING:
    from codewire.mail.party import Party
    from codewire.network.access import Access
    from codewire.network.answers import Binding
    from codewire.network.bindings import Bindings
    from codewire.node.membership import Membership
    from codewire.session.program import LaunchRequest
    from codewire.session.session import Session

log = logging.getLogger(__name__)

# How long a message may wait to hear what the relay says of its recipient's groups.
BINDINGS_SECONDS = 2.0
FORBIDDEN_BY_POLICY = "group policy forbids looking at this session's messages"
UNKNOWN_POLICY = "the relay cannot be asked what the session's groups allow; try again later"


class _Side:
    """What there is with a relay."""

    def __init__(self, paths: DataDir, sessions: Lifecycle, facts: dict[str, Any]) -> None:
        from codewire.network.access import Access
        from codewire.network.bindings import Bindings
        from codewire.node.enrolment import is_possible
        from codewire.node.membership import Membership

        self._is_possible = is_possible
        self.access: Access = Access(paths.config)
        self.bindings: Bindings = Bindings(
            lambda name: self.access.as_node(BINDINGS_SECONDS).bindings("", name)
        )
        self._facts, self._said = facts, ""
        self.membership: Membership = Membership(
            paths.groups, self.access, sessions, self._tell, self.bindings.forget
        )

    def is_in_use(self) -> bool:
        """Say whether this node is enrolled at a relay, or about to be."""
        try:
            relay = self.access.configuration()
        except CodewireError:
            # The uplink says what is wrong with the file.
            return False
        return relay is not None and self._is_possible(relay)

    def _tell(self, problem: str) -> None:
        """Show in the node's status what is wrong, and log it once."""
        if problem and problem != self._said:
            log.warning("group memberships are not what they should be at the relay: %s", problem)
        self._said = problem
        if problem:
            self._facts["groups"] = problem
        else:
            self._facts.pop("groups", None)


class Grouping:
    """Any thread may call. `facts` is what the node's status says of its relay."""

    def __init__(self, paths: DataDir, sessions: Lifecycle, facts: dict[str, Any]) -> None:
        self._paths = paths
        self._sessions = sessions
        self._facts = facts
        self._lock = threading.Lock()
        self._side: _Side | None = None

    def _with_relay(self) -> _Side | None:
        """Return what there is with a relay, None while none is configured."""
        if self._side is None and has_relay():
            with self._lock:
                self._side = self._side or _Side(self._paths, self._sessions, self._facts)
        return self._side

    def run(self) -> None:
        """Keep the relay's memberships right, for ever. Called once there is a relay."""
        side = self._with_relay()
        if side is not None:
            side.membership.run()

    # Launching

    @contextlib.contextmanager
    def admitted(self, order: LaunchRequest) -> Iterator[None]:
        """Check the groups of a session that is about to be launched. Raises LaunchError.

        Sessions without a name or group, and nodes without a relay, wait for nothing.
        """
        membership = self._membership_for(order)
        if membership is None:
            yield
            return
        with membership.admitted(order.name, order.tags):
            yield

    def _membership_for(self, order: LaunchRequest) -> Membership | None:
        """Return who is to admit a session, None: nobody needs to. Raises LaunchError."""
        registry = self._sessions.registry
        if not order.name or not groups_of(order.tags) or registry.by_key(order.key) is not None:
            return None
        check_name(order.name)
        if any(session.record.name == order.name for session in registry.running()):
            # The launch will say that the name is taken.
            return None
        side = self._with_relay()
        return side.membership if side is not None and side.is_in_use() else None

    # Messages

    def bindings(self, session: Session, seconds: float = BINDINGS_SECONDS) -> tuple[Binding, ...]:
        """Return the groups of a session, as its relay has them, else by its tags.

        Waits for the relay so long at most; with 0 not at all. Each has `messages_policy` and
        `debug_policy`.
        """
        return self.told(session, seconds) or bindings_by_tags(session)

    def told(
        self, session: Session, seconds: float = BINDINGS_SECONDS
    ) -> tuple[Binding, ...] | None:
        """Return what the relay says of a session's groups; None where it has never said.

        A session that has ended, or has no name, is in no group.
        """
        if not is_member(session):
            return ()
        side = self._side
        if side is None or not side.is_in_use():
            return None
        return side.bindings.of(session.record.name, seconds)

    def check_debug(self, session: Session) -> None:
        """Raise RequestError where a group lets nobody look at a session's messages. Blocks.

        Nor may anybody while it is not known what the groups of its tags say.
        """
        self._with_relay()
        found = self.told(session)
        if found is None and groups_of(session.record.tags):
            raise RequestError(UNKNOWN_POLICY, UNAVAILABLE)
        if any(binding.debug_policy == NONE for binding in found or ()):
            raise RequestError(FORBIDDEN_BY_POLICY, UNAUTHORISED)

    def may_reach(self, recipient: Session, sender: Party, seconds: float | None = None) -> bool:
        """Say whether group policy lets somebody write to a session of this node.

        Nobody waits for the relay whose recipient is in no group by its tags; `seconds` says
        otherwise.
        """
        if seconds is None:
            is_tagged = bool(groups_of(recipient.record.tags))
            seconds = BINDINGS_SECONDS if is_tagged else 0.0
        bindings = self.bindings(recipient, seconds)
        groups = sender.groups
        if sender.session is not None:
            # Its tags count whether it has a name or not.
            groups = groups_of(sender.session.record.tags)
        if may_reach(bindings, groups):
            return True
        return sender.session is not None and may_reach(bindings, self._groups(sender.session))

    def _groups(self, session: Session) -> frozenset[str]:
        """Return the groups that a sender is in by the relay's word."""
        found = self.told(session) or ()
        return frozenset(binding.group_name for binding in found)
