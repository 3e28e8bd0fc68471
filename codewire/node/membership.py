"""Tells the relay which sessions of this node are in which groups (spec/network-auth.md 6.2).

A running named session is in the groups that its tags name. What the relay holds is brought to
that, one call at a time, for as long as it takes: groups.jsonl keeps what the relay may hold of
this node and which groups it is known to have. No session ever waits for this but one that is
launched into a group, for the few seconds of `admitted`.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from codewire.disk.journal import Journal, Line
from codewire.errors import CodewireError, LaunchError, RelayRefused
from codewire.mail.groups import groups_of, is_member
from codewire.session.turns import Turns
from codewire.wire import events
from codewire.wire.codes import BAD_REQUEST, UNAVAILABLE
from codewire.wire.texts import go_quote

if TYPE_CHECKING:
    from codewire.network.access import Access
    from codewire.network.configuration import Configuration
    from codewire.session.lifecycle import Lifecycle

log = logging.getLogger(__name__)

# One call to the relay; and all that a launch may wait for it.
CALL_SECONDS = 5.0
# The pause after a failure doubles from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.5, 15.0
# How often a node that is not enrolled yet looks whether it is; and how often what the relay
# refused (a group that is not there) is tried again, and whether it is another relay by now.
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 60.0


class Member(NamedTuple):
    """One session's place in one group."""

    group: str
    session: str


