"""What a node may know beyond the protocol of its first days, by the names it lists itself.

NodeStatus answers with `features`; a node that lists none knows none of them, whatever it may do
by chance. A client asks before it sends what must not be dropped silently (NEEDS), and before it
sends again what must not be done twice (requests.py); NEEDS goes by its rows, too.
"""

from __future__ import annotations

from typing import Any

# A request with one of these that was seen before is answered, not done again.
from codewire.wire.requests import INPUT_KEY, LAUNCH_KEY, REQUEST_KEY

# Conditions and options of SendInput and Launch.
IF_IDLE = "if_idle"
EXPECT_SCREEN = "expect_screen"
SIZE = "size"
DIR_OPTIONAL = "dir_optional"
# Launch with env_base "none" brings the caller's environment; with clean_env little of it is used.
ENV_BASE = "env_base"
# Waits: for silence (idle_ms), for text (Logs with mark_typed and a time-out of its own).
IDLE = "idle"
FOR = "for"
TIMEOUT_MS = "timeout_ms"
# Reading a log from a byte offset on, and at most so much of it.
FROM_OFFSET = "from_offset"
MAX_BYTES = "max_bytes"
# GetScreen, and Attach with `history: terminal`.
SCREEN = "screen"
HISTORY = "history"
# Kill, KillAll and KillByTags with `tree` end daemons, too.
TREE = "tree"
# SendInput with submit: Enter once the screen shows the text, and a verdict. With keys: by name.
SUBMIT = "submit"
KEYS = "keys"
# ListSessions with name, tags or brief answers with those sessions, that much of them.
LIST_FILTER = "list_filter"
# Sessions have states (Wait with them, ReportTask with idle and kinds, ExplainAgent), decisions
# that wait are listed and answered, and a look may leave a result unseen.
STATES = "states"
APPROVALS = "approvals"
PEEK = "peek"

# What this version's node says of itself.
FEATURES = (
    LAUNCH_KEY,
    INPUT_KEY,
    REQUEST_KEY,
    IF_IDLE,
    EXPECT_SCREEN,
    SIZE,
    DIR_OPTIONAL,
    ENV_BASE,
    IDLE,
    FOR,
    TIMEOUT_MS,
    FROM_OFFSET,
    MAX_BYTES,
    SCREEN,
    HISTORY,
    TREE,
    LIST_FILTER,
    STATES,
    APPROVALS,
    PEEK,
    SUBMIT,
    KEYS,
)

# By request type: which field a node must know, and the option that people call it by. A node that
# does not know a field ignores it, and would do something else than was asked for.
NEEDS: dict[str, dict[str, tuple[str, str]]] = {
    "SendInput": {
        "input_key": (INPUT_KEY, "--key"),
        "if_idle_ms": (IF_IDLE, "--if-idle"),
        "expect_screen": (EXPECT_SCREEN, "--expect-screen"),
        "submit": (SUBMIT, "--submit"),
        "prompt": (SUBMIT, "prompt"),
        "keys": (KEYS, "--keys"),
    },
    "Launch": {
        "rows": (SIZE, "--size"),
        "cols": (SIZE, "--size"),
        "clean_env": (ENV_BASE, "--clean-env"),
    },
    **dict.fromkeys(("Kill", "KillAll", "KillByTags"), {"tree": (TREE, "--tree")}),
    "Wait": {"idle_ms": (IDLE, "--idle"), "states": (STATES, "--state")},
    "ReportTask": {"state_kind": (STATES, "this report")},
    "ExplainAgent": {"peek": (STATES, "agent explain")},
    "Approvals": {"peek": (APPROVALS, "approvals")},
    "Approve": {"approval": (APPROVALS, "approve")},
    # A search for text takes the same offset, so it is named first.
    "Logs": {"mark_typed": (FOR, "--for"), "from_offset": (FROM_OFFSET, "from_offset")},
    "WatchSession": {"from_offset": (FROM_OFFSET, "from_offset")},
}

# What a refusal says did not happen, because it comes before anything was sent.
NOTHING_DONE = {
    "SendInput": "nothing was typed",
    "Launch": "nothing was started",
    "Approve": "nothing was chosen",
    **dict.fromkeys(("Kill", "KillAll", "KillByTags"), "nothing was ended"),
}

# What a request that came later is about, for who asks a node that does not know it.
WORDS = {
    "GetScreen": "screens of sessions",
    "ReportTask": "reports of agents",
    "ExplainAgent": "states of agents",
    "Approvals": "decisions to list",
    "Approve": "decisions to answer",
    "NodeStatus": "questions about itself",
    "NodeRestart": "restart of its worker",
    "Subscribe": "events",
    "Wait": "waiting for sessions",
    **dict.fromkeys(("KillByTags",), "tags"),
    **dict.fromkeys(("MsgSend", "MsgRead", "MsgRequest", "MsgReply", "MsgListen"), "messages"),
    **dict.fromkeys(("KVSet", "KVGet", "KVDelete", "KVList"), "shared keys"),
}


def missing(request: dict[str, Any], known: frozenset[str]) -> str:
    """Return the option of a request that a node with these features would drop, "" if none."""
    for field, (feature, option) in NEEDS.get(request.get("type", ""), {}).items():
        if request.get(field) is not None and feature not in known:
            return option
    return ""


def listed(answer: dict[str, Any]) -> frozenset[str]:
    """Return the features in a NodeStatus answer; those of a node that names none are none."""
    found = answer.get("features")
    if not isinstance(found, list):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str))
