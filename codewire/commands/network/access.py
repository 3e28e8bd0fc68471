"""`cw access`: a temporary right to read or follow one session's messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.commands.network.showing import quoted
from codewire.errors import UsageError
from codewire.wire.timestamps import parse_timestamp

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.answers import Grant

READ, LISTEN = "msg.read", "msg.listen"
DEFAULT_TTL = "10m"


def access(args: dict[str, Any], context: Context) -> int:
    """Access grants: let somebody read one session's messages for a while.

    Usage:
      cw access [options] [<command>...]

    Commands:
      cw access grant <session> --to <who>  Grant access to node:session
      cw access list                        List a network's grants, or those you accepted
      cw access revoke <grant>              End a grant
      cw access accept <token>              Keep a grant that you were given
      cw access inspect <grant>             Show one that you accepted
      cw access drop <grant>                Forget one
      cw access prune                       Forget those that are over
      cw access watch                       Forget those that are revoked, at once

    Examples:
      cw access grant dev-1:planner --to alice --for 10m
      cw access accept cwog1....
    """
    return showing.group_help("access", args)


def grant(args: dict[str, Any], context: Context) -> int:
    """Let somebody read a session's messages, or follow them. Without either flag: both.

    Usage:
      cw access grant [options] <session>

    Options:
          --to <who>             A user of the relay: a name, or github:<id>, oidc:<sub>, user:<id>
          --for <duration>       How long, at most 24h [default: 10m]
          --read                 Only the messages there are
          --listen               Only those to come
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access grant dev-1:planner --to alice --for 30m --read
    """
    if not args["--to"]:
        raise UsageError("--to is required: whom to let in")
    node, session = _target(args["<session>"])
    relay, user, network = asking.in_network(args, context)
    ttl = args["--for"] or DEFAULT_TTL
    verbs = [verb for verb, flag in ((READ, "--read"), (LISTEN, "--listen")) if args[flag]]
    is_id = session.isascii() and session.isdigit()
    with Asking("grant access", relay):
        made = user.issue_grant(
            network,
            node,
            args["--to"],
            session_id=int(session) if is_id else None,
            session_name="" if is_id else session,
            verbs=verbs,
            ttl=ttl,
        )
    if output.wants_json(args):
        output.show_json(_as_issued(made))
        return 0
    showing.line(
        f"Granted {showing.verbs(made.verbs)} on {node}:{session} to {args['--to']} for {ttl}."
    )
    _lines(("Grant ID", made.id), ("Expires", made.expires_at), ("Token", made.token))
    return 0


def _as_issued(made: Grant) -> dict[str, Any]:
    """Return a new grant as the API does, which names two members otherwise then."""
    shown: dict[str, Any] = showing.shown(made)
    return {"delegation": shown.pop("token", ""), "grant_id": shown.pop("id", ""), **shown}


def list_grants(args: dict[str, Any], context: Context) -> int:
    """List a network's grants, newest first; or those that you have accepted.

    Usage:
      cw access list [options]

    Options:
          --accepted             Those you have accepted, on this machine
          --active               Only those that hold now
          --mine                 Only those for you
          --to <who>             Only those for this user
          --node <node>          Only those on this node
          --session <session>    With --accepted: only those on this session
          --verb <read|listen>   With --accepted: only those for this
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access list --active
      cw access list --accepted --node dev-1
    """
    _check_filters(args)
    if args["--accepted"]:
        from codewire.commands.network.accepting import list_accepted

        return list_accepted(args, context)
    relay, user, network = asking.in_network(args, context)
    with Asking("list access grants", relay):
        found = user.grants(
            network,
            target_node=args["--node"] or "",
            audience=args["--to"] or "",
            active=bool(args["--active"]),
            mine=bool(args["--mine"]),
        )
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    now = time.time_ns()
    rows = [
        (
            one.id,
            showing.target(one.target_node, one.session_id, one.session_name),
            showing.verbs(one.verbs),
            one.audience_display or one.audience_subject_id,
            _status(one, now),
        )
        for one in found
    ]
    showing.columns(("ID", "TARGET", "VERBS", "AUDIENCE", "STATUS"), rows, "No access grants")
    return 0


def _check_filters(args: dict[str, Any]) -> None:
    if args["--mine"] and args["--to"]:
        raise UsageError("--mine and --to exclude each other")
    relays = [name for name in ("--mine", "--to", "--active") if args[name]]
    if args["--accepted"] and relays:
        raise UsageError(f"--accepted cannot be combined with {relays[0]}")
    ours = [name for name in ("--session", "--verb") if args[name]]
    if ours and not args["--accepted"]:
        raise UsageError(f"{ours[0]} needs --accepted")


def revoke(args: dict[str, Any], context: Context) -> int:
    """End a grant: its node refuses it within seconds, and whoever watches forgets it.

    Usage:
      cw access revoke [options] <grant>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw access revoke og_...
    """
    relay, user, network = asking.in_network(args, context)
    identity = args["<grant>"].strip()
    with Asking("revoke access grant", relay):
        user.revoke_grant(network, identity)
    showing.tell(
        args,
        {"status": "revoked", "grant_id": identity},
        f"Revoked access grant {quoted(identity)}",
    )
    return 0


def _target(given: str) -> tuple[str, str]:
    node, _, session = given.partition(":")
    if not node or not session or ":" in session:
        raise UsageError("target must be <node>:<session>")
    return node, session


def _status(one: Grant, now: int) -> str:
    if one.revoked_at:
        return "revoked"
    try:
        return "active" if parse_timestamp(one.expires_at) > now else "expired"
    except ValueError:
        return "-"


def _lines(*pairs: tuple[str, str]) -> None:
    for label, value in pairs:
        showing.line(f"{label}: {value}")
