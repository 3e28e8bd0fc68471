#!/usr/bin/env python3
"""Compare SSH to a node through a relay with a plain sshd, and weigh clients that do nothing.

    .venv/bin/python bench/ssh.py [--megabytes 100] [--idle 200]

Needs OpenSSH's client and server, and codewire[relay]. Prints medians and ratios; exits 1 when a
target is missed: bytes each way ≥ 0.6 times sshd's, an idle client ≤ 30 KB and all ≤ 2 % of a
processor, in the relay and its gateway together.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import processes
from bench.relayload import TOKEN, Server, raise_limit
from bench.systems import Ours
from bench.wire import call

ROUNDS = 3
WARM = 20
IDLE_SECONDS = 10.0
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


class Way:
    """How ssh gets to a shell: `words` of its command line, and variables."""

    def __init__(self, name: str, words: list[str], **env: str) -> None:
        self.name = name
        self._words = ["ssh", "-F", "none", "-o", "LogLevel=ERROR", *words]
        self._env = {**os.environ, **env}

    def down(self, path: str, digest: str, size: int) -> float:
        """Return MB/s of a file that comes here; the sum of it is not part of the time."""
        start = time.perf_counter()
        done = subprocess.run([*self._words, f"cat {path}"], env=self._env, check=True,
                              stdin=subprocess.DEVNULL, capture_output=True)  # fmt: skip
        seconds = time.perf_counter() - start
        assert hashlib.sha256(done.stdout).hexdigest() == digest, f"{self.name}: other bytes"
        return size / seconds / 1e6

    def up(self, path: str, digest: str, size: int) -> float:
        """Return MB/s of a file that goes there, and is there."""
        start = time.perf_counter()
        with open(path, "rb") as file:
            subprocess.run([*self._words, f"cat > {path}.got"], env=self._env, check=True,
                           stdin=file)  # fmt: skip
        seconds = time.perf_counter() - start
        got = Path(f"{path}.got")
        assert hashlib.sha256(got.read_bytes()).hexdigest() == digest, f"{self.name}: other bytes"
        got.unlink()
        return size / seconds / 1e6

    def begin(self, *_: object) -> float:
        """Return the seconds of `ssh … true`."""
        start = time.perf_counter()
        subprocess.run([*self._words, "true"], env=self._env, check=True, stdin=subprocess.DEVNULL)
        return time.perf_counter() - start


def plain_sshd(directory: str) -> tuple[subprocess.Popen[bytes], Way]:
    """Start an sshd of our own; return it and the way to it."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        f"{directory}/{name}"], check=True)  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if os.getuid() == 0:
        os.makedirs("/run/sshd", 0o755, exist_ok=True)
    options = {
        "Port": str(port), "ListenAddress": "127.0.0.1", "HostKey": f"{directory}/host",
        "AuthorizedKeysFile": f"{directory}/user.pub", "StrictModes": "no", "UsePAM": "no",
        "PidFile": "none",
    }  # fmt: skip
    words = [word for item in options.items() for word in ("-o", "=".join(item))]
    command = [SSHD, "-D", "-f", "/dev/null", "-E", f"{directory}/log", *words]
    process = subprocess.Popen(command)
    assert processes.wait_until(lambda: _answers(port), 20)
    words = ["-i", f"{directory}/user", *_known(directory), "-p", str(port), "127.0.0.1"]
    return process, Way("sshd", words)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _known(directory: str) -> list[str]:
    return ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={directory}/hosts"]


def through_relay(directory: str, port: int, token: str) -> Way:
    """Return the way through the relay, with the node's token as password."""
    askpass = Path(directory, "askpass")
    askpass.write_text('#!/bin/sh\necho "$PASSWORD"\n')
    askpass.chmod(0o700)
    words = [*_known(directory), "-o", "PubkeyAuthentication=no", "-p", str(port)]
    return Way("relay", [*words, "bench@127.0.0.1"], PASSWORD=token, SSH_ASKPASS=str(askpass),
               SSH_ASKPASS_REQUIRE="force")  # fmt: skip


