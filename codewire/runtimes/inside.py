"""A node inside a runtime: put there, and reached through the engine's exec.

Sessions then live in the container and survive this machine's node. What answers there is a
foreign node: it is believed no more than one on another machine. Where the image has no Python,
sessions run on this machine's node as `docker exec -it`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

from codewire.client.reach.route import Route
from codewire.errors import CodewireError, NodeRefused, NodeUnreachable
from codewire.io.deadline import NEVER
from codewire.runtimes import records
from codewire.runtimes.archive import program_archive
from codewire.runtimes.engine import Exec, call, engine_environment
from codewire.runtimes.instances import engine_for, require_running

if TYPE_CHECKING:
    from codewire.io.deadline import Deadline
    from codewire.io.streams import FrameStream
    from codewire.runtimes.engine import Result
    from codewire.runtimes.records import Instance

# How sessions run in a runtime, as its record says it; "" is not yet known.
INSIDE, EXEC = "inside", "exec"
INSTALL_SECONDS = 60.0
# For the program inside to ask a relay, its own patience with one that is silent included.
ENROL_SECONDS = START_SECONDS = 60.0
# Where the program and the node's data go: the first that can be written, kept over a restart.
PLACES = '"${HOME:-/nonexistent}/.codewire" /var/lib/codewire "/tmp/codewire-$(id -u)"'
FIND_PYTHON = (
    "for p in python3 python3.13 python3.12 python3.11 python3.10; do "
    'command -v $p >/dev/null 2>&1 && $p -c "import sys, json, socket; '
    'sys.exit(sys.version_info < (3, 10))" 2>/dev/null && break; p=; done; '
)
INSTALL = (
    FIND_PYTHON + '[ -n "$p" ] || exit 3; '
    f"for d in {PLACES}; do "
    'if mkdir -p -m 700 "$d/bin" 2>/dev/null && [ -w "$d/bin" ] && [ -O "$d" ]; then '
    'cat > "$d/bin/cw.pyz.new" && mv "$d/bin/cw.pyz.new" "$d/bin/cw.pyz" && '
    'exec "$p" "$d/bin/cw.pyz" --version; '
    # What was read of stdin is not to be had again for the next place.
    'rm -f "$d/bin/cw.pyz.new"; exit 4; fi; done; exit 5'
)
# Why sessions run by exec, by INSTALL's exit code: podman loses the words of what ends without
# having read its stdin.
NO_NODE = {
    3: "the image has no Python 3.10 or later",
    5: "no directory for cw can be written",
}
# The program's own directory is the node's; what this machine's environment says is not for it.
REACH = (
    FIND_PYTHON + f'for d in {PLACES}; do [ -f "$d/bin/cw.pyz" ] && [ -O "$d/bin/cw.pyz" ] && '
    'CODEWIRE_DIR="$d" exec "$p" "$d/bin/cw.pyz" "$@"; done; exit 127'
)


def install_node(instance: Instance) -> tuple[Instance, str]:
    """Put a node into a running runtime, once; return its record and why not, "" if it is there.

    Raises CodewireError if the runtime does not run.
    """
    require_running(instance)
    argv = engine_for(instance).exec_argv(instance, Exec(["/bin/sh", "-c", INSTALL], directory=""))
    result = call(argv, INSTALL_SECONDS, program_archive())
    words = result.output.splitlines()[-1] if result.output else "no sh"
    why = "" if result.code == 0 else NO_NODE.get(result.code, words)
    if why and result.code not in NO_NODE:
        raise CodewireError(
            f"cw cannot be put into {instance.name}: {why}; sessions can run by the engine's exec, "
            "too: 'cw local create --no-node'"
        )
    node = EXEC if why else INSIDE
    records.update(instance.name, node=node)
    return instance._replace(node=node), why


def program_argv(instance: Instance, *arguments: str) -> list[str]:
    """Return the argv that runs the cw which was put into a runtime."""
    command = ["/bin/sh", "-c", REACH, "sh", *arguments]
    return engine_for(instance).exec_argv(instance, Exec(command, directory=""))


def enrol_node(instance: Instance, relay_url: str, token: str) -> str:
    """Have the node inside redeem an enrolment; return why it could not, "" if it did.

    The token goes in on stdin: no argv, variable or `docker inspect` shows it, and the node's own
    token never leaves the runtime. Raises EngineError.
    """
    argv = program_argv(instance, "network", "enroll", "redeem", "--relay-url", relay_url, "-")
    return _why_not(call(argv, ENROL_SECONDS, token.encode() + b"\n"))


def start_node(instance: Instance) -> str:
    """Start the node inside if it does not run; return why it could not, "" if it runs.

    Raises EngineError.
    """
    return _why_not(call(program_argv(instance, "start"), START_SECONDS))


def _why_not(result: Result) -> str:
    if result.code == 0:
        return ""
    words = result.output.splitlines()[-1:] or [f"exit status {result.code}"]
    return words[0].removeprefix("Error: ")


class RuntimeRoute(Route):
    """The way to the node inside a runtime: its frames over the engine's exec."""

    __slots__ = ("instance", "start_directory")

    patience = 10.0

    def __init__(self, instance: Instance) -> None:
        super().__init__(f"runtime {instance.name}")
        self.instance = instance
        self.start_directory = instance.workdir

    def __str__(self) -> str:
        return f"the node in {self.instance.name}"

    def open(self, deadline: Deadline = NEVER) -> FrameStream:
        """See Route. The engine's client lives as long as the connection."""
        from codewire.io.streams import FrameStream

        try:
            require_running(self.instance)
        except CodewireError as error:
            raise NodeRefused(str(error)) from None
        argv = program_argv(self.instance, "node", "--stdio")
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=engine_environment(),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise NodeUnreachable(f"{argv[0]}: {error.strerror}") from None
        finally:
            theirs.close()
        # Whoever lives longer than the connection must not keep a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        return FrameStream(ours)

    def lost(self) -> str:
        return f"connection to {self} lost; trying again"

    def path_there(self, path: str) -> str | None:
        """See Route: the project's directory is the runtime's workspace."""
        project = os.path.realpath(self.instance.repo_path)
        real = os.path.realpath(path)
        if real == project or real.startswith(project.rstrip("/") + "/"):
            rest = os.path.relpath(real, project)
            return os.path.normpath(os.path.join(self.instance.workdir, rest))
        return None
