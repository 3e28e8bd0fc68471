"""`cw access accept`, `inspect`, `drop`, `prune`, `watch`: grants that this user was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.commands.network.showing import quoted
from codewire.errors import CodewireError, ConfigError, RelayUnreachable
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.accepted import Accepted, Pruned, Record
    from codewire.network.configuration import Configuration
    from codewire.network.events import Event


def accept(args: dict[str, Any], context: Context) -> int:
    """Keep a grant that you were given, so that `cw inbox` and `cw listen` find it.

    Usage:
      cw access accept [options] <token>

    Options:
          --relay-url <url>      The relay that it is from
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access accept cwog1....
    """
    relay = asking.configuration(args, context)
    record = _accepted().accept(args["<token>"].strip(), time.time_ns(), relay.url)
    if output.wants_json(args):
        output.show_json(_shown(record))
        return 0
    showing.line(f"Accepted access grant for {_target(record)}.")
    showing.line(f"Grant ID: {record['grant_id']}\nExpires: {record['expires_at']}")
    return 0


def list_accepted(args: dict[str, Any], context: Context) -> int:
    """Do `cw access list --accepted`."""
    relay = asking.configuration(args, context)
    _prune(relay)
    kept = _accepted().all(time.time_ns())
    found = [one for one in kept if _is_wanted(one, args, context.network)]
    if output.wants_json(args):
        output.show_json([_shown(one) for one in found])
        return 0
    rows = [
        (one["grant_id"], _target(one), showing.verbs(one["verbs"]), one["expires_at"])
        for one in found
    ]
    showing.columns(("ID", "TARGET", "VERBS", "EXPIRES"), rows, "No accepted access grants")
    return 0


def _is_wanted(record: Record, args: dict[str, Any], network: str) -> bool:
    session, verb = args["--session"], args["--verb"]
    return (
        args["--node"] in (None, record["target_node"])
        and network in ("", record["network_id"])
        and session in (None, record.get("session_name"), str(record.get("session_id", "")))
        and (verb is None or verb in showing.verbs(record["verbs"]).split(","))
    )


def inspect(args: dict[str, Any], context: Context) -> int:
    """Show a grant that you have accepted.

    Usage:
      cw access inspect [options] <grant>

    Options:
          --relay-url <url>      Ask this relay whether it still holds
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access inspect og_...
    """
    _prune(asking.configuration(args, context))
    record = _find(args["<grant>"])
    if output.wants_json(args):
        output.show_json(_shown(record))
        return 0
    for label, value in (
        ("Grant ID", record["grant_id"]),
        ("Target", _target(record)),
        ("Network", record["network_id"]),
        ("Verbs", showing.verbs(record["verbs"])),
        ("Audience", str(record.get("audience_subject_id", "-"))),
        ("Accepted", str(record.get("accepted_at", "-"))),
        ("Expires", record["expires_at"]),
    ):
        showing.line(f"{label + ':':<10}{value}")
    return 0


def drop(args: dict[str, Any], context: Context) -> int:
    """Forget a grant that you have accepted.

    Usage:
      cw access drop [options] <grant>

    Options:
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access drop og_...
    """
    identity = args["<grant>"].strip()
    if not _accepted().drop(identity):
        raise CodewireError(_unknown(identity))
    showing.tell(
        args,
        {"status": "dropped", "grant_id": identity},
        f"Dropped accepted access grant {quoted(identity)}",
    )
    return 0


def prune(args: dict[str, Any], context: Context) -> int:
    """Forget accepted grants that have expired, or that their relay knows no more.

    Usage:
      cw access prune [options]

    Options:
          --relay-url <url>      Ask this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access prune
    """
    found = _prune(asking.configuration(args, context))
    if output.wants_json(args):
        output.show_json(found._asdict())
        return 0
    showing.line(
        f"Pruned accepted grants: expired={found.removed_expired} revoked={found.removed_revoked} "
        f"missing={found.removed_missing} remaining={found.remaining}"
    )
    showing.line(f"Relay validation: {'enabled' if found.relay_checked else 'skipped'}")
    return 0


def watch(args: dict[str, Any], context: Context) -> int:
    """Forget accepted grants as soon as they are revoked, until Ctrl-C.

    What was revoked while nobody watched is found as well. With --json each is a line of JSON.

    Usage:
      cw access watch [options]

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access watch
    """
    relay, user, network = asking.in_network(args, context)
    accepted = _accepted()
    output.note(f"Watching access invalidation events for {network}")
    events = user.follow_access_events(network, accepted.last_event(network), _say_lost, time.sleep)
    with Asking("watch access events", relay, shows=False):
        for event in events:
            _take(event, network, accepted, relay, output.wants_json(args))
    return 0


def _say_lost(problem: str) -> None:
    output.note(f"Access event stream disconnected: {problem}")


def _take(
    event: Event, network: str, accepted: Accepted, relay: Configuration, is_json: bool
) -> None:
    """Act on an event, then remember that it was seen."""
    from codewire.network.events import RESET, REVOKED

    if event.type == REVOKED:
        identity = str(event.value().get("grant_id", ""))
        if accepted.drop(identity):
            words = f"Removed accepted grant {identity} after relay revocation"
            _say({"type": event.type, "grant_id": identity}, words, is_json)
    elif event.type == RESET:
        found = _prune(relay)
        words = "Reconciled accepted grants after relay stream reset"
        _say({"type": event.type, **found._asdict()}, words, is_json)
    if event.id:
        accepted.note_event(network, event.id)


def _say(value: dict[str, Any], words: str, is_json: bool) -> None:
    showing.line(output.compact_json(value) if is_json else words)
    output.flush_stdout()


def _prune(relay: Configuration) -> Pruned:
    """Forget what is over; asks the relay, where that is configured and can be reached."""
    from codewire.network.accepted import UNKNOWN, verdict_of
    from codewire.network.exchange import is_same_url

    now = time.time_ns()
    try:
        user = relay.as_user()
    except ConfigError:
        return _accepted().prune(now, None)
    is_away = False

    def check(record: Record) -> str:
        nonlocal is_away
        home = record.get("relay_url")
        if is_away or (isinstance(home, str) and not is_same_url(home, relay.url)):
            return UNKNOWN
        try:
            return verdict_of(record, user.grant, now)
        except RelayUnreachable as error:
            # Nor would it answer for the others.
            is_away = True
            output.notice(f"grants are not checked: {error}")
            return UNKNOWN

    with Asking("check access grants", relay):
        return _accepted().prune(now, check)


def _accepted() -> Accepted:
    from codewire.network.accepted import Accepted

    return Accepted(data_dir().root)


def _find(identity: str) -> Record:
    for record in _accepted().all(time.time_ns()):
        if record["grant_id"] == identity:
            return record
    raise CodewireError(_unknown(identity))


def _unknown(identity: str) -> str:
    return f"accepted access grant {quoted(identity)} not found"


def _target(record: Record) -> str:
    return showing.target(
        record["target_node"], record.get("session_id"), record.get("session_name", "")
    )


def _shown(record: Record) -> Record:
    """Return what to show of a grant: all but what gives access."""
    return {name: value for name, value in record.items() if name != "token"}
