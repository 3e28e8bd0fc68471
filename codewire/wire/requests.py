"""Every request there is, one row each: what a node dispatches by and a client asks by.

A row says what the request carries, what answers it, which right it takes, whether it may be sent
again and how long an answer may take. Both ends go by it, and docs/protocol.md shows it; who
answers a request is said where that is done (HANDLERS in node/handlers).
"""

from __future__ import annotations

from typing import Any

from codewire.errors import ProtocolError

# The type goes into error texts and logs; no request type is anywhere near as long.
MAX_TYPE_LENGTH = 100

# Every field, by its kind (fields.py): it means the same in every request that has it. The last
# line is upstream's, of requests this node does not know: checked all the same, as upstream does.
FIELD_KINDS = (
    ("u16", "cols rows choice"),
    ("u32", "id to_id tail history_lines from_session env_caller restart_max"),
    ("u64", "subscription_id timeout_seconds timeout_ms from_offset max_bytes"),
    ("u64", "idle_ms if_idle_ms"),
    ("flag", "include_history follow strip_ansi full force mark_typed paste ansi screen_hash"),
    ("flag", "brief dir_optional tree auto codes peek refuse submit prompt clean_env"),
    ("flag", "no_save_env restore notices"),
    ("texts", "command env tags event_types states"),
    ("bytes", "stdin_data data value"),
    (
        "text",
        "working_dir name env_base launch_key condition namespace key ttl to_name body request_id",
    ),
    ("text", "input_key expect_screen request_key history reply_token delivery from_node"),
    ("text", "verb audience_node sender_cap summary state approval state_kind keys"),
    ("text", "restart way conversation"),
)
FIELDS = {name: kind for kind, names in FIELD_KINDS for name in names.split()}

# What a caller must be allowed to do.
READ, TYPE, RUN, MANAGE = "read", "type", "run", "manage"
MSG_SEND, MSG_READ, MSG_LISTEN = "msg.send", "msg.read", "msg.listen"
KV_READ, KV_WRITE = "kv.read", "kv.write"
VERBS = (READ, TYPE, RUN, MANAGE, MSG_SEND, MSG_READ, MSG_LISTEN, KV_READ, KV_WRITE)

# May a client send it again when the connection was lost before the answer? What changes nothing:
# always. Else only with a key by which the node knows it again: the field of that name.
NEVER, ALWAYS = "never", "always"
LAUNCH_KEY, INPUT_KEY, REQUEST_KEY = "launch_key", "input_key", "request_key"

# How long may an answer take? At once, unless the node is stuck. Or as long as a program reads
# nothing, or the node's grace_seconds allow, but not for ever at a node that does nothing at all.
# Or until a session or a person does something; FOLLOWS does where the field `follow` is set.
PROMPT, SLOW, WAITS, FOLLOWS = "prompt", "slow", "waits", "follow"


class Row:
    """One request. `repeat` is NEVER, ALWAYS or the field of its key."""

    __slots__ = (
        "type",
        "verb",
        "answer",
        "names",
        "repeat",
        "patience",
        "streams",
        "session",
        "needs",
    )

    def __init__(
        self,
        type: str,
        verb: str,
        answer: str,
        fields: str = "",
        *,
        repeat: str,
        patience: str = PROMPT,
        streams: bool = False,
        session: bool = False,
        needs: str = "",
    ) -> None:
        """`streams`: the connection is its own from then on. `session`: `id` is what it acts on.

        `needs`: fields that only go to a node which is known to know them (features.py).
        """
        self.type = type
        self.verb = verb
        self.answer = answer
        self.names = fields
        self.repeat = repeat
        self.patience = patience
        self.streams = streams
        self.session = session
        self.needs = needs

    @property
    def fields(self) -> frozenset[str]:
        """What it may carry beside `type`."""
        return frozenset(self.names.split())


_TIMES = "timeout_seconds timeout_ms"
_FROM = "id from_node"
_LETTER = f"{_FROM} auto to_id to_name body delivery force request_key"