class Membership:
    """The memberships of this node's sessions. `run` has a greenlet or thread of its own."""

    def __init__(
        self,
        path: str,
        access: Access,
        sessions: Lifecycle,
        tell: Callable[[str], object],
        forget: Callable[[str], object],
    ) -> None:
        """`tell` is told what is wrong, "" for nothing; `forget` whose bindings have changed."""
        self._journal = Journal(path)
        self._access = access
        self._sessions = sessions
        self._tell, self._forget = tell, forget
        self._lock = threading.Lock()
        self._news = threading.Event()
        # One at a time changes one membership: what is asked last is what the relay has.
        self._turns = Turns()
        # Which relay and network all this is about.
        self._place = ""
        # What the relay may hold, what it certainly does, and which groups it has.
        self._held: set[Member] = set()
        self._confirmed: set[Member] = set()
        self._known: set[str] = set()
        # Of sessions that are being launched.
        self._coming: Counter[Member] = Counter()
        # What the relay said no to: when to try again (monotonic), and its words.
        self._refused: dict[Member, tuple[float, str]] = {}
        self._failures = 0
        if not self._journal.replay(self._replay):
            self._journal.shorten(self._lines)

    # What is kept

    def _replay(self, line: Line) -> None:
        """Apply one line. Raises ValueError, TypeError or KeyError."""
        if "place" in line:
            self._forget_all(str(line["place"]))
        elif "known" in line:
            self._known.add(str(line["known"]))
        else:
            group, session = line["held"] if "held" in line else line["left"]
            change = self._held.add if "held" in line else self._held.discard
            change(Member(str(group), str(session)))

    def _forget_all(self, place: str) -> None:
        self._place = place
        for kept in (self._held, self._confirmed, self._known, self._refused):
            kept.clear()

    def _lines(self) -> list[Line]:
        with self._lock:
            held: list[Line] = [{"held": list(member)} for member in sorted(self._held)]
            return [{"place": self._place}, *({"known": g} for g in sorted(self._known)), *held]

    def _settle_at(self, relay: Configuration) -> None:
        """Begin anew where this is another relay or network than what is kept is about."""
        place = f"{relay.url} {relay.node_network}"
        with self._lock:
            if place == self._place:
                return
            self._forget_all(place)
            self._journal.append({"place": place})
        self._journal.write()

    def _hold(self, member: Member) -> None:
        """From now on the relay may have it. Blocks for the disk."""
        with self._lock:
            if member in self._held:
                return
            self._held.add(member)
            line = self._journal.append({"held": list(member)})
        self._journal.commit(line)

    # Keeping up

    def run(self) -> None:
        """Bring the relay to what the node has, for ever."""
        kinds = (events.CREATED, events.STATUS)
        subscription = self._sessions.bus.subscribe(None, (), kinds, self._news)
        while True:
            self._news.clear()
            subscription.take()
            try:
                pause = self._round()
                self._failures = 0
            except (CodewireError, OSError) as error:
                self._tell(str(error))
                time.sleep(self._pause())
                continue
            except Exception as error:
                log.exception("keeping up group memberships failed")
                self._tell(f"{type(error).__name__}: {error}")
                time.sleep(LAST_PAUSE)
                continue
            self._news.wait(pause)

    def _round(self) -> float:
        """Do what is due; return after how many seconds to look again, if there is no news.

        Raises CodewireError where the relay cannot be asked.
        """
        relay = self._access.configuration()
        if relay is None or not relay.node_token:
            return LOOK_SECONDS
        self._settle_at(relay)
        for member in self._due_to_leave():
            self._leave(member)
        for member in self._due_to_join():
            self._join(member, CALL_SECONDS)
        with self._lock:
            words = sorted(words for _, words in self._refused.values())
        self._tell("; ".join(words))
        self._shorten()
        return AGAIN_SECONDS

    def _wanted(self) -> set[Member]:
        """Return what the relay should hold. The lock is held."""
        running = [session for session in self._sessions.registry.running() if is_member(session)]
        return {
            *(Member(g, s.record.name) for s in running for g in groups_of(s.record.tags)),
            *(member for member, count in self._coming.items() if count > 0),
        }

    def _due_to_leave(self) -> list[Member]:
        with self._lock:
            wanted = self._wanted()
            for member in self._refused.keys() - wanted:
                del self._refused[member]
            return sorted(self._held - wanted)

    def _due_to_join(self) -> list[Member]:
        with self._lock:
            now = time.monotonic()
            later = {member for member, (at, _) in self._refused.items() if at > now}
            return sorted(self._wanted() - self._confirmed - later)

    def _leave(self, member: Member) -> None:
        """Have the relay forget a membership; one that it does not have is as good."""
        with self._turns.take("\0".join(member), CALL_SECONDS) as has_turn:
            with self._lock:
                if not has_turn or member in self._wanted():
                    return
                self._confirmed.discard(member)
            try:
                self._access.as_node(CALL_SECONDS).remove_member(
                    "", member.group, "", member.session
                )
            except RelayRefused as error:
                if error.status not in (400, 404):
                    raise
            with self._lock:
                self._held.discard(member)
                self._journal.append({"left": list(member)})
            self._journal.write()
        self._forget(member.session)

    def _join(self, member: Member, seconds: float) -> None:
        """Have the relay hold a membership. What it refuses is kept for later, and is no error."""
        with self._turns.take("\0".join(member), seconds) as has_turn:
            if not has_turn:
                return
            self._hold(member)
            try:
                self._access.as_node(seconds).add_member("", member.group, "", member.session)
            except RelayRefused as error:
                if error.status not in (400, 404):
                    raise
                self._refuse(member, error)
                return
            self._confirm(member)
        self._forget(member.session)

    def _refuse(self, member: Member, error: RelayRefused) -> None:
        words = f"group {go_quote(member.group)} of {member.session}: {error.text or error}"
        with self._lock:
            self._held.discard(member)
            self._known.discard(member.group)
            self._refused[member] = time.monotonic() + AGAIN_SECONDS, words
            self._journal.append({"left": list(member)})
        self._journal.write()

    def _confirm(self, member: Member) -> None:
        with self._lock:
            self._confirmed.add(member)
            self._refused.pop(member, None)
            if member.group in self._known:
                return
            self._known.add(member.group)
            self._journal.append({"known": member.group})
        self._journal.write()

    def _pause(self) -> float:
        self._failures += 1
        longest = min(LAST_PAUSE, FIRST_PAUSE * float(1 << min(self._failures - 1, 10)))
        return longest * random.uniform(0.75, 1.25)

    def _shorten(self) -> None:
        if self._journal.is_long(len(self._held) + len(self._known), 0):
            self._journal.shorten(self._lines)

    # Launching

    @contextlib.contextmanager
    def admitted(self, name: str, tags: Iterable[str]) -> Iterator[None]:
        """Have a session that is about to be launched in its groups, checked at the relay first.

        While the relay is away a group that it is known to have will do: the session joins later.
        Blocks for CALL_SECONDS at most. Raises LaunchError; then nothing was started.
        """
        members = [Member(group, name) for group in sorted(groups_of(tags))]
        with self._lock:
            self._coming.update(members)
        try:
            end = time.monotonic() + CALL_SECONDS
            for member in members:
                self._admit(member, end)
            yield
        finally:
            with self._lock:
                self._coming.subtract(members)
                self._coming += Counter()
            self._news.set()

    def _admit(self, member: Member, end: float) -> None:
        group = go_quote(member.group)
        try:
            relay = self._enrolled(end)
            self._settle_at(relay)
            with self._lock:
                is_known = member.group in self._known
            if is_known and self._failures:
                # The relay was away a moment ago: `run` sees to it.
                return
            self._join(member, max(0.1, end - time.monotonic()))
        except (CodewireError, OSError) as error:
            with self._lock:
                is_known = member.group in self._known
            if is_known and not isinstance(error, LaunchError):
                return
            words = f"group {group} cannot be looked up, so nothing was started: {error}"
            raise LaunchError(words, UNAVAILABLE) from error
        with self._lock:
            _, words = self._refused.pop(member, (0.0, ""))
        if words.endswith("group not found"):
            raise LaunchError(
                f"group {group} does not exist in network {relay.node_network} of relay "
                f"{relay.url} (its owner makes one: cw group create {member.group}); "
                "nothing was started",
                BAD_REQUEST,
            )
        if words:
            raise LaunchError(f"{words}; nothing was started", BAD_REQUEST)

    def _enrolled(self, end: float) -> Configuration:
        """Return the relay once this node is enrolled there. Raises LaunchError."""
        while True:
            relay = self._access.configuration()
            if relay is not None and relay.node_token:
                return relay
            if time.monotonic() > end:
                raise LaunchError("this node is not enrolled at its relay (see 'cw node status')")
            time.sleep(0.05)
