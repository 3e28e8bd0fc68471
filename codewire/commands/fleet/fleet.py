"""`cw fleet`: find and drive nodes on many machines over NATS (spec/fleet.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import CodewireError, RequestError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.fleet.messages import Info
    from codewire.fleet.settings import Nats


def fleet(args: dict[str, Any], context: Context) -> int:
    """Find and drive nodes on many machines over NATS.

    Nodes join where config.toml has [nats], or CODEWIRE_NATS_URL is set. Whoever may publish on the
    fleet's subjects can run commands on its nodes ([fleet] allow narrows what).

    Usage:
      cw fleet [options] [<command>...]

    Commands:
      cw fleet list                     List nodes and their sessions
      cw fleet launch --on <node> -- …  Start a session on a node
      cw fleet send <node>:<id> <text>  Type a line into a session
      cw fleet kill <node>:<id>         End a session
      cw fleet attach <node>:<id>       Attach to a session, over the node's WebSocket
      cw fleet status                   Show this machine's connection to NATS

    Other commands take <node>:<session>, too: cw logs gpu-box:1, cw watch gpu-box:1.

    Examples:
      cw fleet list
      cw fleet launch --on gpu-box -- claude -p "optimise the kernel"
      cw help fleet launch
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw fleet"')
    output.write(table.command_help("fleet"))
    return 0


def list_nodes(args: dict[str, Any], context: Context) -> int:
    """List the nodes of the fleet and their sessions.

    Usage:
      cw fleet list [options]

    Options:
          --timeout <seconds>  How long to wait for answers [default: 2]
      -j, --json               Print what nodes say, as JSON

    Examples:
      cw fleet list
      cw fleet list --json --timeout 0.5
    """
    from codewire.fleet.asking import discover
    from codewire.fleet.messages import info_json

    nats = _nats()
    seconds = float(args["--timeout"])
    infos = discover(nats, seconds) if seconds > 0 else []
    if args["--json"]:
        output.show_json([info_json(info) for info in infos])
    elif not infos:
        output.line("No nodes discovered.")
    else:
        for info in infos:
            _show(info)
    _warn_of_doubles(infos)
    return 0


def launch(args: dict[str, Any], context: Context) -> int:
    """Start a session on a node of the fleet.

    Usage:
      cw fleet launch [options] -- <command>...

    Options:
          --on <node>  The node (required)
      -d, --dir <dir>  Directory there; a relative one counts from the home directory [default: .]

    Examples:
      cw fleet launch --on gpu-box -- claude -p "optimise the kernel"
    """
    if not args["--on"]:
        raise UsageError("--on is required: the node to launch on")
    from codewire.fleet import asking

    command = args["<command>"]
    request = {"type": "Launch", "command": command, "working_dir": args["--dir"] or "."}
    answer = _ask(args["--on"], "launch", request)
    session = asking.number(answer, "id")
    output.line(f"Launched session {session} on {_safe(asking.sender(answer, args['--on']))}")
    return 0


def split_command(
    command: str, argv: list[str], options: Any, doc: str
) -> tuple[list[str], list[str]]:
    """Split at the first `--`, or before the first word: options stand before the command."""
    from codewire.commands import usage

    if "--" in argv:
        at = argv.index("--")
        own, trailer = argv[:at], argv[at + 1 :]
        line = usage.scan(own, options)
        if line.words:
            own, trailer = own[: own.index(line.words[0])], [*own[own.index(line.words[0]) :]]
            trailer += ["--", *argv[at + 1 :]]
    else:
        line = usage.scan(argv, options, stop_at_word=True)
        own, trailer = argv[: len(argv) - len(line.words)], line.words
    if line.values.get("--help"):
        return ["--help"], []
    if not trailer:
        raise UsageError("command required", usage.usage_text(doc))
    return own, trailer


def send(args: dict[str, Any], context: Context) -> int:
    """Type a line into a session of a node of the fleet.

    It is typed as it is, in one piece; 'cw send <node>:<session>' sees that it is submitted.

    Usage:
      cw fleet send [options] <target> <text>

    Options:
      -n, --no-newline  Type just the text, without a newline

    Examples:
      cw fleet send gpu-box:1 "Status update?"
    """
    from codewire.fleet import asking
    from codewire.fleet.subjects import parse_target

    node, session = parse_target(args["<target>"])
    data = args["<text>"].encode("utf-8", "surrogateescape")
    data += b"" if args["--no-newline"] else b"\n"
    try:
        count = asking.send_input(_nats(), node, session, data)
    except RequestError as error:
        raise RequestError(_safe(str(error))) from error
    output.line(f"Sent {count} bytes to {node}:{session}")
    return 0


