"""`cw integrate`: have an agent program report its states by its own hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context


def integrate(args: dict[str, Any], context: Context) -> int:
    """Install hooks into an agent program's settings that report what it does.

    Programs: claude, codex, gemini, opencode, qwen. Shows what it changes. States are known
    without this, too: hooks are exact where a screen is guessed at. Outside a session they do
    nothing. Only what carries the mark "cw integrate" is ever changed or removed.

    Usage:
      cw integrate [options] <program>

    Options:
          --uninstall  Remove what was installed
          --dry-run    Only show what would be changed

    Examples:
      cw integrate claude
      cw integrate gemini --dry-run
      cw integrate claude --uninstall
    """
    from codewire.client.local.integrations import PROGRAMS, plan

    program = args["<program>"]
    if program not in PROGRAMS:
        raise UsageError(f"program must be one of {', '.join(PROGRAMS)}, got {program!r}")
    change = plan(program, uninstall=args["--uninstall"])
    if not change.is_needed:
        word = "not installed" if args["--uninstall"] else "already installed"
        output.notice(f"{word} in {change.path}")
        return 0
    output.write(change.diff())
    if args["--dry-run"]:
        output.notice("nothing was changed (--dry-run)")
        return 0
    change.make()
    verb = "Removed hooks from" if args["--uninstall"] else "Installed hooks in"
    output.notice(f"{verb} {change.path}; running programs take them when started anew")
    return 0
