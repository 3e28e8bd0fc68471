"""Words that are no command: what was meant, or that it is not in this version.

No guess may lead to a command that ends or removes something: such a name is only shown for a
word that lacks a letter of it, or has one too many.
"""

from __future__ import annotations

from codewire.commands import table
from codewire.wire.texts import go_quote

# Commands of Codewire that this version lacks; one that gets a line in TABLE is found there first.
ELSEWHERE = frozenset((
    "access", "api-keys", "billing", "config-ssh", "cost", "current", "env", "fleet", "github",
    "group", "init", "local", "login", "logout", "network", "nodes", "node list", "node qr", "org",
    "preset", "relay", "resources", "secrets", "setup", "shell", "ssh", "tasks", "use", "vscode",
    "whoami",
))  # fmt: skip

# What people type who come from other tools (tmux, screen, docker, systemctl, a shell).
MEANT = {
    **dict.fromkeys(("ps", "ls", "jobs", "top", "sessions", "list-sessions"), "cw list"),
    **dict.fromkeys(("tail", "follow"), "cw logs <session> --follow"),
    **dict.fromkeys(("cat", "log", "output", "history"), "cw logs <session>"),
    **dict.fromkeys(("rm", "del", "delete", "remove", "terminate", "kill-session"), "cw kill <session>"),
    **dict.fromkeys(("new", "new-session", "create", "spawn", "add"), "cw launch -- <command>"),
    **dict.fromkeys(("open", "connect", "join", "enter", "resume", "attach-session"), "cw attach <session>"),
    **dict.fromkeys(("show", "info", "inspect", "describe", "get"), "cw status <session>"),
    **dict.fromkeys(("peek", "capture", "capture-pane", "view", "snapshot"), "cw screen <session>"),
    **dict.fromkeys(("type", "input", "write", "paste", "stdin"), "cw send <session> <text>"),
    **dict.fromkeys(("keys", "press", "send-keys"), "cw send <session> --keys <keys>"),
    **dict.fromkeys(("message", "mail", "tell"), "cw msg <session> <text>"),
    **dict.fromkeys(("ask", "query"), "cw request <session> <text>, or of an agent cw prompt"),
    **dict.fromkeys(("events", "monitor"), "cw subscribe"),
    **dict.fromkeys(("detach",), "Ctrl+B, then d, inside cw attach"),
    **dict.fromkeys(("restart", "reload"), "cw node restart (sessions live on)"),
    **dict.fromkeys(("up", "serve", "server-start"), "cw start"),
    **dict.fromkeys(("down", "shutdown", "kill-server", "quit", "exit"), "cw stop (it ends every session)"),
    **dict.fromkeys(("ping", "health", "check"), "cw node status, or cw doctor"),
    **dict.fromkeys(("update", "upgrade"), "your package's way: pip install --upgrade, or another cw.pyz"),
    **dict.fromkeys(("mcp", "mcp-serve"), "cw mcp-server"),
    **dict.fromkeys(("install-hooks", "hooks"), "cw integrate <program>"),
}  # fmt: skip

ENDS_SOMETHING = frozenset(("kill", "stop"))
# Upstream's measure; a short word is near too many.
FAR, NEAR, SHORT = 2, 1, 2


def words_for(words: list[str]) -> str:
    """Return the error for a command line that begins with no command's name."""
    for name in (" ".join(words[:2]), words[0]):
        if is_elsewhere(name):
            return not_here(name)
    word = words[0]
    text = f'unknown command {go_quote(word)} for "cw"'
    if word.lower() in MEANT:
        return (
            f"{text}\n\nDid you mean this?\n\t{MEANT[word.lower()]}\n\nRun 'cw --help' for usage."
        )
    names = [name for name in _names() if _is_close(word.lower(), name)]
    if names:
        listed = "".join(f"\t{name}\n" for name in names)
        text += f"\n\nDid you mean this?\n{listed}"
    return f"{text}\nRun 'cw --help' for usage."


def is_elsewhere(name: str) -> bool:
    """Say whether this is a command of Codewire that this version lacks."""
    return name in ELSEWHERE and name not in table.TABLE


def not_here(name: str) -> str:
    """Return the error for such a command."""
    return (
        f"'cw {name}' is not in this version of cw\n\n"
        "Run 'cw --help' for what there is; nodes on other machines: 'cw help server add'."
    )


def _names() -> list[str]:
    return [name for name, command in table.TABLE.items() if command.group and " " not in name]


def _is_close(word: str, name: str) -> bool:
    distance = table.edits(word, name)
    if name in ENDS_SOMETHING:
        # A letter too few or too many: another letter makes another word (step, still).
        return distance == NEAR and len(word) != len(name) and word[0] == name[0]
    if name.startswith(word) and len(word) > 1:
        return True
    return distance <= (NEAR if len(word) <= SHORT else FAR)
