"""What the node shows to other machines: whether its port is free, whose it is, its certificate."""

from __future__ import annotations

import errno
import os
import socket
import time

from codewire.client.local.processes import all_processes, describe, holds, role_of
from codewire.errors import CodewireError, ConfigError
from codewire.io.tcp import join_address, resolve_listen

# The state of a listening socket in /proc/net/tcp (proc(5)).
LISTENING = "0A"


def port_user(listen: str, lock_path: str) -> str:
    """Return who but the node of this lock file has the address `host:port`, "" if nobody has.

    Raises CodewireError for what is no address of this machine. The name may have to be looked up.
    """
    family, address = resolve_listen(listen)
    if address[1] == 0:
        return ""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As the node does it; bind(2) refuses what somebody listens at.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _listener(address[1], lock_path)
        cause = (error.strerror or str(error)).lower()
        raise CodewireError(f"{join_address(address)}: {cause}") from error
    finally:
        sock.close()
    return ""


def _listener(port: int, lock_path: str) -> str:
    """Return the process that listens at a port, "" when it is our node."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in all_processes():
        if not _has_any(process.pid, inodes):
            continue
        if role_of(process.pid) and holds(process.pid, lock_path):
            return ""
        return f"another program ({describe(process.pid)})"
    return "another program (of another user: its pid cannot be seen)"


def _listening_inodes(port: int) -> list[str]:
    found: list[str] = []
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except (OSError, ValueError):
            continue
        for fields in map(str.split, lines):
            if len(fields) > 9 and fields[3] == LISTENING and _port(fields[1]) == port:
                found.append(fields[9])
    return found


def _port(address: str) -> int:
    try:
        return int(address.rpartition(":")[2], 16)
    except ValueError:
        return -1


def _has_any(pid: int, links: set[str]) -> bool:
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"{directory}/{name}") in links:
                return True
        except OSError:
            continue
    return False


def is_public(listen: str) -> bool:
    """Say whether other machines can reach this address. Raises CodewireError."""
    host = resolve_listen(listen)[1][0]
    return not (host.startswith("127.") or host == "::1")


def certificate_end(certificate: str, key: str) -> tuple[str, bool]:
    """Return when a certificate ends ("" if that cannot be told), and whether it is over.

    Raises ConfigError when the node could not use it.
    """
    import ssl

    from codewire.io.tls import server_context

    if not os.path.exists(certificate):
        raise ConfigError(f"tls_cert {certificate}: no such file")
    server_context(certificate, key)
    # The only decoder of a PEM file that the standard library has.
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    try:
        end = str(decode(certificate)["notAfter"]) if decode else ""
        return end, bool(end) and ssl.cert_time_to_seconds(end) < now()
    except (OSError, ValueError, KeyError):
        return "", False


def now() -> float:
    """Return the time by which certificates are judged, in seconds since 1970."""
    return time.time()
