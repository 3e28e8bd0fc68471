"""`cw ssh-key`: the public keys by which their owner logs in to nodes over a relay's SSH."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.errors import CodewireError
from codewire.paths import home

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.credentials.sshkeys import PublicKey
    from codewire.network.answers import SshKey

STDIN = "-"
MAX_BYTES = 65536
# In the order in which ssh tries them; those on a security key are marked _sk.
USUAL = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")


def ssh_key(args: dict[str, Any], context: Context) -> int:
    """Say by which SSH keys you log in to your nodes over the relay.

    Usage:
      cw ssh-key [options] [<command>...]

    Commands:
      cw ssh-key add [<file>]   Add a public key of yours
      cw ssh-key list           List them
      cw ssh-key remove <key>   Remove one

    Examples:
      cw ssh-key add ~/.ssh/id_ed25519.pub
    """
    return showing.group_help("ssh-key", args)


def add(args: dict[str, Any], context: Context) -> int:
    """Add a public key: whoever has its private half logs in to every node that is yours.

    Without a file it is the first of ~/.ssh/id_*.pub that ssh would try; - reads stdin. Taken are
    ed25519, ECDSA, RSA of 2048 bits or more, and the kinds of security keys (sk-…).

    Usage:
      cw ssh-key add [options] [<file>]

    Options:
          --name <name>          What you call it (default: the comment in the file)
          --relay-url <url>      At this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw ssh-key add
      cw ssh-key add ~/.ssh/work.pub --name laptop
      ssh-add -L | cw ssh-key add -
    """
    relay = asking.allowed(asking.configuration(args, context))
    key = _read(args["<file>"])
    user = relay.as_user()
    with Asking("add the SSH key", relay):
        added = user.add_ssh_key(key.line, args["--name"] or key.comment)
    words = f"Added {added.fingerprint}{f' ({added.name})' if added.name else ''}"
    showing.say(args, showing.shown(added), words)
    return 0


def list_keys(args: dict[str, Any], context: Context) -> int:
    """List your SSH keys at the relay.

    Usage:
      cw ssh-key list [options]

    Options:
          --relay-url <url>      At this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw ssh-key list
    """
    relay = asking.allowed(asking.configuration(args, context))
    user = relay.as_user()
    with Asking("list SSH keys", relay):
        found = user.ssh_keys()
    if output.wants_json(args):
        output.show_json(showing.shown(found))
        return 0
    rows = [
        (
            key.fingerprint,
            key.name or "-",
            key.public_key.split(" ")[0],
            showing.age(key.created_at),
        )
        for key in found
    ]
    nothing = "No SSH keys (cw ssh-key add)"
    showing.columns(("FINGERPRINT", "NAME", "TYPE", "ADDED"), rows, nothing)
    return 0


def remove(args: dict[str, Any], context: Context) -> int:
    """Remove an SSH key of yours: nobody logs in with it any more. What is open stays open.

    Usage:
      cw ssh-key remove [options] <key>

    Options:
          --relay-url <url>      At this relay
          --token <token>        As whom this token is
      -j, --json                 Print JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw ssh-key remove laptop
      cw ssh-key remove SHA256:wYs3…
    """
    relay = asking.allowed(asking.configuration(args, context))
    user = relay.as_user()
    with Asking("remove the SSH key", relay):
        key = _chosen(user.ssh_keys(), args["<key>"])
        user.remove_ssh_key(key.fingerprint)
    removed = {"status": "removed", "fingerprint": key.fingerprint}
    showing.say(args, removed, f"Removed {key.fingerprint}")
    return 0


def _chosen(keys: list[SshKey], word: str) -> SshKey:
    """Return the key of this fingerprint, or of this name. Raises CodewireError."""
    found = [key for key in keys if word == key.fingerprint]
    found = found or [key for key in keys if word == key.name]
    if len(found) == 1:
        return found[0]
    if found:
        prints = ", ".join(key.fingerprint for key in found)
        raise CodewireError(f"several keys are called {showing.quoted(word)}: name one of {prints}")
    raise CodewireError(
        f"no SSH key of yours is {showing.quoted(word)}: cw ssh-key list shows them"
    )


def _read(given: str | None) -> PublicKey:
    """Return the key in a file, or on stdin. Raises CodewireError."""
    from codewire.credentials.sshkeys import parse_public_key
    from codewire.errors import BadValue

    path = given or _usual()
    where = "stdin" if path == STDIN else path
    text = _text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1 and "PRIVATE KEY" not in text:
        raise CodewireError(f"{where}: has {len(lines) or 'no'} keys; give them one by one")
    try:
        return parse_public_key(text if "PRIVATE KEY" in text else lines[0])
    except BadValue as error:
        raise CodewireError(f"{where}: {error}") from error


def _text(path: str) -> str:
    from codewire.files import read_regular

    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES) if sys.stdin is not None else b""
        else:
            data = read_regular(os.path.expanduser(path), MAX_BYTES)
    except OSError as error:
        raise CodewireError(output.go_cause(error)) from error
    return data.decode("utf-8", "replace")


def _usual() -> str:
    """Return the public key that ssh would try first. Raises CodewireError."""
    directory = os.path.join(home(), ".ssh")
    paths = [os.path.join(directory, f"{name}.pub") for name in USUAL]
    found = next((path for path in paths if os.path.exists(path)), None)
    if found is None:
        raise CodewireError(
            f"no public key is in {directory}: make one (ssh-keygen -t ed25519), or name a file"
        )
    return found
