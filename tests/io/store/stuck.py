"""A relay's store on a disk whose sync does not return: run with gate.c preloaded.

Prints what it finds, one word a line; the test knows which. Arguments: runtime, directory, shim.
"""

from __future__ import annotations

import os
import sys

RUNTIME, DIRECTORY, SHIM = sys.argv[1:]
if RUNTIME == "gevent":
    import cw

    cw.patch_relay()

import ctypes  # noqa: E402 - after the patch
import threading  # noqa: E402

from codewire.credentials.vault import Vault  # noqa: E402
from codewire.errors import Unavailable  # noqa: E402
from codewire.io.wait import GEVENT, wait_readable  # noqa: E402
from codewire.relay.store import networks  # noqa: E402
from codewire.relay.store.database import open_database  # noqa: E402


def main() -> None:
    assert (RUNTIME == "gevent") == GEVENT
    database = open_database("", DIRECTORY, Vault(bytes(32)))
    database.write(lambda tx: networks.ensure(tx, "before", 1))
    told, tell = os.pipe()
    wait, release = os.pipe()
    ctypes.CDLL(SHIM).arm(tell, wait)
    writers = [
        threading.Thread(target=database.write, args=(lambda tx: networks.ensure(tx, "now", 1),))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    assert wait_readable(told, 20), "no write came to the disk"
    for _ in range(100):
        assert database.read(lambda tx: networks.exists(tx, "before"))
        assert not database.read(lambda tx: networks.exists(tx, "now"))
    print("read", flush=True)
    try:
        database.write(lambda tx: networks.ensure(tx, "late", 1), 0.05)
    except Unavailable as error:
        assert "has not confirmed a write" in str(error)
        print("told", flush=True)
    assert all(writer.is_alive() for writer in writers)
    os.write(release, bytes(1000))
    for writer in writers:
        writer.join(20)
    assert database.read(lambda tx: networks.exists(tx, "now"))
    print("written", flush=True)
    database.close()


main()
