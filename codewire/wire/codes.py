"""Why a request was refused, in one word: the optional `code` of an Error frame.

The texts are for people and may change; whoever acts on an error goes by its code. Nodes of other
makes send none, and upstream's own recorded answers stay as they are (requests.py, `codes`).
"""

from __future__ import annotations

from codewire.errors import (
    CodewireError,
    KeeperError,
    LogUnavailable,
    OutOfThreads,
    ProtocolError,
    RequestError,
)

NO_SUCH_SESSION = "no_such_session"
NO_SUCH_REQUEST = "no_such_request"
NAME_TAKEN = "name_taken"
NOT_RUNNING = "not_running"
NO_DIRECTORY = "no_directory"
SCREEN_CHANGED = "screen_changed"
UNAUTHORISED = "unauthorised"
UNKNOWN_REQUEST = "unknown_request"
BAD_REQUEST = "bad_request"
TOO_LARGE = "too_large"
TIMED_OUT = "timed_out"
BUSY = "busy"
UNAVAILABLE = "unavailable"
INTERNAL = "internal"
# Said by the keeper, which answers while no worker can start.
NO_WORKER = "no_worker"

CODES = (
    NO_SUCH_SESSION,
    NO_SUCH_REQUEST,
    NAME_TAKEN,
    NOT_RUNNING,
    NO_DIRECTORY,
    SCREEN_CHANGED,
    UNAUTHORISED,
    UNKNOWN_REQUEST,
    BAD_REQUEST,
    TOO_LARGE,
    TIMED_OUT,
    BUSY,
    UNAVAILABLE,
    INTERNAL,
    NO_WORKER,
)

# What an error means that does not say itself; the first class that fits counts.
_OF_CLASS: tuple[tuple[type[CodewireError], str], ...] = (
    (ProtocolError, BAD_REQUEST),
    (OutOfThreads, BUSY),
    (LogUnavailable, UNAVAILABLE),
    (KeeperError, UNAVAILABLE),
)


def code_of(error: CodewireError) -> str:
    """Return an error's code, "" for one that has none."""
    if isinstance(error, RequestError) and error.code:
        return error.code
    return next((code for kind, code in _OF_CLASS if isinstance(error, kind)), "")
