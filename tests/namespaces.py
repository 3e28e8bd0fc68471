"""Hosts of their own for a test: network namespaces joined by a router, whose links can be cut.

Nothing of it touches the machine's own network, so that addresses and names of interfaces are the
same in every test. Needs root and ip(8).
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

CLONE_NEWNET = 0x40000000  # sched.h
_numbers = itertools.count(1)


class Host:
    """One machine: `words` before a command have it run there (the process id stays the same)."""

    def __init__(self, space: str, router: str, number: int) -> None:
        self.address, self._gateway = f"10.0.{number}.2", f"10.0.{number}.1"
        self._space, self._router, self._link = space, router, f"to{number}"
        self.words = ("nsenter", f"--net=/run/netns/{space}")

    def open(self) -> None:
        """Make it, its interface and its way to all the others."""
        _ip("netns", "add", self._space)
        in_router, here = ("-n", self._router), ("-n", self._space)
        ends = ("type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip(*in_router, "link", "add", self._link, *ends)
        _ip(*in_router, "addr", "add", f"{self._gateway}/30", "dev", self._link)
        _ip(*here, "addr", "add", f"{self.address}/30", "dev", "eth0")
        for name in ("lo", "eth0"):
            _ip(*here, "link", "set", name, "up")
        self.restore()
        _ip(*here, "route", "add", "default", "via", self._gateway)

    def cut(self) -> None:
        """Pull its cable: what is on its way is lost, and nobody is told."""
        _ip("-n", self._router, "link", "set", self._link, "down")

    def restore(self) -> None:
        """Plug it in again."""
        _ip("-n", self._router, "link", "set", self._link, "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Within, sockets that this thread makes are of this host, and stay so afterwards."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            space = os.open(f"/run/netns/{self._space}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(space)
            finally:
                os.close(space)
            try:
                yield
            finally:
                _setns(before)
        finally:
            os.close(before)


class Lan:
    """Hosts by their names, each on a cable of its own to a router in the middle."""

    def __init__(self, *names: str) -> None:
        prefix = f"cw{os.getpid()}-{next(_numbers)}"
        self._router = f"{prefix}-router"
        self._spaces = [self._router]
        self._hosts: dict[str, Host] = {}
        for number, name in enumerate(names, 1):
            self._spaces.append(f"{prefix}-{name}")
            self._hosts[name] = Host(self._spaces[-1], self._router, number)

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def open(self) -> None:
        """Make all of it. Raises CalledProcessError where that is not allowed; close() anyway."""
        _ip("netns", "add", self._router)
        forward = ("sysctl", "-qw", "net.ipv4.ip_forward=1")
        _run("nsenter", f"--net=/run/netns/{self._router}", *forward)
        for host in self._hosts.values():
            host.open()

    def close(self) -> None:
        """Take it away; what still runs there has no network any more."""
        for space in self._spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


@contextlib.contextmanager
def joined(*names: str) -> Iterator[Lan]:
    """Give hosts of these names, all reachable from each other; skips the test where none can be.

    End what runs there before: what is left behind keeps a namespace alive.
    """
    if os.getuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "sysctl"))):
        pytest.skip("needs root, ip(8), nsenter(1) and sysctl(8)")
    lan = Lan(*names)
    try:
        try:
            lan.open()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr!r}")
        yield lan
    finally:
        lan.close()


def _setns(fd: int) -> None:
    """Move this thread into a network namespace: setns(2), which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
