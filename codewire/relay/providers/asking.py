"""One request to a provider: a form or JSON there, JSON back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from codewire.errors import CodewireError, RelayError
from codewire.network.exchange import Exchange, Request, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

# Providers answer in a second; a browser waits for this.
SECONDS = 10.0
MAX_ANSWER = 1 << 20
# Of a provider's words, in characters.
MAX_WORDS = 200


class ProviderError(CodewireError):
    """A provider cannot be asked, or does not answer what it should."""


class Reply(NamedTuple):
    """Status and JSON object of an answer; {} where there is none."""

    status: int
    value: dict[str, Any]

    def text(self, name: str) -> str:
        """Return a member that is a text, "" where it is none."""
        value = self.value.get(name)
        return value if isinstance(value, str) else ""

    def whole(self, name: str, default: int) -> int:
        """Return a member that is a number above 0, else the default."""
        value = self.value.get(name)
        return value if type(value) is int and 0 < value < 1 << 31 else default

    def check(self) -> Reply:
        """Return this, a success. Raises ProviderError."""
        error = self.text("error_description") or self.text("error") or self.text("message")
        if not 200 <= self.status < 300 or self.text("error"):
            words = "".join(c for c in error[:MAX_WORDS] if c.isprintable())
            raise ProviderError(words or f"the provider answered HTTP {self.status}")
        return self


def ask(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    bearer: str = "",
    method: str = "",
) -> Reply:
    """Return a provider's answer, whatever its status; a `form` is posted. Raises ProviderError."""
    parts = urlsplit(url)
    fields = [("Accept", "application/json"), ("User-Agent", "codewire-relay")]
    body = None
    if form is not None:
        body = urlencode(form).encode()
        fields.append(("Content-Type", "application/x-www-form-urlencoded"))
    elif method == "POST":
        body = b""
    if bearer:
        fields.append(("Authorization", f"Bearer {bearer}"))
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    request = Request(method or ("GET" if form is None else "POST"), target, body, tuple(fields))
    try:
        with Exchange(Server(f"{parts.scheme}://{parts.netloc}"), request, SECONDS) as exchange:
            data = exchange.read(MAX_ANSWER)
            return Reply(exchange.status, _object(data))
    except RelayError as error:
        cause = str(error).removeprefix("relay ")
        raise ProviderError(cause) from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
