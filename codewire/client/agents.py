"""The part of Client about what agents do: their reports, and decisions they wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.client.numbers import checked_id, whole_number
from codewire.client.reach.asking import Asker
from codewire.client.reach.connection import field
from codewire.wire.answers.reading import read, read_each

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codewire.wire.answers.agents import Approval, Approved, Explanation

MAX_CHOICE = (1 << 16) - 1


class Agents(Asker):
    """What Client adds to its own requests."""

    def report_task(
        self, session_id: int, summary: str, state: str, *, kind: str | None = None
    ) -> None:
        """Report what a session's agent is doing: `summary` has 1 to 280 bytes.

        `state` is working, complete, blocked or failed; or idle, of a node that knows states.
        With blocked, `kind` may say permission, question or auth. Raises RequestError.
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
            }
        )

    def approvals(self, session_id: int | None = None, tags: Iterable[str] = ()) -> list[Approval]:
        """Return what sessions wait for a person to decide, by session; its ids are `approve`'s."""
        from codewire.wire.answers.agents import read_approvals

        request = {
            "type": "Approvals",
            "id": None if session_id is None else checked_id(session_id),
            "tags": list(tags) or None,
            "peek": True,
        }
        empty: list[Any] = []
        return read_approvals(field(self.ask(request), "approvals", empty))

    def approve(
        self, approval: str, *, choice: int | None = None, refuse: bool = False
    ) -> Approved:
        """Answer what an entry of `approvals` asks; return what was chosen.

        Takes `choice`, or the only one that says yes (with `refuse`: no). Raises RequestError, with
        the choices where none was taken; then Enter was not pressed.
        """
        from codewire.wire.answers.agents import Approved

        answer = self.ask(
            {
                "type": "Approve",
                "approval": approval,
                "choice": whole_number("choice", choice, MAX_CHOICE),
                "refuse": refuse or None,
            }
        )
        return read(Approved, answer)

    def explain_agent(self, session_id: int) -> Explanation:
        """Return a session's state and what every rule says of it."""
        from codewire.wire.answers.agents import Explanation, Rule

        request = {"type": "ExplainAgent", "id": checked_id(session_id), "peek": True}
        answer = self.ask(request)
        return read(Explanation, answer, rules=tuple(read_each(Rule, answer.get("rules"))))
