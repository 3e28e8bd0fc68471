"""docs/protocol.md, written from the tables in wire/: `python -m tests.protocol` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from codewire.wire import peers
from codewire.wire.codes import CODES
from codewire.wire.events import EVENTS
from codewire.wire.features import NEEDS
from codewire.wire.requests import ALWAYS, FIELD_KINDS, NEVER, ROWS, Row

PATH = Path(__file__).parent.parent / "docs" / "protocol.md"

HEAD = """\
# Requests, events, error codes

Written by `python -m tests.protocol` from `codewire/wire/`; do not edit. One frame carries one JSON
object: a request with its `type` and fields, or an answer. All fields are optional on the wire;
unknown ones are ignored, and what a request must have is said in the error that asks for it.

## Requests

*Needs* is the right a caller must have. *Again* says whether a client may send a request once more
when the connection was lost before the answer: `always`, `never`, or with the key named. *Answer
in time* is `prompt` (at once), `slow` (as long as a program reads nothing or sessions take to end),
`waits` (until something happens), or `waits with` the field named. A request that *streams* has the
connection for itself from then on. Where `id` is printed **bold** it names the session acted on.

"""
PEERS = """
## The peer RPC

What members of a relay's network and its nodes ask of a node, at `/peer` on its own port or through
the relay (`service=peer`): the same frames as bytes of binary messages, control frames alone. First
`AuthHello` with a `runtime_credential`, answered by `AuthAck` (`network_id`, `subject_kind`,
`subject_id`); then requests, one by one, each with an `op_id` that its answers repeat. A session is
`{"node","id"}` or `{"node","name"}`. `{"type":"Error","error":…,"code":…}` says why not; what is no
request ends the connection. After `MsgListenAck` come `Event`s, until the end; the answer to
`MsgRequest` is the last one, too. What is sent again after a lost connection has the same `op_id`,
a `sender_cap` of its own and `repeat`: it is done once.

"""
ERRORS = """
## Error codes

`{"type":"Error","message":…,"code":…}`: the text is for people, the code for programs. Nodes of
other makes send none. Streams send it where the request has `"codes": true`, since their errors are
recorded byte for byte in upstream's golden exchanges; so is that of an unknown type.

"""


def document() -> str:
    """Return the whole text."""
    requests = _table("request | answer | needs | again | answer in time | streams | fields", ROWS)
    kinds = (
        f"| {kind} | {' '.join(f'`{name}`' for name in sorted(names))} |\n"
        for kind, names in _fields_by_kind().items()
    )
    events = (f"| `{kind}` | {keys or '—'} |\n" for kind, keys in EVENTS.items())
    fields = "\n## Fields\n\n| kind | fields |\n|---|---|\n" + "".join(kinds)
    options = (
        "\n## Fields a node must know\n\nRefused by the client, before anything is sent, where\n"
    )
    options += "the node does not list the feature (`features` of NodeStatus).\n\n"
    options += "| request | field | feature |\n|---|---|---|\n" + "".join(_needs())
    happenings = "\n## Events\n\nA key with `?` may be missing.\n\n| type | data |\n|---|---|\n"
    codes = "".join(f"- `{code}`\n" for code in CODES)
    told = happenings + "".join(events)
    return HEAD + requests + fields + options + told + PEERS + _peers() + ERRORS + codes


def _peers() -> str:
    rows = (
        (row.type, row.answer, " ".join(f"`{name}`" for name in row.names.split()))
        for row in peers.ROWS
    )
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    return f"| request | answer | fields |\n|---|---|---|\n{lines}"


def _table(head: str, rows: Iterable[Row]) -> str:
    return f"| {head} |\n{'|---' * 7}|\n" + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    names = [f"**{n}**" if n == "id" and row.session else f"`{n}`" for n in row.names.split()]
    again = row.repeat if row.repeat in (ALWAYS, NEVER) else f"`{row.repeat}`"
    patience = "waits with `follow`" if row.patience == "follow" else row.patience
    cells = (row.type, row.answer, row.verb, again, patience, "yes" if row.streams else "")
    return f"| {' | '.join(cells)} | {' '.join(names)} |\n"


def _fields_by_kind() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for kind, names in FIELD_KINDS:
        found.setdefault(kind, set()).update(names.split())
    return found


def _needs() -> Iterator[str]:
    for kind, fields in NEEDS.items():
        for name, (feature, _) in fields.items():
            yield f"| {kind} | `{name}` | {feature} |\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