def connected(relay: Server, system: Ours) -> str:
    """Start the node and return its token."""
    relay.ask("POST", "/api/v1/networks", {"network_id": "proj"})
    system.env.update(
        CODEWIRE_RELAY_URL=f"http://127.0.0.1:{relay.port}",
        CODEWIRE_RELAY_NETWORK="proj",
        CODEWIRE_RELAY_AUTH_TOKEN=TOKEN,
        CODEWIRE_NODE_NAME="bench",
    )
    system.start()
    ask = {"type": "NodeStatus"}
    assert processes.wait_until(
        lambda: call(system.socket, ask)["node"].get("relay", {}).get("state") == "connected", 20
    )
    config = Path(os.path.dirname(system.socket), "config.toml").read_text()
    token = re.search(r'relay_node_token = "(.*)"', config)
    assert token is not None
    return token[1]


def compare(ways: tuple[Way, Way], directory: str, size: int) -> bool:
    """Print what both ways take; say whether the targets are met."""
    data = os.urandom(size)
    path, digest = f"{directory}/data", hashlib.sha256(data).hexdigest()
    Path(path).write_bytes(data)
    met = True
    for name, unit, least in (("down", "MB/s", 0.6), ("up", "MB/s", 0.6), ("begin", "s", 0.0)):
        # Interleaved, so that whatever else the machine does meets both.
        rows = [[getattr(way, name)(path, digest, size) for way in ways] for _ in range(ROUNDS)]
        plain, ours = (statistics.median(column) for column in zip(*rows, strict=True))
        is_met = ours / plain >= least
        met = met and is_met
        verdict = f" (≥ {least})" if least else ""
        print(f"{name:<8} sshd {plain:8.3g} {unit}   relay {ours:8.3g} {unit}   "
              f"{ours / plain:5.2f}{verdict}{'' if is_met else '  MISSED'}", flush=True)  # fmt: skip
    return met


async def weigh(relay: Server, port: int, token: str, number: int) -> bool:
    """Print what idle clients cost, logged in and with a shell each; say if the targets are met."""
    import asyncssh

    options = asyncssh.SSHClientConnectionOptions(
        username="bench", password=token, known_hosts=None, client_keys=None, agent_path=None,
        config=None,
    )  # fmt: skip
    pids = [relay.process.pid, *processes.descendants(relay.process.pid)]
    limit = asyncio.Semaphore(8)

    async def connect() -> asyncssh.SSHClientConnection:
        async with limit:
            return await asyncssh.connect("127.0.0.1", port, options=options)

    # What is loaded and kept with the first ones is not theirs.
    warm = await asyncio.gather(*(connect() for _ in range(WARM)))
    await asyncio.gather(*(one.run("true") for one in warm))
    before = processes.memory_kilobytes(pids, "Pss")
    clients = await asyncio.gather(*(connect() for _ in range(number)))
    met = await _idle(pids, before, "logged in", number, 30.0)
    before = processes.memory_kilobytes(pids, "Pss")
    shells = [await one.create_process("cat") for one in clients]
    await _idle(pids, before, "a shell each", number, None)
    del shells
    for one in (*warm, *clients):
        one.abort()
    return met


async def _idle(pids: list[int], before: int, what: str, number: int, most: float | None) -> bool:
    start = processes.cpu_seconds(pids)
    await asyncio.sleep(IDLE_SECONDS)
    percent = (processes.cpu_seconds(pids) - start) / IDLE_SECONDS * 100
    each = (processes.memory_kilobytes(pids, "Pss") - before) / number
    is_met = most is None or (each <= most and percent <= 2.0)
    verdict = "" if most is None else f" (≤ {most:g}, ≤ 2)"
    print(f"{number} idle, {what:<13} {each:6.1f} KB each, {percent:4.1f} % of a processor{verdict}"
          f"{'' if is_met else '  MISSED'}", flush=True)  # fmt: skip
    return is_met


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--runtime", default="gevent")
    given = parser.parse_args()
    raise_limit()
    directory = tempfile.mkdtemp(prefix="cwb-", dir="/tmp")
    relay, system = Server(given.runtime, ssh="127.0.0.1:0"), Ours(given.runtime)
    sshd, plain = plain_sshd(directory)
    try:
        token = connected(relay, system)
        port = int(relay.ask("GET", "/api/v1/ssh")["port"])
        ways = (plain, through_relay(directory, port, token))
        met = compare(ways, directory, given.megabytes << 20)
        met = asyncio.run(weigh(relay, port, token, given.idle)) and met
    finally:
        sshd.terminate()
        sshd.wait(20)
        system.close()
        relay.close()
        shutil.rmtree(directory)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
