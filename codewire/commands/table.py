"""The commands there are, and how help lists them. A new command is one line of TABLE.

Each entry names the function that runs the command; its docstring is the command's help and
docopt usage text. Only the module of the command at hand is imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from codewire.commands import output
from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from codewire.commands.context import Context

    Run = Callable[[dict[str, Any], Context], int]

SESSIONS, MESSAGING, NETWORKING = "Sessions", "Messaging", "Networking"
RUNTIMES = "Environments"
AGENTS, SYSTEM = "Agent Interactions", "System"

# In the order help shows them; a group without commands is not shown.
GROUPS = (
    NETWORKING,
    "Environments",
    SESSIONS,
    MESSAGING,
    AGENTS,
    "Platform",
    SYSTEM,
)


class Command:
    """Where a command lives: module and function here, help group ("" hides it), help line.

    One that `is_local` is about this machine alone: it has no use for --server and what goes with
    it.
    """

    def __init__(
        self, module: str, function: str, group: str, summary: str, *, is_local: bool = False
    ) -> None:
        self.module = module
        self.function = function
        self.group = group
        self.summary = summary
        self.is_local = is_local


TABLE = {
    "launch": Command(
        "sessions.launch", "launch", SESSIONS, "Start a session: a command in its own terminal"
    ),
    "run": Command("sessions.launch", "launch", SESSIONS, "The same as launch"),
    "exec": Command(
        "sessions.exec", "exec_command", SESSIONS, "Run a command in the foreground, no session"
    ),
    "list": Command("sessions.sessions", "list_sessions", SESSIONS, "List sessions"),
    "top": Command("sessions.top", "top", SESSIONS, "Show all sessions live, who needs you first"),
    "attach": Command("sessions.attach", "attach", SESSIONS, "Take over the terminal of a session"),
    "logs": Command("sessions.logs", "logs", SESSIONS, "Print what a session has printed"),
    "screen": Command(
        "sessions.screen", "screen", SESSIONS, "Show what a session's terminal shows"
    ),
    "watch": Command(
        "sessions.watch", "watch", SESSIONS, "Follow a session, or all with a tag, read-only"
    ),
    "send": Command("sessions.send", "send", SESSIONS, "Type into a session without attaching"),
    "prompt": Command("sessions.prompt", "prompt", SESSIONS, "Ask an agent and print what it says"),
    "status": Command("sessions.sessions", "status", SESSIONS, "Show one session in detail"),
    "wait": Command("sessions.wait", "wait", SESSIONS, "Block until sessions have finished"),
    "subscribe": Command("sessions.events", "subscribe", SESSIONS, "Stream events of sessions"),
    "relaunch": Command(
        "sessions.relaunch", "relaunch", SESSIONS, "Start a session that has ended again"
    ),
    "restore": Command(
        "sessions.relaunch", "restore", SESSIONS, "Start what ended with its node again"
    ),
    "kill": Command("sessions.kill", "kill", SESSIONS, "End sessions"),
    "msg": Command("talk.messages", "msg", MESSAGING, "Send a message to a session"),
    "inbox": Command("talk.messages", "inbox", MESSAGING, "Show the messages of a session"),
    "request": Command(
        "talk.messages", "request", MESSAGING, "Ask a session and wait for its reply"
    ),
    "reply": Command("talk.messages", "reply", MESSAGING, "Answer a request"),
    "listen": Command("talk.messages", "listen", MESSAGING, "Stream messages as they are sent"),
    "kv": Command("talk.kv", "kv", MESSAGING, "Share keys and values: kv set, get, list, delete"),
    "kv set": Command("talk.kv", "set_key", "", "Set a key"),
    "kv get": Command("talk.kv", "get_key", "", "Print the value of a key"),
    "kv list": Command("talk.kv", "list_keys", "", "Print keys and values"),
    "kv delete": Command("talk.kv", "delete_key", "", "Remove a key"),
    "approvals": Command(
        "sessions.approvals", "approvals", AGENTS, "List what agents wait for you to decide"
    ),
    "approve": Command("sessions.approvals", "approve", AGENTS, "Answer what an agent waits for"),
    "report": Command(
        "sessions.report", "report", AGENTS, "Say what this session's agent is doing"
    ),
    "agent": Command("sessions.agent", "agent", "", "How states of agents are known"),
    "agent explain": Command(
        "sessions.agent", "explain", AGENTS, "Show why a session's state is what it is"
    ),
    "integrate": Command(
        "system.integrate",
        "integrate",
        AGENTS,
        "Have an agent's hooks report its state",
        is_local=True,
    ),
    "hook": Command("talk.hook", "hook", AGENTS, "Ask the gateway whether an agent may use a tool"),
    "gateway": Command(
        "talk.gateway", "gateway", AGENTS, "Answer what agents ask through hooks and requests"
    ),
    "mcp-server": Command("system.mcp", "mcp_server", AGENTS, "Serve Codewire's tools to an agent"),
    "server": Command("nodes.servers", "server", "", "Names for other nodes", is_local=True),
    "server add": Command(
        "nodes.servers", "add", "Networking", "Save a node on another machine", is_local=True
    ),
    "server remove": Command(
        "nodes.servers", "remove", "Networking", "Forget a saved server", is_local=True
    ),
    "server list": Command(
        "nodes.servers", "list_servers", "Networking", "List saved servers", is_local=True
    ),
    "login": Command("network.login", "login", NETWORKING, "Log in to a relay or platform"),
    "logout": Command("network.login", "logout", NETWORKING, "Log out"),
    "whoami": Command("network.login", "whoami", NETWORKING, "Say who is logged in, and where"),
    "network": Command(
        "network.networks", "network", NETWORKING, "Networks of nodes: network create, use, join …"
    ),
    "network create": Command("network.networks", "create", "", "Make a network"),
    "network list": Command("network.networks", "list_networks", "", "List your networks"),
    "network use": Command("network.networks", "use", "", "Select a network"),
    "network current": Command("network.networks", "current", "", "Print the selected network"),
    "network clear": Command("network.networks", "clear", "", "Select no network"),
    "network join": Command("network.membership", "join", "", "Come in by an invite"),
    "network leave": Command("network.membership", "leave", "", "Leave a network"),
    "network members": Command("network.membership", "members", "", "List who is in a network"),
    "network members remove": Command("network.membership", "remove_member", "", "Remove somebody"),
    "network nodes": Command("network.networks", "nodes", "", "List a network's nodes"),
    "network revoke": Command("network.networks", "revoke", "", "Shut a node out"),
    "network invite": Command("network.tokens", "invite", "", "Make an invite"),
    "network invites": Command("network.tokens", "invites", "", "Look after invites"),
    "network invites list": Command("network.tokens", "list_invites", "", "List invites"),
    "network invites delete": Command("network.tokens", "delete_invite", "", "Take one back"),
    "network enroll": Command("network.tokens", "enroll", "", "Bring in a node by a token"),
    "network enroll create": Command("network.tokens", "create_enrollment", "", "Make a token"),
    "network enroll redeem": Command("network.tokens", "redeem_enrollment", "", "Use a token"),
    "group": Command(
        "network.groups", "group", NETWORKING, "Which sessions of a network may message each other"
    ),
    "group create": Command("network.groups", "create", "", "Make a group"),
    "group list": Command("network.groups", "list_groups", "", "List groups"),
    "group members": Command("network.groups", "members", "", "List the sessions of a group"),
    "group policy": Command("network.groups", "policy", "", "Show or change what a group allows"),
    "group add": Command("network.groups", "add", "", "Bring a session into a group"),
    "group remove": Command("network.groups", "remove", "", "Take a session out of a group"),
    "group delete": Command("network.groups", "delete", "", "Remove a group"),
    "access": Command(
        "network.access", "access", NETWORKING, "Let somebody read a session's messages for a while"
    ),
    "access grant": Command("network.access", "grant", "", "Grant access"),
    "access list": Command("network.access", "list_grants", "", "List grants"),
    "access revoke": Command("network.access", "revoke", "", "End a grant"),
    "access accept": Command("network.accepting", "accept", "", "Keep a grant"),
    "access inspect": Command("network.accepting", "inspect", "", "Show an accepted grant"),
    "access drop": Command("network.accepting", "drop", "", "Forget an accepted grant"),
    "access prune": Command("network.accepting", "prune", "", "Forget grants that are over"),
    "access watch": Command("network.accepting", "watch", "", "Forget revoked grants at once"),
    "ssh": Command("relays.ssh", "ssh", NETWORKING, "Log in to a node through its relay"),
    "ssh-config": Command("relays.ssh", "config", NETWORKING, "Print nodes for ~/.ssh/config"),
    "ssh-key": Command("relays.sshkeys", "ssh_key", NETWORKING, "Keys that you log in with"),
    "ssh-key add": Command("relays.sshkeys", "add", "", "Add a public key"),
    "ssh-key list": Command("relays.sshkeys", "list_keys", "", "List your public keys"),
    "ssh-key remove": Command("relays.sshkeys", "remove", "", "Remove a public key"),
    "relay": Command("relays.relay", "relay", "", "A relay for nodes behind NAT", is_local=True),
    "relay serve": Command("relays.relay", "serve", "Networking", "Run a relay", is_local=True),
    "relay status": Command("relays.relay", "status", "Networking", "Show how a relay is"),
    "relay keys rotate": Command("relays.relay", "rotate_keys", "", "Make new signing keys"),
    "relay backup": Command("relays.relay", "backup", "", "Copy a relay's database", is_local=True),
    "relay import": Command(
        "relays.relay",
        "import_database",
        "",
        "Take over an older relay's database",
        is_local=True,
    ),
    "fleet": Command("fleet.fleet", "fleet", "Networking", "Find and drive nodes over NATS"),
    "fleet list": Command("fleet.fleet", "list_nodes", "", "List nodes and their sessions"),
    "fleet launch": Command("fleet.fleet", "launch", "", "Start a session on a node"),
    "fleet send": Command("fleet.fleet", "send", "", "Type a line into a session"),
    "fleet kill": Command("fleet.fleet", "kill", "", "End a session"),
    "fleet attach": Command("fleet.fleet", "attach", "", "Attach to a session"),
    "fleet status": Command("fleet.fleet", "status", "", "Show the connection to NATS"),
    "local": Command(
        "runtime.local", "local", RUNTIMES, "Containers on this machine for agents: local create …"
    ),
    "local create": Command("runtime.create", "create", "", "Make a container for a project"),
    "local list": Command("runtime.local", "list_instances", "", "List local runtimes"),
    "local ls": Command("runtime.local", "list_instances", "", "The same as local list"),
    "local info": Command("runtime.local", "info", "", "Show one local runtime"),
    "local start": Command("runtime.local", "start", "", "Start a stopped local runtime"),
    "local stop": Command("runtime.local", "stop", "", "Stop a local runtime"),
    "local rm": Command("runtime.local", "remove", "", "Remove a local runtime"),
    "local delete": Command("runtime.local", "remove", "", "The same as local rm"),
    "local ports": Command("runtime.local", "ports", "", "List published ports"),
    "local logs": Command("runtime.local", "logs", "", "Print what a set-up printed"),
    "local prune": Command("runtime.upkeep", "prune", "", "Remove what a crash left"),
    "local doctor": Command("runtime.upkeep", "doctor", "", "Check engines and records"),
    "local files": Command("runtime.files", "files", "", "Copy files in and out"),
    "local files upload": Command("runtime.files", "upload", "", "Write stdin to a file inside"),
    "local files download": Command("runtime.files", "download", "", "Print a file from inside"),
    "local files list": Command("runtime.files", "list_files", "", "List a directory inside"),
    "use": Command(
        "runtime.targets", "use", RUNTIMES, "Choose where commands run: a local runtime"
    ),
    "current": Command("runtime.targets", "current", RUNTIMES, "Show where commands run"),
    "init": Command("runtime.preset", "init", RUNTIMES, "Write a project's codewire.yaml"),
    "preset init": Command("runtime.preset", "init", "", "The same as init"),
    "node": Command(
        "nodes.node", "node", SYSTEM, "Run the node in the foreground (-d: detached)", is_local=True
    ),
    "node status": Command("nodes.node", "status", SYSTEM, "Show the running node"),
    "node list": Command("nodes.listing", "list_nodes", SYSTEM, "List the nodes of a network"),
    "node qr": Command("nodes.qr", "show", SYSTEM, "Let a phone log in by SSH", is_local=True),
    "nodes": Command("nodes.listing", "list_nodes", "", "The same as node list"),
    "node restart": Command(
        "nodes.node", "restart", SYSTEM, "Replace the node's worker; sessions live on"
    ),
    "node install": Command(
        "nodes.install", "install", SYSTEM, "Have systemd start the node", is_local=True
    ),
    "node stop": Command("nodes.node", "stop", "", "The same as stop", is_local=True),
    "start": Command(
        "nodes.node", "start", SYSTEM, "Start the node in the background", is_local=True
    ),
    "stop": Command("nodes.node", "stop", SYSTEM, "Stop the node; its sessions end", is_local=True),
    "daemon": Command("nodes.node", "node", "", "The same as node", is_local=True),
    "completion": Command(
        "system.completion",
        "completion",
        SYSTEM,
        "Complete cw's words in your shell",
        is_local=True,
    ),
    "doctor": Command(
        "system.doctor", "doctor", SYSTEM, "Check that everything cw needs is in order"
    ),
    "notify": Command(
        "system.notify",
        "notify",
        SYSTEM,
        "Show who is told when a session needs somebody",
        is_local=True,
    ),
    "notify test": Command(
        "system.notify", "test", SYSTEM, "Send a notification now", is_local=True
    ),
    "reset": Command(
        "sessions.screen",
        "reset",
        SYSTEM,
        "Repair this terminal after a killed attach",
        is_local=True,
    ),
    "version": Command("table", "show_version", SYSTEM, "Print the version", is_local=True),
    "help": Command(
        "table", "show_help", SYSTEM, "Show help for cw, one command, or a topic", is_local=True
    ),
}
# What a second word may follow.
GROUP_WORDS = frozenset(name.partition(" ")[0] for name in TABLE if " " in name)

# Words of the longest name.
MOST_WORDS = 3

INTRO = """\
Persistent process server for AI coding agents: sessions keep running when you disconnect.