# fmt: off
ROWS = (
    Row("ListSessions", READ, "SessionList", "id name tags brief", repeat=ALWAYS),
    Row("Launch", RUN, "Launched",
        "command working_dir dir_optional name env env_base env_caller clean_env stdin_data tags "
        "rows cols launch_key no_save_env restart restart_max",
        repeat=LAUNCH_KEY, needs="rows cols clean_env no_save_env restart"),
    # Its environment is for a session that saved none.
    Row("Relaunch", RUN, "Relaunched",
        "id way restore env env_base env_caller clean_env launch_key",
        repeat=LAUNCH_KEY, session=True, needs="way"),
    Row("Restorable", READ, "RestorableList", repeat=ALWAYS),
    Row("ForgetRestorable", MANAGE, "RestorableForgotten", "id", repeat=NEVER, session=True),
    Row("Kill", MANAGE, "Killed", "id tree",
        repeat=NEVER, patience=SLOW, session=True, needs="tree"),
    Row("KillAll", MANAGE, "KilledAll", "tree", repeat=NEVER, patience=SLOW, needs="tree"),
    Row("KillByTags", MANAGE, "KilledAll", "tags tree",
        repeat=NEVER, patience=SLOW, needs="tree"),
    Row("SendInput", TYPE, "InputSent",
        "id data keys submit prompt input_key if_idle_ms expect_screen paste",
        repeat=INPUT_KEY, patience=SLOW, session=True,
        needs="input_key if_idle_ms expect_screen submit prompt keys"),
    Row("GetScreen", READ, "Screen", "id history_lines ansi peek", repeat=ALWAYS, session=True),
    Row("GetStatus", READ, "SessionStatus", "id screen_hash full", repeat=ALWAYS, session=True),
    # Outside an attachment both do nothing; inside one they have no answer of their own.
    Row("Resize", TYPE, "Resized", "id cols rows", repeat=NEVER),
    Row("Detach", READ, "Detached", "id", repeat=NEVER),
    # Prompt, as all streams that answer before anything happens.
    Row("Attach", TYPE, "Attached",
        "id include_history history_lines history from_offset from_session codes notices",
        repeat=NEVER, streams=True, session=True),
    Row("Logs", READ, "LogData",
        f"id follow tail strip_ansi from_offset max_bytes mark_typed from_session codes {_TIMES}",
        repeat=ALWAYS, patience=FOLLOWS, streams=True, session=True,
        needs="mark_typed from_offset"),
    Row("WatchSession", READ, "WatchUpdate",
        "id include_history history_lines tail from_offset from_session codes",
        repeat=ALWAYS, patience=WAITS, streams=True, session=True, needs="from_offset"),
    Row("Subscribe", READ, "SubscribeAck", "id tags event_types subscription_id codes",
        repeat=ALWAYS, patience=WAITS, streams=True, session=True),
    Row("Wait", READ, "WaitResult", f"id tags condition idle_ms states codes {_TIMES}",
        repeat=ALWAYS, patience=WAITS, streams=True, session=True, needs="idle_ms states"),
    Row("ReportTask", TYPE, "TaskReported", "id name summary state state_kind conversation",
        repeat=NEVER, session=True, needs="state_kind"),
    Row("ExplainAgent", READ, "AgentExplained", "id peek",
        repeat=ALWAYS, session=True, needs="peek"),
    Row("Approvals", READ, "ApprovalList", "id tags peek",
        repeat=ALWAYS, session=True, needs="peek"),
    # The choice is looked for on the screen, key by key.
    Row("Approve", TYPE, "Approved", "approval choice refuse codes",
        repeat=NEVER, patience=SLOW, streams=True, needs="approval"),
    # In mail `id` is who sends; of what is read or listened to it is whose.
    Row("MsgSend", MSG_SEND, "MsgSent", _LETTER, repeat=REQUEST_KEY),
    Row("MsgRequest", MSG_SEND, "MsgRequestResult", f"{_LETTER} codes {_TIMES}",
        repeat=REQUEST_KEY, patience=WAITS, streams=True),
    Row("MsgReply", MSG_SEND, "MsgReplySent", f"{_FROM} request_id reply_token body request_key",
        repeat=REQUEST_KEY),
    # The relay signs it; a second one does no harm.
    Row("IssueSenderDelegation", MSG_SEND, "SenderDelegationIssued", "id name verb audience_node",
        repeat=ALWAYS),
    Row("MsgRead", MSG_READ, "MsgReadResult", "id to_name tail", repeat=ALWAYS, session=True),
    Row("MsgListen", MSG_LISTEN, "MsgListenAck", "id codes",
        repeat=ALWAYS, patience=WAITS, streams=True, session=True),
    Row("KVSet", KV_WRITE, "KVSetOK", "namespace key value ttl request_key", repeat=REQUEST_KEY),
    Row("KVGet", KV_READ, "KVGetResult", "namespace key", repeat=ALWAYS),
    Row("KVDelete", KV_WRITE, "KVDeleteOK", "namespace key request_key", repeat=REQUEST_KEY),
    Row("KVList", KV_READ, "KVListResult", "namespace key", repeat=ALWAYS),
    Row("NodeStatus", READ, "NodeStatus", repeat=ALWAYS),
    Row("NodeRestart", MANAGE, "NodeRestarting", repeat=NEVER),
    # The signal that ends it comes after.
    Row("NodeStop", MANAGE, "NodeStopping", repeat=NEVER),
)
# fmt: on
REQUESTS = {row.type: row for row in ROWS}


