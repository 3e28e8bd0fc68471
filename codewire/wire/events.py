"""What can happen to a session, by the names that files and the wire use (spec/wire.md 13.1)."""

from __future__ import annotations

CREATED = "session.created"
STATUS = "session.status"
STOPPED = "session.stopped"
CONTINUED = "session.continued"
OUTPUT_SUMMARY = "session.output_summary"
INPUT = "session.input"
ATTACHED = "session.attached"
DETACHED = "session.detached"
STATE = "session.state"
DECISION = "session.decision"
REPORT = "task.report"
MESSAGE = "direct.message"
REQUEST = "message.request"
REPLY = "message.reply"

# Event type -> the keys its data has; one with "?" may be missing.
EVENTS = {
    CREATED: "command working_dir tags relaunched_from?",
    STATUS: "from to exit_code? duration_ms",
    STOPPED: "",
    CONTINUED: "",
    OUTPUT_SUMMARY: "bytes_delta lines_delta total_bytes total_lines",
    INPUT: "source bytes_count",
    ATTACHED: "client_id",
    DETACHED: "client_id",
    STATE: "from to kind reason preview",
    DECISION: "approval question choice label confirmed by_session? by_pid? by_remote?",
    REPORT: "event_id summary state",
    MESSAGE: "message_id from from_name? to to_name? body",
    REQUEST: "request_id reply_token from from_name? to to_name? body",
    REPLY: "request_id from from_name? body",
}
EVENT_TYPES = tuple(EVENTS)
MAIL = (MESSAGE, REQUEST, REPLY)
