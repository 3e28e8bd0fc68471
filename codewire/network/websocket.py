"""WebSockets of a relay: where they are, who shows which token, what a refusal means."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from codewire.errors import (
    ConnectionLost,
    NodeRefused,
    NodeUnreachable,
    ProtocolError,
    RelayError,
    RelayRefused,
    RelayUnreachable,
)
from codewire.io.dialling import Declined, Trust, dial_websocket
from codewire.network.exchange import Server, parse_base

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream
    from codewire.wire.http import Fields

MAX_REASON = 400


def open_websocket(
    server: Server, path: str, token: str, fields: Fields, seconds: float
) -> WebSocketStream:
    """Return an open WebSocket of the relay; the caller closes it. Blocks for `seconds` at most.

    Raises RelayUnreachable (worth trying again), RelayRefused with its status, RelayError.
    """
    address = parse_base(server.url)
    address = address._replace(path=address.path + path)
    fields = (("Authorization", f"Bearer {token}"), *fields)
    trust, name = Trust(server.ca, server.insecure), f"relay {server.url}"
    try:
        deadline = time.monotonic() + seconds
        return dial_websocket(address, fields, deadline, trust, awaits_close=True)
    except Declined as error:
        raise _refusal(name, error) from error
    except TimeoutError as error:
        raise RelayUnreachable(f"{name}: no answer within {seconds:.3g}s") from error
    except NodeRefused as error:
        raise RelayError(f"{name}: {error}") from error
    except (NodeUnreachable, ConnectionLost) as error:
        raise RelayUnreachable(f"{name} cannot be reached: {error}") from error
    except ProtocolError as error:
        raise RelayError(f"{name} does not speak HTTP as it should: {error}") from error
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise RelayUnreachable(f"{name} cannot be reached: {cause}") from error


def reason_in(body: bytes) -> str:
    """Return a refusal's words in one line; a proxy's page of HTML is of no use."""
    line = body[:MAX_REASON].decode("utf-8", "replace").partition("\n")[0].strip()
    return line if line.isprintable() and "<" not in line else ""


def _refusal(name: str, error: Declined) -> RelayRefused:
    text = reason_in(error.body)
    if error.status == 401:
        return RelayRefused(f"{name} does not accept this token", 401, text)
    return RelayRefused(f"{name} answered {error.status}{text and f': {text}'}", error.status, text)
