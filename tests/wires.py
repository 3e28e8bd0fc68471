"""Pairs of virtual network cards, the other one in a name space of its own (root: ip-netns(8))."""

from __future__ import annotations

import os
import shutil
import subprocess


class Wire:
    """A pair of virtual network cards: ours, and one in a name space of its own."""

    def __init__(self, index: int = 0) -> None:
        """`index`, up to 3, tells the wires of one test apart."""
        # A network of four addresses for each: two that overlapped would take each other's packets.
        number = (os.getpid() * 4 + index) % (1 << 14)
        self.space, self.ours, self.theirs = f"cw{number}", f"cwa{number}", f"cwb{number}"
        self.address, self.elsewhere = (
            f"10.213.{number >> 6}.{(number & 63) * 4 + host}" for host in (1, 2)
        )

    def open(self) -> None:
        self._ip("netns", "add", self.space)
        self._ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs)
        self._ip("link", "set", self.theirs, "netns", self.space)
        self._ip("addr", "add", f"{self.address}/30", "dev", self.ours)
        self._ip("-n", self.space, "addr", "add", f"{self.elsewhere}/30", "dev", self.theirs)
        self._ip("-n", self.space, "link", "set", self.theirs, "up")
        self.set("up")

    def set(self, state: str) -> None:
        self._ip("link", "set", self.ours, state)

    def close(self) -> None:
        subprocess.run(["ip", "link", "del", self.ours], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


def has_spaces() -> bool:
    """Say whether network name spaces can be made here."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        return False
    wire = Wire(3)
    try:
        wire.open()
        subprocess.run(["ip", "netns", "exec", wire.space, "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return False
    finally:
        wire.close()
    return True
