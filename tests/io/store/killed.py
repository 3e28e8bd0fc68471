"""Killing a relay's store while it writes: what was confirmed is there afterwards.

`python -m tests.io.store.killed ROUNDS` is the long version (40 rounds in CI's place once).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from codewire.credentials.vault import Vault
from codewire.relay.store import events, invites, networks
from codewire.relay.store.database import Database, open_database

ROOT = Path(__file__).resolve().parents[3]
NETWORK = "net"
WRITERS = 8
USES = 200


def write_for_ever(directory: str) -> None:
    """Write from several threads; a line for what is confirmed."""
    database = open_database("", directory, Vault(bytes(32)))
    lock = threading.Lock()

    def confirm(line: str) -> None:
        with lock:
            os.write(1, f"{line}\n".encode())

    def write(number: int) -> None:
        while True:
            seq = database.write(
                lambda tx: events.append(tx, NETWORK, "access", "x", {"by": number}, 1)
            )
            confirm(f"event {seq}")
            subject = f"github:{number}-{seq}"
            if database.write(lambda tx, subject=subject: _join(tx, subject)):
                confirm(f"member {subject}")

    for number in range(WRITERS):
        threading.Thread(target=write, args=(number,), daemon=True).start()
    threading.Event().wait()


def _join(tx: object, subject: str) -> bool:
    """Use an invite and become a member, both or neither."""
    if invites.use(tx, "CW-INV-x", 1) is None:
        return False
    networks.add_member(tx, NETWORK, subject, "member", "x", 1)
    return True


def kill_while_writing(directory: str, lines: int) -> list[str]:
    """Return what was confirmed by a writer that is killed after so many lines."""
    command = [sys.executable, "-m", "tests.io.store.killed", "--write", directory]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(lines)]
    writer.kill()
    # What it had written to the pipe by then was confirmed, too.
    rest = writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    writer.wait(20)
    return [line.strip() for line in said + rest if line.endswith("\n")]


def check(database: Database, confirmed: list[str]) -> None:
    """Assert that everything confirmed is there, and that uses and members add up."""
    seqs = {row[0] for row in database.read(lambda tx: tx.all("select seq from events"))}
    rows = database.read(lambda tx: tx.all("select subject from network_members"))
    members = {row[0] for row in rows}
    for line in confirmed:
        what, value = line.split()
        assert (int(value) in seqs) if what == "event" else (value in members), line
    assert seqs == set(range(1, len(seqs) + 1))
    left = database.read(lambda tx: tx.one("select sum(uses_remaining) from invites"))
    assert len(members) + ((left[0] or 0) if left else 0) == USES


def run(rounds: int, directory: str) -> int:
    """Kill and check so many times; return how many writes were confirmed."""
    database = open_database("", directory, Vault(bytes(32)))
    database.write(
        lambda tx: invites.create(
            tx, NETWORK, token="CW-INV-x", created_by=None, created_by_subject="",
            uses=USES, expires_at=2, now=1,
        )
    )  # fmt: skip
    database.close()
    confirmed: list[str] = []
    for number in range(rounds):
        confirmed += kill_while_writing(directory, random.Random(number).randint(1, 400))
        database = open_database("", directory, Vault(bytes(32)))
        try:
            check(database, confirmed)
        finally:
            database.close()
    return len(confirmed)


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        write_for_ever(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="cw-killed-") as root:
        print(f"{run(int(sys.argv[1]), root)} confirmed writes, none lost")
