"""`cw local files`: files in and out of a local runtime (spec/runtimes.md 1.6)."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output, table
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context

# One line an entry, in any image: GNU's and BusyBox's ls differ, stat's forms do not. A name may
# hold anything but NUL and /, so it stands last and a NUL ends it.
LIST_SCRIPT = """
cd -- "$1" 2>/dev/null && set -- . || set -- "$1"
list() { stat -c "%F|%a|%s|%Y|" -- "$1" 2>/dev/null | tr -d "\\n"; printf "%s\\0" "${1##*/}"; }
if [ -d "$1" ]; then
  for entry in ./* ./.[!.]* ./..?*; do [ -e "$entry" ] || [ -L "$entry" ] && list "$entry"; done
elif [ -e "$1" ]; then list "$1"
else echo "$1: no such file or directory" >&2; exit 1; fi
exit 0
"""


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
    script = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1"'
    code = _run(args["<name>"], script, path, stdout=subprocess.DEVNULL)
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
    code = _run(args["<name>"], 'cat -- "$1"', args["<path>"], stdin=subprocess.DEVNULL)
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


def parse_listing(data: bytes) -> list[dict[str, Any]]:
    """Return the entries that LIST_SCRIPT printed; what is no entry is left out."""
    import stat
    import time

    entries = []
    for record in data.decode("utf-8", "replace").split("\0"):
        kind, _, rest = record.partition("|")
        mode, size, mtime, name = (rest.split("|", 3) + ["", "", "", ""])[:4]
        if not (name and size.isdigit() and mtime.isdigit() and mode.isdigit()):
            continue
        is_dir = kind == "directory"
        bits = stat.S_IFDIR if is_dir else stat.S_IFLNK if kind == "symbolic link" else stat.S_IFREG
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(int(mtime), 1 << 33)))
        entries.append(
            {
                "name": name,
                "size": int(size),
                "is_dir": is_dir,
                "mode": stat.filemode(bits | int(mode, 8) & 0o7777),
                "mtime": stamp,
            }
        )
    return entries


def _argv(name: str, script: str, path: str) -> list[str]:
    from codewire.runtimes.engine import Exec
    from codewire.runtimes.instances import engine_for, require_running
    from codewire.runtimes.records import resolve

    instance = resolve(name)
    require_running(instance)
    command = ["/bin/sh", "-c", script, "sh", path]
    return engine_for(instance).exec_argv(instance, Exec(command, directory=""))


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
