"""By which grant somebody of the network may see a session's messages, and whether it still holds.

A grant is checked when it is shown, and while it is used: it may be revoked, expire, or its session
get another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.credentials.claims import SKEW_SECONDS, ObserverClaims
from codewire.credentials.envelope import verify_observer
from codewire.credentials.grants import LISTEN, READ, Place, check_grant
from codewire.errors import CredentialError
from codewire.node.caller import authorise, peer_caller
from codewire.wire.requests import MSG_LISTEN, MSG_READ

if TYPE_CHECKING:
    from codewire.node.context import Message
    from codewire.node.peers.visit import Visit
    from codewire.session.session import Session
    from codewire.wire.peers import Locator

SECOND = 1_000_000_000
# The verb of a grant, and the right it gives here.
RIGHTS = {READ: MSG_READ, LISTEN: MSG_LISTEN}


class Observed(NamedTuple):
    """A session that a visitor may see, by these claims."""

    visit: Visit
    session: Session
    claims: ObserverClaims
    verb: str

    def check(self) -> None:
        """Raise RequestError where the grant does not hold, or no longer."""
        now = self.visit.gate.clock.wall_ns()
        if now > self.claims.expires_at + SKEW_SECONDS * SECOND:
            raise CredentialError(f"{self.claims.title} expired")
        me = self.visit.visitor.me
        if self.visit.gate.used.is_revoked(me.network, self.claims.jti):
            raise CredentialError("observer grant revoked")
        place = Place(me.network, me.name, self.session.id, self.session.record.name)
        check_grant(self.claims, place, self.visit.visitor.principal, self.verb)

    def check_policy(self) -> None:
        """Raise RequestError where the session's groups let nobody look. Blocks for the relay."""
        self.visit.node.grouping.check_debug(self.session)

    def seconds_left(self) -> float:
        """Return how long the grant holds at most."""
        now = self.visit.gate.clock.wall_ns()
        return max(0.0, (self.claims.expires_at - now) / SECOND + SKEW_SECONDS)


def observe(visit: Visit, request: Message, verb: str) -> Observed:
    """Return the session that a request names once its grant allows that. Raises RequestError.

    Who has no grant for it does not learn whether there is such a session.
    """
    locator = visit.locate(request, "session")
    token = request.get("observer_cap") or ""
    if not token:
        raise CredentialError("missing observer grant")
    me = visit.visitor.me
    claims = visit.gate.verify(me, verify_observer, token)
    check_grant(claims, _place(visit, locator), visit.visitor.principal, verb)
    observed = Observed(visit, visit.session(locator), claims, verb)
    observed.check()
    observed.check_policy()
    verbs = frozenset(RIGHTS[one] for one in claims.verbs if one in RIGHTS)
    caller = peer_caller(visit.stream, str(visit.visitor), verbs, observed.session.id)
    authorise(caller, RIGHTS[verb], observed.session.id)
    return observed


def _place(visit: Visit, locator: Locator) -> Place:
    """Return what is asked for, with id and name as far as there is such a session."""
    me, registry = visit.visitor.me, visit.node.sessions.registry
    if locator.id is not None:
        session = registry.find(locator.id)
        return Place(me.network, me.name, locator.id, session.record.name if session else "")
    session = registry.named(locator.name)
    return Place(me.network, me.name, session.id if session else None, locator.name)