def is_question(request: dict[str, Any]) -> bool:
    """Say whether a request changes nothing."""
    row = REQUESTS.get(request.get("type", ""))
    return row is not None and row.repeat == ALWAYS


def key_of(request: dict[str, Any]) -> str:
    """Return the feature that makes this request safe to repeat, "" where nothing does."""
    row = REQUESTS.get(request.get("type", ""))
    if row is None or row.repeat in (ALWAYS, NEVER):
        return ""
    return row.repeat if request.get(row.repeat) else ""


def is_wait(request: dict[str, Any]) -> bool:
    """Say whether the answer may take as long as somebody likes."""
    row = REQUESTS.get(request.get("type", ""))
    if row is None or row.patience == PROMPT:
        return False
    return row.patience != FOLLOWS or bool(request.get("follow"))


def is_slow(request: dict[str, Any]) -> bool:
    """Say whether a request waits, but not for a node whose worker is stopped."""
    row = REQUESTS.get(request.get("type", ""))
    return row is not None and row.patience == SLOW


def row_of(request: dict[str, Any]) -> Row:
    """Return the row of a request that is to be sent. Raises ValueError where it has none."""
    kind = request.get("type", "")
    row = REQUESTS.get(kind)
    if row is None:
        raise ValueError(f"there is no request of type {kind!r} in wire/requests.py")
    return row


def check_outgoing(request: dict[str, Any]) -> None:
    """Raise ValueError for a request that has no row, or a field that its row does not list.

    Such a field would be dropped without a word by the node; that is a mistake of this program.
    """
    row = row_of(request)
    fields = row.fields
    unlisted = [name for name in request if name != "type" and name not in fields]
    if unlisted:
        raise ValueError(f"{row.type} has no field {unlisted} in wire/requests.py")


def parse_request(message: dict[str, Any]) -> dict[str, Any]:
    """Return `type` and the fields its row has, checked, byte fields as bytes.

    A missing type is "", null is absent, unknown keys are dropped. Known fields are checked also
    where the request has no use for them, as upstream does; for an unknown type all are kept.
    Raises ProtocolError with one line that names the field, what it must be and what came.
    """
    # Only a node reads requests; a client is faster without.
    from codewire.wire.fields import check_field

    name = _request_type(message.get("type"))
    row = REQUESTS.get(name)
    wanted = FIELDS if row is None else row.fields
    request: dict[str, Any] = {"type": name}
    for key, kind in FIELDS.items():
        value = message.get(key)
        if value is not None:
            value = check_field(key, kind, value)
            if key in wanted:
                request[key] = value
    return request


def _request_type(value: Any) -> str:
    from codewire.wire.fields import shown

    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"invalid request: type must be a string, got {shown(value)}")
    if len(value) > MAX_TYPE_LENGTH:
        raise ProtocolError("invalid request: type is too long")
    return value
