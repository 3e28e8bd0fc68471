"""What handlers answer: JSON on success, a line of text for everything else (spec/relay.md 2)."""

from __future__ import annotations

import json
from typing import Any

from codewire.errors import CodewireError
from codewire.wire.http import Answer, Fields, plain

JSON = "application/json"
NO_CONTENT = Answer(204)
# Answers are about who asked, and change.
PRIVATE: Fields = (("Cache-Control", "no-store"),)


class Refusal(CodewireError):
    """Why a request is not done; raised anywhere below a handler, also within a transaction."""

    def __init__(self, status: int, text: str, fields: Fields = ()) -> None:
        super().__init__(text)
        self.status = status
        self.fields = fields

    def answer(self) -> Answer:
        """Return what the client is told."""
        return plain(self.status, str(self), self.fields)


def bad_request(text: str = "bad request") -> Refusal:
    """Return a 400."""
    return Refusal(400, text)


def unauthorized() -> Refusal:
    """Return a 401."""
    return Refusal(401, "unauthorized", (("WWW-Authenticate", "Bearer"),))


def json_answer(value: Any) -> Answer:
    """Return one JSON value and a line feed, with status 200: Go clients compare with that."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Answer(200, text.encode("utf-8", "replace") + b"\n", (("Content-Type", JSON), *PRIVATE))


def html_answer(text: str) -> Answer:
    """Return a page that runs no scripts and is shown in no frame."""
    return Answer(
        200,
        text.encode(),
        (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            # Not no-referrer: a form's POST would then come without its Origin (Fetch 3.2).
            ("Referrer-Policy", "same-origin"),
            *PRIVATE,
        ),
    )
