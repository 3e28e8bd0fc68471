"""What a session's groups say of it: asked of the relay, remembered for a few seconds.

While the relay cannot be asked, what it said last counts; of a session it never said anything of,
its tags do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import RelayError, RequestError
from codewire.mail.groups import groups_of
from codewire.network.relay import Relay
from codewire.wire.codes import UNAUTHORISED, UNAVAILABLE

if TYPE_CHECKING:
    from codewire.network.answers import Binding
    from codewire.node.peers.membership import Me
    from codewire.session.session import Session

log = logging.getLogger(__name__)

# A changed policy counts after so long.
FRESH_SECONDS = 3.0
ASK_SECONDS = 5.0
MAX_KNOWN = 10_000
# The policy that nobody may look, whatever grant they have (spec/network-auth.md 6.1).
NONE = "none"
FORBIDDEN = "group policy forbids looking at this session's messages"
UNKNOWN = "the relay cannot be asked what the session's groups allow; try again later"


class _Known(NamedTuple):
    at: float
    bindings: tuple[Binding, ...]


class Policies:
    """The bindings of this node's sessions. Any thread may ask; no lock is held meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    def bindings(self, session: Session, me: Me) -> tuple[Binding, ...] | None:
        """Return what its groups say of a session; None: that was never found out. Blocks.

        A session without a name is in no group.
        """
        name = session.record.name
        if not name:
            return ()
        key = (me.relay.url, me.network, name)
        known, now = self._known.get(key), time.monotonic()
        if known is not None and now - known.at < FRESH_SECONDS:
            return known.bindings
        try:
            relay = Relay(me.relay.server, me.relay.node_token, ASK_SECONDS)
            found = tuple(relay.bindings(me.name, name))
        except RelayError as error:
            log.info("what the groups of %s say is not known now: %s", name, error)
            if known is None:
                return None
            # Not asked again at once: each visitor would wait for it.
            found = known.bindings
        self._note(key, _Known(now, found))
        return found

    def _note(self, key: tuple[str, str, str], known: _Known) -> None:
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)

    def check_debug(self, session: Session, me: Me) -> None:
        """Raise RequestError where a group of the session's lets nobody look. Blocks."""
        found = self.bindings(session, me)
        if found is None and groups_of(session.record.tags):
            raise RequestError(UNKNOWN, UNAVAILABLE)
        if any(binding.debug_policy == NONE for binding in found or ()):
            raise RequestError(FORBIDDEN, UNAUTHORISED)
