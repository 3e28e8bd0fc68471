"""The command table's caller: reads the command word, runs the command, words every failure.

`main` never lets a traceback out unless CW_DEBUG=1. Exit codes: 0, an error's own (1), 130 after
Ctrl-C, 141 when the reader of stdout went away.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.commands import output, table, usage
from codewire.commands.context import Context
from codewire.errors import CodewireError, NoSuchName, OutOfTime, UsageError

if TYPE_CHECKING:
    from codewire.commands.usage import Line

INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13

LIST_HINT = "\n\nUse 'cw list' to see active sessions"
STATUS_HINT = "\n\nUse 'cw status <id>' to check session status"
# Commands whose --timeout bounds all that they do.
TIMED = frozenset(("prompt", "wait"))
# Errors of these commands carry no hint upstream, except for a reference that names nothing.
UNHINTED = frozenset(("wait", "subscribe", "request", "listen"))


def main(argv: list[str]) -> int:
    """Run `cw` with these arguments and return its exit status."""
    command = ""
    try:
        if argv[:1] == ["__complete"]:
            # Its words are a command line of another command: they are not scanned here.
            from codewire.commands.system.completion import complete

            return complete(argv[1:])
        line = usage.scan(argv, usage.ROOT_OPTIONS, stop_at_word=True)
        command = _command_name(line.words)
        status = _run(command, line)
        output.flush_stdout()
        return status
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - every failure gets its words
        if os.environ.get("CW_DEBUG") == "1" and not isinstance(error, KeyboardInterrupt):
            _print_traceback()
        status = _report(error, command)
        if wants_json(argv):
            _report_json(error)
        return status


def _run(command: str, line: Line) -> int:
    if "--version" in line.values and not command:
        from codewire import __version__

        output.line(f"cw version {__version__}")
        return 0
    if not command:
        output.write(table.root_help())
        return 0
    function, doc, module = table.load(table.TABLE[command])
    words = line.words[len(command.split()) :]
    options = usage.command_options(doc)
    trailer = None
    if " -- <command>" in doc:
        words, trailer = module.split_command(command, words, options, doc)
    scanned = usage.scan(words, options)
    if line.values.get("--help") or scanned.values.get("--help"):
        output.write(table.command_help(command))
        return 0
    args = usage.match(doc, scanned, trailer)
    flags = {long: args[long] or line.values.get(long) for long in usage.GLOBAL_NAMES}
    context = Context(flags)
    if table.TABLE[command].is_local:
        context.refuse_nodes(f"cw {command}")
    return function(args, context)


def _command_name(words: list[str]) -> str:
    """Return the longest table name the words begin with, "" without words."""
    if not words:
        return ""
    for count in range(min(len(words), table.MOST_WORDS), 0, -1):
        name = " ".join(words[:count])
        if name in table.TABLE and not (count == 1 and _is_elsewhere(words)):
            return name
    from codewire.commands.unknown import words_for

    raise UsageError(words_for(words))


def _is_elsewhere(words: list[str]) -> bool:
    """Say whether a command's name goes on to one that is not here, as `node list` does."""
    if len(words) == 1 or words[0] not in table.GROUP_WORDS:
        return False
    from codewire.commands.unknown import is_elsewhere

    return is_elsewhere(" ".join(words[:2]))


def _report(error: BaseException, command: str) -> int:
    """Say what went wrong in the user's words and return the exit status."""
    if isinstance(error, BrokenPipeError):
        output.silence_stdout()
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, CodewireError):
        text = f"{error}{_hint(error, command)}"
        if isinstance(error, OutOfTime) and command in TIMED:
            # Its time was up before it came to wait: finding the session took it.
            text = f"{command} timed out" + (f": {error}" if error.is_stopped else "")
        if isinstance(error, UsageError) and error.usage:
            text += f"\n\n{error.usage}"
        output.note(f"Error: {text}")
        return error.exit_code
    if isinstance(error, OSError):
        return _report_os_error(error)
    cause = f"{type(error).__name__}: {error}"
    output.note(f"Error: internal error: {cause} (run with CW_DEBUG=1 for details)")
    return 1


def wants_json(argv: list[str]) -> bool:
    """Say whether a command line asks for JSON, whatever else may be wrong with it."""
    own = argv[: argv.index("--")] if "--" in argv else argv
    if any(word in ("--json", "-j", "--output=json", "-ojson", "-o=json") for word in own):
        return True
    return any(
        pair in (("-o", "json"), ("--output", "json")) for pair in zip(own, own[1:], strict=False)
    )


def _report_json(error: BaseException) -> None:
    """Say a failure once more for programs: one object, the last line of stderr."""
    if isinstance(error, CodewireError):
        said = {"error": str(error), **({"code": error.code} if error.code else {})}
        output.note(output.compact_json(said))


def _report_os_error(error: OSError) -> int:
    """A command's own files are worded where they are opened; what is left is mostly stdout."""
    output.silence_stdout()
    where = f"{error.filename}: " if error.filename else ""
    output.note(f"Error: {where}{error.strerror or error}")
    return 1


def _hint(error: CodewireError, command: str) -> str:
    """Return what to try next, or "" where the error is not about a session."""
    text = str(error)
    if isinstance(error, NoSuchName):
        # Of a name alone upstream gives none.
        return "" if text.startswith("no session named") else LIST_HINT
    if error.code:
        return _hint_by_code(error.code) if command not in UNHINTED else ""
    # The errors of nodes that give no codes.
    if "\n\nUse '" in text:
        return ""
    about_session = text.startswith(("session ", "recipient session ", "sender session "))
    if not about_session or command in UNHINTED:
        return ""
    if "not found" in text:
        return LIST_HINT
    return STATUS_HINT if "not running" in text else ""


def _hint_by_code(code: object) -> str:
    from codewire.wire.codes import NO_SUCH_SESSION, NOT_RUNNING

    if code == NO_SUCH_SESSION:
        return LIST_HINT
    return STATUS_HINT if code == NOT_RUNNING else ""


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()
