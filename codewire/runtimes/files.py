"""Files in a runtime, by scripts that every shell and BusyBox can run (spec/runtimes.md 1.6)."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING, Any

from codewire.runtimes.engine import Exec
from codewire.runtimes.instances import engine_for

if TYPE_CHECKING:
    from codewire.runtimes.records import Instance

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
UPLOAD_SCRIPT = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1"'
DOWNLOAD_SCRIPT = 'cat -- "$1"'


def script_argv(instance: Instance, script: str, path: str) -> list[str]:
    """Return the argv that runs one of these scripts on a path inside, on our stdin and stdout."""
    command = ["/bin/sh", "-c", script, "sh", path]
    return engine_for(instance).exec_argv(instance, Exec(command, directory=""))


def parse_listing(data: bytes) -> list[dict[str, Any]]:
    """Return the entries that LIST_SCRIPT printed; what is no entry is left out."""

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
