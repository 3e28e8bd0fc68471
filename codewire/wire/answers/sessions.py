"""What a node says of sessions (spec/wire.md 7).

Imported by `cw list`, so its annotations are no strings: typing compiles each of those, which took
half of this module's time.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT

if TYPE_CHECKING:
    from codewire.wire.exits import Exit

RUNNING = "running"


class SessionInfo(NamedTuple):
    """A session. Times are RFC 3339, "" and None where the node does not say.

    `prompt` is its command line, `status` running, killed or completed (N), `state` what its agent
    does. `output_size_bytes` is the size of its log, `output_bytes` all it has printed.
    `relaunched_from` and `relaunched_as` are other runs of it.
    """

    id: int = 0
    name: str = ""
    prompt: str = ""
    working_dir: str = ""
    created_at: str = ""
    status: str = ""
    state: str = ""
    state_kind: str = ""
    state_reason: str = ""
    state_since: str = ""
    agent: str = ""
    attached: bool = False
    attached_count: int = 0
    pid: int = 0
    tags: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    end_reason: str = ""
    completed_at: str = ""
    duration_ms: int = 0
    output_lines: int = 0
    output_bytes: int = 0
    output_size_bytes: int | None = None
    last_output_at: str = ""
    last_output_snippet: str = ""
    last_event_at: str = ""
    last_event_preview: str = ""
    last_event: str = ""
    idle_seconds: int = 0
    screen_hash: str = ""
    relaunched_from: int = 0
    relaunched_as: int = 0
    restorable: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended."""
        return self.status == RUNNING

    @property
    def exit(self) -> "Exit | None":
        """Return how its process ended, None while it runs."""
        from codewire.wire.exits import Exited, Lost, Signalled

        if self.is_running:
            return None
        if self.signal:
            return Signalled(self.signal)
        has_code = self.exit_code is not None and self.end_reason != "lost"
        return Exited(self.exit_code or 0) if has_code else Lost()

    @property
    def restart(self) -> Mapping[str, Any]:
        """Return its restart policy: policy, max, count, next_at, ended; nothing without one."""
        found = self.sent.get("restart")
        return found if isinstance(found, dict) else NOTHING_SENT

    @property
    def label(self) -> str:
        """Return its name, or else its id."""
        return self.name or str(self.id)
