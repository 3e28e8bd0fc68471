"""Begins a keeper: as a new node, or as the successor of a keeper that died."""

from __future__ import annotations

import os
import socket

from codewire.errors import CodewireError
from codewire.io.logfile import write_stderr
from codewire.keeper.process import Keeper
from codewire.keeper.processes.children import keep_orphans
from codewire.paths import data_dir


def main(argv: list[str]) -> int:
    """Run the keeper: `--foreground` or `--detached` as a new node, `--adopt FD` as a successor."""
    keep_orphans()
    detached = argv[:1] != ["--foreground"]
    try:
        os.chdir("/")
        keeper = Keeper(data_dir(), detached)
        if argv[:1] == ["--adopt"]:
            # A session that inherited it would hide our end from the worker.
            os.set_inheritable(int(argv[1]), False)
            keeper.await_adoption(socket.socket(fileno=int(argv[1])))
        else:
            keeper.open()
    except CodewireError as error:
        write_stderr(f"Error: {error}\n".encode("utf-8", "replace"))
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        words = f"Error: starting the node: {where}{error.strerror or error}\n"
        write_stderr(words.encode("utf-8", "replace"))
        return 1
    return keeper.run()
