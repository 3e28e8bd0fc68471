"""Tokens that are good no more: used up, or revoked. In a journal, so that no restart forgets one.

Both are kept until they would have expired anyway. Losing one of either would let somebody in.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from codewire.credentials.claims import MAX_SECONDS, SKEW_SECONDS
from codewire.credentials.replay import Replay, require_unused
from codewire.disk.journal import Journal
from codewire.disk.scribe import Scribe
from codewire.errors import CredentialError
from codewire.io.clock import CLOCK, Clock

if TYPE_CHECKING:
    from codewire.credentials.claims import RuntimeClaims, SenderClaims
    from codewire.credentials.replay import Line

log = logging.getLogger(__name__)

# A grant's id in the same list: no token has this kind.
REVOKED = "revoked"
SECOND = 1_000_000_000
# A line of the journal.
LINE_BYTES = 200


class Used:
    """The tokens in the journal at `path`. Any thread may call."""

    def __init__(self, path: str, clock: Clock = CLOCK, scribe: Scribe | None = None) -> None:
        """`scribe` writes what nobody waits for."""
        self._clock = clock
        self._scribe = scribe or Scribe()
        self._journal = Journal(path)
        self._replay = Replay(self._remember)
        # Nothing is known of what was issued before this, nanoseconds: see `_load`.
        self._known_since = 0
        self._load()

    def _load(self) -> None:
        if not self._journal.replay(self._replay.restore):
            # Somebody or something damaged it: what it forgot may have been any of these.
            self._known_since = self._clock.wall_ns()
            log.warning("%s was damaged: older credentials are refused", self._journal.path)
        if self._journal.size:
            self._shorten()

    def _remember(self, line: Line) -> bool:
        is_kept = self._journal.commit(self._journal.append(line))
        if self._journal.is_long(len(self._replay), len(self._replay) * LINE_BYTES):
            self._shorten()
        return is_kept

    def _shorten(self) -> None:
        self._journal.shorten(lambda: self._replay.lines(self._clock.wall_ns()))

    def use_up(self, claims: RuntimeClaims | SenderClaims) -> None:
        """Use a verified token up. Blocks for the disk. Raises CredentialError when it was used."""
        if claims.issued_at < self._known_since - SKEW_SECONDS * SECOND:
            raise CredentialError(
                f"{claims.kind} credential is from before a damage: get a new one"
            )
        require_unused(self._replay, claims, self._clock.wall_ns())

    def revoke(self, network: str, grant_id: str, expires_at: int = 0) -> None:
        """Have a grant refused until it expires: a day from now at most (0: not known).

        It is in the file soon: the relay says it again whenever a node connects. Never blocks.
        """
        latest = self._clock.wall_ns() + MAX_SECONDS * SECOND
        if self._replay.knows(REVOKED, network, grant_id):
            return
        end = min(expires_at, latest) if expires_at > 0 else latest
        line = {"kind": REVOKED, "network_id": network, "jti": grant_id, "expires_at": end}
        self._replay.restore(line)
        self._scribe.add(self._journal, line)

    def is_revoked(self, network: str, grant_id: str) -> bool:
        """Say whether a grant is refused."""
        return self._replay.knows(REVOKED, network, grant_id)
