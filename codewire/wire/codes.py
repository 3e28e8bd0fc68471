"""Why a request was refused, in one word: the optional `code` of an Error frame.

The texts are for people and may change; whoever acts on an error goes by its code. Nodes of other
makes send none, and upstream's own recorded answers stay as they are (requests.py, `codes`).
"""

from __future__ import annotations

from codewire.errors import CodewireError, ProtocolError

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


def code_of(error: CodewireError) -> str:
    """Return an error's code as a node says it, "" for one that has none."""
    if isinstance(error, ProtocolError):
        # To the client, it is the client's request that is no good.
        return BAD_REQUEST
    return error.code if error.code in CODES else ""
