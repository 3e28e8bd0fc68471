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
_MEANINGS = (
    ("cw list", "ps ls jobs top sessions list-sessions"),
    ("cw logs <session> --follow", "tail follow"),
    ("cw logs <session>", "cat log output history"),
    ("cw kill <session>", "rm del delete remove terminate kill-session"),
    ("cw launch -- <command>", "new new-session create spawn add"),
    ("cw attach <session>", "open connect join enter resume attach-session"),
    ("cw status <session>", "show info inspect describe get"),
    ("cw screen <session>", "peek capture capture-pane view snapshot"),
    ("cw send <session> <text>", "type input write paste stdin"),
    ("cw send <session> --keys <keys>", "keys press send-keys"),
    ("cw msg <session> <text>", "message mail tell"),
    ("cw request <session> <text>, or of an agent cw prompt", "ask query"),
    ("cw subscribe", "events monitor"),
    ("Ctrl+B, then d, inside cw attach", "detach"),
    ("cw node restart (sessions live on)", "restart reload"),
    ("cw start", "up serve server-start"),
    ("cw stop (it ends every session)", "down shutdown kill-server quit exit"),
    ("cw node status, or cw doctor", "ping health check"),
    ("your package's way: pip install --upgrade, or another cw.pyz", "update upgrade"),
    ("cw mcp-server", "mcp mcp-serve"),
    ("cw integrate <program>", "install-hooks hooks"),
)
MEANT = {word: meant for meant, words in _MEANINGS for word in words.split()}

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
