"""The part of Client about what agents do: their reports, and decisions they wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.client.numbers import checked_id, whole_number
from codewire.client.reach.asking import Asker
from codewire.client.reach.connection import field

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CHOICE = (1 << 16) - 1


class Agents(Asker):
    """What Client adds to its own requests."""

    def report_task(
        self,
        session_id: int,
        summary: str,
        state: str,
        *,
        kind: str | None = None,
        conversation: str | None = None,
    ) -> None:
        """Report what a session's agent is doing: `summary` has 1 to 280 bytes.

        `state` is working, complete, blocked or failed; or idle, of a node that knows states.
        With blocked, `kind` may say permission, question or auth. `conversation` is the agent's own
        id of what it is about, by which it can be resumed. Raises RequestError.
        """
        # Only nodes that know states take the field, and with it idle.
        is_ours = kind is not None or state == "idle"
        self.ask(
            {
                "type": "ReportTask",
                "id": checked_id(session_id),
                "summary": summary,
                "state": state,
                "state_kind": (kind or "") if is_ours else None,
                # A node that does not know it can restore nothing either.
                "conversation": conversation or None,
            }
        )

    def approvals(
        self, session_id: int | None = None, tags: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """Return what sessions wait for a person to decide, by session.

        Each has `id` (for `approve`), `session_id`, `kind`, `reason`, `text`, `since`, `choices`
        (`number` and `label`, none where they are not recognised) and the number `marked`.
        """
        request = {
            "type": "Approvals",
            "id": None if session_id is None else checked_id(session_id),
            "tags": list(tags) or None,
            "peek": True,
        }
        empty: list[Any] = []
        found = field(self.ask(request), "approvals", empty)
        return [one for one in found if isinstance(one, dict)]

    def approve(
        self, approval: str, *, choice: int | None = None, refuse: bool = False
    ) -> dict[str, Any]:
        """Answer what an entry of `approvals` asks; return `choice`, `label`, `confirmed`.

        Takes `choice`, or the only one that says yes (with `refuse`: no). `confirmed` says that
        the dialog has been seen to go. Raises RequestError, with the choices where none was taken;
        then Enter was not pressed.
        """
        return self.ask(
            {
                "type": "Approve",
                "approval": approval,
                "choice": whole_number("choice", choice, MAX_CHOICE),
                "refuse": refuse or None,
            }
        )

    def explain_agent(self, session_id: int) -> dict[str, Any]:
        """Return a session's state and what every rule says of it: `rules`, in their order."""
        request = {"type": "ExplainAgent", "id": checked_id(session_id), "peek": True}
        return self.ask(request)
