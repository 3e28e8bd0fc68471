"""The part of Client about sessions that are started again: relaunched, or restored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.client.numbers import checked_id
from codewire.client.reach.asking import Asker
from codewire.errors import UsageError
from codewire.wire.answers.reading import read, read_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewire.wire.answers.returning import Relaunched, Restorable

WAYS = ("as-was", "resume", "printed")


class Returning(Asker):
    """What Client adds to its own requests."""

    def relaunch(
        self, session_id: int, *, way: str = "as-was", environ: Mapping[str, str] | None = None
    ) -> Relaunched:
        """Start what a finished session was again.

        The new session has its command, directory, environment, tags, size and name. `way`
        "resume" takes up its agent's conversation instead. Where its environment was not saved,
        `environ` (default: this process's) takes its place. Raises RequestError.
        """
        return self._start(self._order(session_id, way), environ)

    def restorable(self) -> list[Restorable]:
        """Return the sessions that ended with their node, and how each would come back."""
        from codewire.wire.answers.returning import Restorable

        return read_each(Restorable, self.ask({"type": "Restorable"}).get("sessions"))

    def restore(
        self, session_id: int, *, way: str = "as-was", environ: Mapping[str, str] | None = None
    ) -> Relaunched:
        """Start a session that ended with its node again, once: later calls name the same one.

        `way` as for `relaunch`; with "printed" it runs the command line that its program printed:
        have a person see it first. Raises RequestError.
        """
        return self._start({**self._order(session_id, way), "restore": True}, environ)

    def forget_restorable(self, session_id: int) -> bool:
        """Offer a session to be restored no more; return whether it was offered."""
        answer = self.ask({"type": "ForgetRestorable", "id": checked_id(session_id)})
        return bool(answer.get("forgotten"))

    def _order(self, session_id: int, way: str) -> dict[str, Any]:
        if way not in WAYS:
            raise UsageError(f"way must be one of {', '.join(WAYS)}, got {way!r}")
        return {
            "type": "Relaunch",
            "id": checked_id(session_id),
            "way": way,
            "launch_key": os.urandom(12).hex(),
        }

    def _start(self, order: dict[str, Any], environ: Mapping[str, str] | None) -> Relaunched:
        from codewire.client.environment import launch_fields
        from codewire.wire.answers.returning import Relaunched

        fields = launch_fields(self.route, (), environ, False, lambda line: None)
        return read(Relaunched, self.ask({**order, **fields}))
