"""What a program prints of how it is started again: OSC 26 (SessionId, MethodResume) and OSC 88.

Pure. Both are drafts (spec/agents.md 8): pairs `Key=Value` joined by `;`, values with blanks in
base64 or as they are. Untrusted: it authorises nothing, and is shown before anything comes of it.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

MAX_BODY = 4096
COMMANDS = ("MethodResume", "Command", "Resume")
# A plain value that happens to be base64 is one all the same, unless it would be no text then.
BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


class Resumption(NamedTuple):
    """What was said last: the id of the conversation, the command line that takes it up."""

    session: str = ""
    command: str = ""


def parse_resumption(body: bytes, before: Resumption) -> Resumption:
    """Return what an OSC's body (what follows `26;` or `88;`) says; what it leaves out stays."""
    if len(body) > MAX_BODY:
        return before
    values: dict[str, str] = {}
    for part in body.decode("utf-8", "replace").split(";"):
        key, separator, value = part.partition("=")
        if separator:
            values[key.strip()] = value.strip()
    command = next((values[key] for key in COMMANDS if values.get(key)), "")
    session = values.get("SessionId", "")
    return Resumption(session or before.session, _decoded(command) or before.command)


def _decoded(value: str) -> str:
    if value and len(value) % 4 == 0 and BASE64.issuperset(value):
        try:
            text = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return value
        if text.isprintable():
            return text
    return value