def kill(args: dict[str, Any], context: Context) -> int:
    """End a session of a node of the fleet.

    Usage:
      cw fleet kill [options] <target>

    Examples:
      cw fleet kill gpu-box:1
    """
    from codewire.fleet import asking
    from codewire.fleet.subjects import parse_target

    node, session = parse_target(args["<target>"])
    answer = _ask(node, "kill", {"type": "Kill", "id": session})
    number = asking.number(answer, "id")
    output.line(f"Killed session {number} on {_safe(asking.sender(answer, node))}")
    return 0


def attach(args: dict[str, Any], context: Context) -> int:
    """Attach to a session of a node of the fleet, over the node's WebSocket.

    The node must say its external_url; its token is the one saved for it with 'cw server add', or
    --token.

    Usage:
      cw fleet attach [options] <target>

    Examples:
      cw fleet attach gpu-box:1
    """
    from codewire.commands import usage
    from codewire.commands.fleet.places import fleet_route
    from codewire.commands.sessions.attach import attach as attach_to
    from codewire.fleet.subjects import parse_target

    node, session = parse_target(args["<target>"])
    _, doc, _ = table.load(table.TABLE["attach"])
    absent: dict[str, Any] = {
        option.long: [] if option.is_repeatable else None for option in usage.command_options(doc)
    }
    words = {word.strip("[]"): None for word in doc.split() if word.strip("[]").startswith("<")}
    context.use_route(fleet_route(_nats(), node, context.token))
    return attach_to({**words, **absent, "<session>": str(session)}, context)


def status(args: dict[str, Any], context: Context) -> int:
    """Show this machine's connection to NATS: as the node's bridge says, and from here.

    Usage:
      cw fleet status [options]

    Options:
      -j, --json  Print it as JSON

    Examples:
      cw fleet status
    """
    from codewire.fleet.asking import discover
    from codewire.fleet.link import NatsError

    nats = _nats()
    shown: dict[str, Any] = {"url": nats.public_urls(), **_bridge(context)}
    code = 0
    try:
        shown["nodes"] = len(discover(nats, 1.0))
        shown["client"] = "connected"
    except NatsError as error:
        shown["client"] = str(error)
        code = 1
    if args["--json"]:
        output.show_json(shown)
        return code
    labels = {"url": "NATS", "client": "From here", "nodes": "Nodes", "state": "Node's bridge",
              "server": "Server", "user": "User", "tls": "TLS", "error": "Error"}  # fmt: skip
    for key, label in labels.items():
        if key in shown:
            value = shown[key]
            if isinstance(value, bool):
                value = "yes" if value else "no"
            output.line(f"{label + ':':<15}{_safe(str(value))}")
    return code if shown.get("state", "connected") == "connected" else 1


def _bridge(context: Context) -> dict[str, Any]:
    """Return what the local node says of its bridge; a node is not started for that."""
    try:
        found = context.client(autostart=False).node_status().fleet
    except CodewireError:
        return {"state": "no node runs here"}
    return dict(found) if found else {"state": "the node has not joined: restart it"}


def _nats() -> Nats:
    from codewire.errors import ConfigError
    from codewire.fleet.settings import NOT_CONFIGURED, load_nats
    from codewire.paths import data_dir

    nats = load_nats(data_dir().config, data_dir().root)
    if nats is None:
        raise ConfigError(NOT_CONFIGURED)
    return nats


def _ask(node: str, verb: str, request: dict[str, Any]) -> dict[str, Any]:
    from codewire.fleet.asking import ask
    from codewire.fleet.subjects import checked_name

    checked_name(node)
    try:
        return ask(_nats(), node, verb, request)
    except RequestError as error:
        raise RequestError(f"Error from {node}: {_safe(str(error))}") from error


def _show(info: Info) -> None:
    url = _safe(info.external_url) or "-"
    output.line(f"{_safe(info.name)} (up {uptime(info.uptime_secs)}, url: {url})")
    for session in info.sessions:
        prompt, status = _safe(session["prompt"]), _safe(session["status"])
        output.line(f"  [{session['id']:>3}] {prompt} ({status}) {_safe(session['working_dir'])}")
    if not info.sessions:
        output.line("  (no sessions)")
    output.line("")


def _warn_of_doubles(infos: list[Info]) -> None:
    names = [info.name for info in infos]
    for name in sorted({name for name in names if names.count(name) > 1}):
        output.note(f"warning: {names.count(name)} nodes are called {_safe(name)}")


def uptime(seconds: int) -> str:
    """Return how long a node has been up, rounded down: `59s`, `1m`, `23h`, `2d`."""
    for limit, unit, letter in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86400}d"


def _safe(text: str) -> str:
    from codewire.term.width import printable

    return printable(text)
