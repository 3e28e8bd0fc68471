"""Which variables of a process's environment go on to a session, and which stay behind.

The client asks before it sends its own environment, the node before it hands on what it was sent or
what it was started with: neither relies on the other (spec/wire.md 12). Names and values, no system
calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# What an agent sets for its own children, a node for itself, a multiplexer or a login for the
# terminal it has: of a session, which has a terminal of its own, none of it is true.
PRIVATE_NAMES = frozenset((
    "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID",
    "CODEWIRE_AUTOSTART", "CODEWIRE_TOKEN",
    # A node's own key to a relay, and what enrols one: nothing a session is to speak as.
    "CODEWIRE_RELAY_NODE_TOKEN", "CODEWIRE_RELAY_TOKEN", "CODEWIRE_RELAY_INVITE_TOKEN",
    "STY", "SSH_TTY", "ZELLIJ", "ZELLIJ_PANE_ID", "ZELLIJ_SESSION_NAME",
    # Programs take them for the size of their terminal; the shell says what it runs in the last.
    "LINES", "COLUMNS", "_",
))  # fmt: skip
# How the node reaches NATS is the node's: a URL, a token, the path of a file with a key.
PRIVATE_PREFIXES = ("CLAUDECODE", "CODEWIRE_NATS_", "TMUX")
# Of our own: what a person sets. All others are those of another session.
OWN_PREFIX = "CW_"
SETTINGS = frozenset(("CW_CONFIG_DIR", "CW_DETACH_KEY", "CW_NO_TTY_QUERIES", "CW_RUNTIME"))
SETTINGS_PREFIXES = ("CW_DEBUG", "CW_DERP_")
# Says what the agent in a session is: of another one where this is in one.
AGENT_HINT, INSIDE = "CW_AGENT", "CW_SESSION_ID"

# The terminal that a program takes for its own: a person's stays, a multiplexer's does not.
TERMINAL, MULTIPLEXERS = "TERM_PROGRAM", ("tmux", "screen", "zellij")

# What --clean-env leaves: enough for a login shell to make the rest.
CLEAN_NAMES = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TERM")

# Of names and values with a byte each between and behind them. execve(2) takes a quarter of the
# stack's limit, usually 2 MiB; one request holds 16.
MAX_BYTES = 4 << 20

# Terminal types that programs know everywhere; others are announced as the common one.
KNOWN_TERMS = frozenset(
    ("xterm", "xterm-color", "xterm-256color", "screen", "screen-256color", "vt100", "linux")
)
COMMON_TERM, COMMON_COLORTERM = "xterm-256color", "truecolor"


def is_private(name: str) -> bool:
    """Say whether a variable is about the process that has it, and no session's business."""
    if name in PRIVATE_NAMES or name.startswith(PRIVATE_PREFIXES):
        return True
    if not name.startswith(OWN_PREFIX) or name == AGENT_HINT:
        return False
    return name not in SETTINGS and not name.startswith(SETTINGS_PREFIXES)


def for_session(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a session may have."""
    kept = {name: value for name, value in environ.items() if not is_private(name)}
    if INSIDE in environ:
        kept.pop(AGENT_HINT, None)
    if kept.get(TERMINAL) in MULTIPLEXERS:
        del kept[TERMINAL]
        kept.pop(f"{TERMINAL}_VERSION", None)
    return kept


def terminal_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return TERM and COLORTERM for a session that somebody with this environment starts."""
    term = environ.get("TERM", "")
    return {
        "TERM": term if term in KNOWN_TERMS else COMMON_TERM,
        "COLORTERM": environ.get("COLORTERM") or COMMON_COLORTERM,
    }


# What programs ask of the terminal they are shown on, beside TERM and COLORTERM.
FORWARDED = (
    "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LC_TERMINAL", "LC_TERMINAL_VERSION",
    "KITTY_WINDOW_ID", "KITTY_PUBLIC_KEY", "KITTY_INSTALLATION_DIR", "WEZTERM_PANE",
    "WT_SESSION", "WT_PROFILE_ID", "VTE_VERSION",
)  # fmt: skip


def forwarded_terminal(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a command elsewhere is told of the terminal it is shown on (runtimes.md 2)."""
    kept = for_session(environ)
    given = {name: kept[name] for name in FORWARDED if kept.get(name)}
    return {**terminal_variables(environ), **given}


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables of an environment that --clean-env leaves, those it has."""
    return {name: environ[name] for name in CLEAN_NAMES if name in environ}


def size(environ: Mapping[str, str]) -> int:
    """Return how many bytes an environment takes, with its separators."""
    return sum(len(name.encode("utf-8", "replace")) for name in environ) + sum(
        len(value.encode("utf-8", "replace")) + 2 for value in environ.values()
    )


def is_too_large(environ: Mapping[str, str]) -> bool:
    """Say whether an environment takes more than MAX_BYTES."""
    # A character is four bytes at most: what is far from it is not encoded.
    most = sum(4 * (len(name) + len(value)) + 2 for name, value in environ.items())
    return most > MAX_BYTES and size(environ) > MAX_BYTES


def too_large(environ: Mapping[str, str]) -> str:
    """Say in one line that an environment is too large, and what most of it is. No values."""
    largest = max(environ, key=lambda name: len(environ[name]), default="")
    part = f", {len(environ[largest])} of them {largest}" if largest else ""
    return (
        f"the environment is too large for a command: {size(environ)} bytes in "
        f"{len(environ)} variables{part}; unset what it does not need, or use --clean-env"
    )
