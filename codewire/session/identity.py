"""Which node this is: a random id, kept in the data directory for as long as it is this directory.

A cloned image or a copied directory is another node: the id is stored with the machine's own
(machine-id(5)) and the directory's inode, and where either differs a new one is made. Clients read
the first line (paths.read_node_id).
"""

from __future__ import annotations

import logging
import os

from codewire.disk.filing import write_atomically
from codewire.files import read_regular
from codewire.paths import NODE_ID_BYTES, DataDir

log = logging.getLogger(__name__)

MACHINE_ID = "/etc/machine-id"


def node_id(paths: DataDir, machine_file: str = MACHINE_ID) -> str:
    """Return this node's id, made anew where there is none or it is of another place.

    Where it cannot be kept (a full disk) it is good for this worker's life. Never raises OSError.
    """
    place = _place(paths.root, machine_file)
    try:
        kept, _, where = read_regular(paths.node_id, NODE_ID_BYTES).decode().strip().partition("\n")
        if kept and where == place:
            return kept
    except (OSError, ValueError):
        pass
    made = os.urandom(12).hex()
    try:
        write_atomically(paths.node_id, f"{made}\n{place}\n")
    except OSError as error:
        log.error("the node's id cannot be kept: %s", error)
    return made


def _place(root: str, machine_file: str) -> str:
    """Return what tells this directory from a copy of it."""
    try:
        machine = read_regular(machine_file, NODE_ID_BYTES).decode("ascii", "replace").strip()
    except OSError:
        machine = ""
    try:
        inode = os.stat(root).st_ino
    except OSError:
        inode = 0
    return f"{machine or '-'} {inode}"
