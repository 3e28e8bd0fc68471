"""What programs say of themselves in-band: OSC 7501, the Program Status Protocol, and OSC 26.

Pure. Revision 0.2 (2026-10-06) of the protocol; limits as it states them (spec/agents.md 1). All
of it is untrusted text: it is bounded here and cleaned where it is shown, and authorises nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

STATES = frozenset(("idle", "working", "blocked", "done", "error"))
CLEAR = "clear"
MAX_BODY = 4096
MAX_MESSAGE, MAX_TITLE = 2048, 192
MAX_ID, MAX_DEPTH = 128, 8
MAX_RECORDS = 256

PAIR = re.compile(rb"([a-z]{1,16})=([A-Za-z0-9_.,+/=-]*)\Z")
SEGMENT = re.compile(r"[A-Za-z0-9_.+-]{1,32}\Z")
APP = re.compile(r"[A-Za-z0-9_.+-]{1,32}\Z")

# OSC 26 (Terminal Agent Protocol): its words for our states, and what blocks.
AGENT_STATES = {
    "idle": ("idle", ""),
    "running": ("working", ""),
    "awaiting-approval": ("blocked", "permission"),
    "awaiting-input": ("blocked", "question"),
    "error": ("error", ""),
    "finished": ("done", ""),
}


class Report(NamedTuple):
    """One record. `id` is "" for the program itself; `progress` is 0 to 100, -1 when not said."""

    state: str
    kind: str = ""
    app: str = ""
    id: str = ""
    message: str = ""
    title: str = ""
    progress: int = -1


class Refused(ValueError):
    """The report breaks a rule of the protocol: it is dropped whole."""


class ProgramStatus:
    """The records of one terminal, the one updated longest ago first."""

    def __init__(self) -> None:
        self._records: dict[str, Report] = {}

    @property
    def root(self) -> Report | None:
        """What the program says of itself; None when it has said nothing, or took it back."""
        return self._records.get("")

    def all(self) -> list[Report]:
        """Return every record, sub-agents included."""
        return list(self._records.values())

    def apply(self, body: bytes) -> bool:
        """Take the body of an OSC 7501; return whether it was a report that counts."""
        try:
            report = parse_report(body)
        except Refused:
            return False
        if report.state == CLEAR:
            self._clear(report.id)
            return True
        self._records.pop(report.id, None)
        self._records[report.id] = self._with_app(report)
        while len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]
        return True

    def apply_agent(self, body: bytes) -> bool:
        """Take the body of an OSC 26; it ranks beside the root record."""
        report = parse_agent(body)
        if report is None:
            return False
        self._records.pop("", None)
        self._records[""] = report
        return True

    def restore(self, root: Report) -> None:
        """Take back the root record that was known before."""
        self._records[""] = root

    def forget_activity(self) -> None:
        """The program has exited, or a shell prompts: what it was doing is over."""
        gone = [key for key, r in self._records.items() if r.state in ("working", "blocked")]
        for key in gone:
            del self._records[key]

    def reset(self) -> None:
        """The terminal was reset (RIS)."""
        self._records.clear()

    def _clear(self, record: str) -> None:
        if not record:
            self._records.clear()
            return
        for key in [k for k in self._records if k == record or k.startswith(f"{record}/")]:
            del self._records[key]

    def _with_app(self, report: Report) -> Report:
        """Let a record without `app` have its nearest ancestor's."""
        name = report.id
        while not report.app and name:
            name = name.rpartition("/")[0]
            above = self._records.get(name)
            if above is not None and above.app:
                return report._replace(app=above.app)
        return report


def parse_report(body: bytes) -> Report:
    """Return the report in the body of an OSC 7501 (what follows `7501;`). Raises Refused."""
    if len(body) > MAX_BODY:
        raise Refused("too long")
    pairs = [found.groups() for part in body.split(b":") if (found := PAIR.match(part))]
    values = {key.decode(): value.decode() for key, value in pairs}
    state = values.get("state", "")
    if state not in STATES and state != CLEAR:
        raise Refused("no known state")
    name = values.get("id", "")
    if name and not _is_id(name):
        raise Refused("bad id")
    app = values.get("app", "")
    return Report(
        state,
        kind=values.get("kind", "")[:32] if state == "blocked" else "",
        app=app if APP.match(app) else "",
        id=name,
        message=_text(values.get("msg", ""), MAX_MESSAGE),
        title=_text(values.get("title", ""), MAX_TITLE),
        progress=_progress(values.get("progress", "")) if state in ("working", "blocked") else -1,
    )


def _is_id(name: str) -> bool:
    segments = name.split("/")
    return (
        len(name) <= MAX_ID
        and len(segments) <= MAX_DEPTH
        and all(SEGMENT.match(segment) for segment in segments)
    )


def _progress(value: str) -> int:
    return int(value) if value.isdigit() and len(value) <= 3 and int(value) <= 100 else -1


def _text(value: str, limit: int) -> str:
    """Return decoded text. Raises Refused past `limit` bytes, or on a control character."""
    if not value:
        return ""
    try:
        data = base64.b64decode(value, validate=True)
        text = data.decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise Refused("bad text") from error
    if len(data) > limit or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
        raise Refused("bad text")
    return text


def parse_agent(body: bytes) -> Report | None:
    """Return the report in the body of an OSC 26 (what follows `26;`), None without a status."""
    if len(body) > MAX_BODY:
        return None
    values = {}
    for part in body.decode("utf-8", "replace").split(";"):
        key, separator, value = part.partition("=")
        if separator:
            values[key.strip()] = value.strip()
    found = AGENT_STATES.get(values.get("Status", "").lower())
    if found is None:
        return None
    state, kind = found
    app = values.get("CodeAgent", "")
    try:
        message = _text(values.get("Detail", ""), MAX_MESSAGE)
    except Refused:
        plain = values.get("Detail", "")
        message = plain if plain.isprintable() and len(plain) <= MAX_MESSAGE else ""
    return Report(state, kind, app if APP.match(app) else "", message=message)


def write_report(report: Report) -> bytes:
    """Return a report as the protocol has it (OSC 7501 … ST); what is not allowed is left out."""
    pairs = [f"state={report.state}"]
    if report.kind and report.state == "blocked":
        pairs.append(f"kind={report.kind}")
    if APP.match(report.app):
        pairs.append(f"app={report.app}")
    if report.id and _is_id(report.id):
        pairs.append(f"id={report.id}")
    for key, text, limit in (
        ("msg", report.message, MAX_MESSAGE),
        ("title", report.title, MAX_TITLE),
    ):
        plain = "".join(c for c in text if c.isprintable()).encode("utf-8", "replace")[:limit]
        whole = plain.decode("utf-8", "ignore").encode()
        if whole:
            pairs.append(f"{key}={base64.b64encode(whole).decode()}")
    if 0 <= report.progress <= 100:
        pairs.append(f"progress={report.progress}")
    return f"\x1b]7501;{':'.join(pairs)}\x1b\\".encode()
