"""One request to a relay's API: address, token, JSON both ways, and words for what goes wrong."""

from __future__ import annotations

import json
import os
from typing import Any

from codewire.config import read_toml
from codewire.errors import CodewireError, ConfigError, NodeUnreachable

SECONDS = 30.0
MAX_ANSWER = 64 << 20
MAX_TEXT = 500

NOT_CONFIGURED = "relay not configured: pass --relay-url or set CODEWIRE_RELAY_URL"


def relay_url(flag: str | None, config_path: str) -> str:
    """Return a relay's address: flag, environment, configuration. Raises ConfigError."""
    url = flag or os.environ.get("CODEWIRE_RELAY_URL") or read_toml(config_path).get("relay_url")
    if not url or not isinstance(url, str):
        raise ConfigError(NOT_CONFIGURED)
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"relay URL {url!r}: must be http://host or https://host")
    return url.rstrip("/")


def ask_relay(
    url: str,
    token: str,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    ca: str | None = None,
    insecure: bool = False,
) -> Any:
    """Return a relay's answer. Raises NodeUnreachable, or CodewireError with the relay's words."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPSHandler, Request, build_opener

    from codewire.io.tls import client_context

    data = None if body is None else json.dumps(body).encode()
    request = Request(url + path, data, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    if data is not None:
        request.add_header("Content-Type", "application/json")
    handlers = []
    if url.startswith("https:"):
        handlers.append(HTTPSHandler(context=client_context(ca or "", insecure)))
    try:
        with build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            text = answer.read(MAX_ANSWER)
    except HTTPError as error:
        with error:
            words = error.read(MAX_TEXT).decode("utf-8", "replace").strip()
        raise CodewireError(_refused(url, error.code, words)) from error
    except (OSError, ValueError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        raise NodeUnreachable(f"asking the relay at {url}: {_words(cause)}") from error
    try:
        return json.loads(text) if text.strip() else None
    except ValueError as error:
        raise CodewireError(f"{url}{path} answered no JSON: is a relay there?") from error


def _refused(url: str, status: int, words: str) -> str:
    if status == 401:
        return f"the relay at {url} does not accept this token"
    return f"the relay at {url} answered HTTP {status}: {words or 'nothing'}"


def _words(cause: object) -> str:
    return str(getattr(cause, "strerror", None) or cause).lower()
