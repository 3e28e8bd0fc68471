"""`cw local files`: files in and out of a local runtime (spec/runtimes.md 1.6)."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import CodewireError, UsageError
from codewire.runtimes.files import (
    DOWNLOAD_SCRIPT,
    LIST_SCRIPT,
    UPLOAD_SCRIPT,
    parse_listing,
    script_argv,
)

if TYPE_CHECKING:
    from codewire.commands.context import Context


def files(args: dict[str, Any], context: Context) -> int:
    """Copy files in and out of a local runtime.

    Usage:
      cw local files [options] [<command>...]

    Commands:
      cw local files upload <name> <path>     Write stdin to a file inside
      cw local files download <name> <path>   Print a file from inside
      cw local files list <name> [<path>]     List a directory inside

    Examples:
      cw local files upload my-app /workspace/a.txt < a.txt
      cw local files download my-app /etc/os-release
    """
    if args["<command>"]:
        from codewire.wire.texts import go_quote

        raise UsageError(f'unknown command {go_quote(args["<command>"][0])} for "cw local files"')
    output.write(table.command_help("local files"))
    return 0


def upload(args: dict[str, Any], context: Context) -> int:
    """Write stdin to a file in a local runtime; its directory is made if need be.

    Usage:
      cw local files upload [options] <name> <path>

    Options:
      -j, --json                 Print {"name", "remote_path", "uploaded"} as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local files upload my-app /workspace/a.txt < a.txt
    """
    path = args["<path>"]
    code = _run(args["<name>"], UPLOAD_SCRIPT, path, stdout=subprocess.DEVNULL)
    if code:
        raise CodewireError(f"upload: exit status {code}")
    if output.wants_json(args):
        output.show_json({"name": args["<name>"], "remote_path": path, "uploaded": True})
    else:
        output.note(f"  ✓ Uploaded to {args['<name>']}:{path}.")
    return 0


def download(args: dict[str, Any], context: Context) -> int:
    """Print a file from a local runtime.

    Usage:
      cw local files download [options] <name> <path>

    Examples:
      cw local files download my-app /etc/os-release > os-release
    """
    code = _run(args["<name>"], DOWNLOAD_SCRIPT, args["<path>"], stdin=subprocess.DEVNULL)
    if code:
        raise CodewireError(f"download: exit status {code}")
    return 0


def list_files(args: dict[str, Any], context: Context) -> int:
    """List a directory in a local runtime.

    Usage:
      cw local files list [options] <name> [<path>]

    Options:
      -j, --json                 Print name, size, is_dir, mode and mtime as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw local files list my-app /workspace
    """
    done = subprocess.run(
        _argv(args["<name>"], LIST_SCRIPT, args["<path>"] or "/"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise CodewireError(f"list: exit status {done.returncode}")
    entries = sorted(parse_listing(done.stdout), key=lambda entry: str(entry["name"]))
    if output.wants_json(args):
        output.show_json(entries)
        return 0
    from codewire.term.width import printable

    for entry in entries:
        kind = "dir" if entry["is_dir"] else "file"
        output.line(f"{kind}\t{entry['mode']}\t{entry['size']}\t{printable(str(entry['name']))}")
    return 0


def _argv(name: str, script: str, path: str) -> list[str]:
    from codewire.runtimes.instances import require_running
    from codewire.runtimes.records import resolve, touch

    instance = resolve(name)
    require_running(instance)
    touch(instance)
    return script_argv(instance, script, path)


def _run(name: str, script: str, path: str, **streams: Any) -> int:
    """Run a script inside on our own stdin and stdout; return its exit code."""
    argv = _argv(name, script, path)
    output.flush_stdout()
    try:
        return subprocess.run(argv, check=False, **streams).returncode
    except OSError as error:
        raise CodewireError(f"{shlex.quote(argv[0])}: {error.strerror}") from None
    finally:
        if sys.stdout is not None:
            output.flush_stdout()