Usage:
  cw [command]
"""

GLOBAL_FLAGS = """\
Global options:
  -s, --server <server>    Act on another node: a saved server's name, or its URL
      --network <network>  Nodes are of this network of the relay, not the selected one
      --token <token>      Access token for --server
      --ca <file>          Trust these authorities (PEM) for a wss server, not the system's
      --insecure           Accept any certificate of a wss server: it could be anyone's
  -h, --help               Show this help
"""
LOCAL_FLAGS = """\
Global options:
  -h, --help  Show this help
"""

VERSION_FLAG = "  -v, -V, --version        Print the version\n"
OUTRO = """
Use "cw [command] --help" for more information about a command.
Topics that "cw help <topic>" explains:
"""


def show_help(args: dict[str, Any], context: Context) -> int:
    """Show help for cw, for one command, or for a topic: exit-codes, environment, names.

    Usage:
      cw help [options] [<command>...]

    Examples:
      cw help
      cw help launch
      cw help node restart
      cw help exit-codes
    """
    from codewire.commands.topics import TOPICS

    words = " ".join(args["<command>"])
    if not words:
        output.write(root_help())
    elif words in TOPICS:
        output.write(TOPICS[words][1])
    elif words in TABLE:
        output.write(command_help(words))
    else:
        output.note(f"Unknown help topic {words!r}\n\n{root_help()}".rstrip("\n"))
    return 0


def show_version(args: dict[str, Any], context: Context) -> int:
    """Print the version of this cw.

    Usage:
      cw version [options]

    Examples:
      cw version
    """
    from codewire import __version__

    output.line(f"cw version {__version__}")
    return 0


def load(command: Command) -> tuple[Run, str, Any]:
    """Import a command: its function, its help text, and its module."""
    name = "codewire.commands." + command.module
    __import__(name)  # importlib would be two modules more
    module = sys.modules[name]
    function = getattr(module, command.function)
    if not function.__doc__:
        raise CodewireError("cw is run without its help texts: unset PYTHONOPTIMIZE (python -OO)")
    return function, _dedent(function.__doc__), module


def root_help() -> str:
    """Return what `cw` alone prints."""
    shown = [(name, command) for name, command in TABLE.items() if command.group]
    width = max(len(name) for name, _ in shown) + 2
    parts = [INTRO]
    for group in GROUPS:
        lines = [f"  {name:<{width}}{c.summary}\n" for name, c in shown if c.group == group]
        if lines:
            parts.append(f"{group}:\n{''.join(lines)}")
    parts.append(GLOBAL_FLAGS + VERSION_FLAG)
    from codewire.commands.topics import TOPICS

    topics = "".join(f"  {name:<{width}}{about}\n" for name, (about, _) in TOPICS.items())
    return "\n".join(parts) + OUTRO + topics


def command_help(name: str) -> str:
    """Return a command's own help text and the flags every command has."""
    _, doc, _ = load(TABLE[name])
    return f"{doc.rstrip()}\n\n{LOCAL_FLAGS if TABLE[name].is_local else GLOBAL_FLAGS}"


def edits(a: str, b: str) -> int:
    """Return the Levenshtein distance, the measure upstream suggests by."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            cost = previous if left == right else 1 + min(previous, row[j], row[j - 1])
            previous, row[j] = row[j], cost
    return row[-1]


def _dedent(doc: str) -> str:
    """Remove the indentation Python before 3.13 leaves in a docstring."""
    first, *rest = doc.strip().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first, *(line[margin:].rstrip() for line in rest)]) + "\n"
