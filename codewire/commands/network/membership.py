"""`cw network join`, `leave`, `members`: who belongs to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.commands.network.networks import say_what_wins
from codewire.errors import CodewireError, RelayRefused, UsageError
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.network.configuration import Configuration

    Changes = dict[tuple[str, ...], str | bool]

# What stands before the invite in the URL of a relay's page about it.
PAGE = "/join?invite="
GONE = ("membership required", "member not found")
RESTART = "cw node restart"


def join(args: dict[str, Any], context: Context) -> int:
    """Come into a network by an invite: you, if you are logged in, else this machine's node.

    Logged in, you become a member at once, and `cw node` enrols this machine in your name.
    Otherwise the invite is kept, and used for the node when it starts.

    Usage:
      cw network join [options] <invite>

    Options:
          --relay-url <url>      The relay that the invite is from
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network join --relay-url https://relay.example.com CW-INV-...
      cw network join 'https://relay.example.com/join?invite=CW-INV-...'
    """
    url, invite = _read_invite(args["<invite>"])
    relay = asking.configuration(args, context, url=url)
    if relay.withheld_session:
        relay = asking.allowed(relay)
        relay.as_user()
    if relay.user_token:
        return _join_as_user(relay, invite, args)
    return _join_as_node(relay, invite, args)


def _read_invite(given: str) -> tuple[str, str]:
    """Return the relay, "" where none is named, and the invite of what was typed."""
    url, page, invite = given.strip().partition(PAGE)
    if not page:
        url, invite = "", given.strip()
    if not invite or not invite.isascii() or not invite.isprintable() or " " in invite:
        raise UsageError("that is no invite: it looks like CW-INV-…")
    return url, invite.partition("&")[0]


def _join_as_user(relay: Configuration, invite: str, args: dict[str, Any]) -> int:
    from codewire.network import configuration

    user = relay.as_user()
    try:
        with Asking("join", relay):
            name = user.join_network(invite)
    except RelayRefused as error:
        if error.status != 403:
            raise
        words = f"invite rejected ({error.status}): {error.text or error}: ask for a new one"
        raise RelayRefused(words, error.status, error.text) from error
    changes: Changes = {configuration.NETWORK: name, configuration.INVITE_TOKEN: ""}
    remember(relay, changes)
    words = f"Joined network {showing.quoted(name)}\nStart node agent: cw node"
    showing.say(args, {"status": "joined", "network_id": name}, words)
    say_what_wins(name)
    return 0


def _join_as_node(relay: Configuration, invite: str, args: dict[str, Any]) -> int:
    """Keep an invite for the node. A node that is enrolled would never use it."""
    from codewire.network import configuration

    server = relay.server
    if relay.node_token and not relay.is_elsewhere:
        where = f"network {showing.quoted(relay.node_network)}" if relay.node_network else "one"
        raise CodewireError(
            f"this machine's node is enrolled in {where} already: log in to join as yourself (cw "
            f"login), or leave it first (cw network leave)"
        )
    with Asking("reach the relay", relay):
        relay.as_anybody().auth_mode()
    remember(relay, {configuration.INVITE_TOKEN: invite})
    words = "Not logged in: the invite is kept, and used by this machine's node when it starts"
    stored = {"status": "stored", "relay_url": server.url}
    showing.say(args, stored, f"{words}\nStart node agent: cw node")
    return 0


def remember(relay: Configuration, changes: Changes) -> None:
    """Keep what was found out at a relay, and that this is the one to use. Raises ConfigError.

    What is known of a node at another relay is worth nothing at this one.
    """
    from codewire.network import configuration

    changes = {configuration.URL: relay.url, **changes}
    if relay.is_elsewhere:
        for names in (configuration.NODE_TOKEN, configuration.NODE_NETWORK):
            changes.setdefault(names, "")
        output.notice(f"the relay in use is {relay.url} from now on; it was {relay.usual_url}")
        if relay.node_token:
            output.notice("this machine's node is to be enrolled anew, by its next start")
    configuration.save(data_dir().config, changes)
    import os

    given = os.environ.get("CODEWIRE_RELAY_URL", "").strip()
    if given and given.rstrip("/") != relay.url:
        output.notice(f"CODEWIRE_RELAY_URL={given} counts before that")


def leave(args: dict[str, Any], context: Context) -> int:
    """Leave a network, with this machine's node if it is enrolled there.

    Usage:
      cw network leave [options] [<network>]

    Options:
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network leave
      cw network leave project-alpha
    """
    from codewire.network import configuration

    relay = asking.allowed(asking.configuration(args, context))
    has_node = bool(relay.node_token) and not relay.is_elsewhere
    selected = relay.network or (relay.node_network if has_node else "")
    name = (args["<network>"] or "").strip() or selected or relay.required_network()
    is_enrolled = has_node and relay.node_network in ("", name)
    if relay.user_token or not is_enrolled:
        _leave_as_user(relay, name)
    changes: Changes = {}
    if not relay.is_elsewhere and configuration_network() == name:
        changes[configuration.NETWORK] = ""
    if is_enrolled:
        changes |= {configuration.NODE_TOKEN: "", configuration.NODE_NETWORK: ""}
    if changes:
        configuration.save(data_dir().config, changes)
    left = {"status": "left", "network_id": name}
    showing.say(args, left, f"Left network {showing.quoted(name)}")
    if is_enrolled:
        output.notice(f"this machine's node is enrolled no more; if it runs: {RESTART}")
    return 0


def configuration_network() -> str:
    """Return the selection that config.toml has. Raises ConfigError."""
    from codewire.network.configuration import load_configuration

    return load_configuration(data_dir().config, environ={}).network


def _leave_as_user(relay: Configuration, name: str) -> None:
    """End the user's membership. One that has ended is as good."""
    from codewire.network.accounts import whose

    user = relay.as_user()
    try:
        with Asking("leave network", relay._replace(network=name)):
            subject = whose(relay.server, relay.user_token).id
            if not subject:
                raise CodewireError(f"relay {relay.url} does not say who you are; it is too old")
            user.remove_network_member(name, subject)
    except RelayRefused as error:
        if error.text not in GONE:
            raise
        output.notice(f"you were not in network {showing.quoted(name)} any more")


def members(args: dict[str, Any], context: Context) -> int:
    """List who is in a network.

    Usage:
      cw network members [options]

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network members
      cw network members remove github:4711
    """
    relay, user, name = asking.in_network(args, context)
    with Asking("list members", relay):
        found = user.network_members(name)
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [(one.subject, one.role, showing.age(one.created_at)) for one in found]
    showing.columns(("SUBJECT", "ROLE", "JOINED"), rows, f"Network {name} has no members")
    return 0


def remove_member(args: dict[str, Any], context: Context) -> int:
    """Remove somebody from a network of yours; what they follow there ends at once.

    Usage:
      cw network members remove [options] <subject>

    Options:
          --network <network>    Another one than the selected
          --relay-url <url>      Of this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw network members remove github:4711
    """
    relay, user, name = asking.in_network(args, context)
    subject = args["<subject>"].strip()
    if not subject:
        raise UsageError("a member's subject must not be empty (see cw network members)")
    with Asking("remove member", relay):
        user.remove_network_member(name, subject)
    removed = {"status": "removed", "network_id": name, "subject": subject}
    showing.say(args, removed, f"Removed {subject} from network {showing.quoted(name)}")
    return 0
