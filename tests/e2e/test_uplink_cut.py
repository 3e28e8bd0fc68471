"""What goes on through a relay goes on when the relay, the node's worker or the network is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import printer
from tests.namespaces import Lan, joined
from tests.support import wait_until
from tests.terminal import Terminal
from tests.uplinks import Net

# A request may take longer than the cut and what the kernels take to send again what was lost.
PATIENCE = "250"
# What these tests are about is the time that passes.
CUT_SECONDS, LONG_CUT_SECONDS = 3, 20
BOTH = ("dev-1", "dev-2")


class Under:
    """`logs -f`, `attach`, `wait` and `request` of a client, all under way; and their ends."""

    def __init__(self, net: Net) -> None:
        self.net, self.node, self._client = net, net.node, net.client
        self._stop = Path(self.node.path, "stop")
        self._total = Path(self.node.path, "total")
        self._read = Path(self._client.path, "read")
        self._terminal = Terminal()

    def begin(self) -> None:
        flood = printer.command("flood", 1, 5, 5, 100_000, self._stop, self._total)
        self.node.launch(*flood, name="flood")
        self.node.launch("cat", name="cat")
        self.node.launch("cat", name="asked")
        with self._read.open("wb") as file:
            self._logs = self._client.popen("logs", "--raw", "-f", "dev-1:flood", stdout=file)
        self._wait = self._client.popen("wait", "dev-1:flood")
        asking = ("--delivery", "inbox", "--raw", "--timeout", PATIENCE)
        self._request = self._client.popen("request", "dev-1:asked", "ready?", *asking)
        self._terminal.process = self._client.popen("attach", "dev-1:cat", **self._terminal.streams)
        self._terminal.expect(b"attached to session 2")
        self._terminal.expect_raw()
        self._echo(b"before")
        wait_until(lambda: b"0001 00000100 " in self._read.read_bytes(), 60, "logs follow")
        wait_until(self._questions, 60, "the question is there")
        wait_until(self._all_there, 60, "the fourth is there")

    def answer(self) -> None:
        """Reply on the node itself."""
        [question] = self._questions()
        done = self.node.cw("reply", "-f", "asked", question, "yes")
        assert done.returncode == 0, done.stderr

    def expect(self, words: bytes) -> None:
        """Wait for what the attached terminal shows."""
        self._terminal.expect(words)

    def check(self) -> None:
        """End it all; each has had every byte once."""
        wait_until(lambda: self.node.session(2)["attached"], 120, "attached again")
        self._echo(b"after")
        self._terminal.type(b"\x02d")
        assert self._terminal.wait(90) == 0
        self._stop.touch()
        self.node.wait_finished(1, 60)
        assert self._logs.wait(120) == 0
        wanted = printer.lines(1, 0, int(self._total.read_text()))
        assert self._read.read_bytes() == wanted
        stdout, stderr = self._wait.communicate(timeout=60)
        assert self._wait.returncode == 0 and stdout.startswith(b"=== flood (exit_code=5)"), stderr
        stdout, stderr = self._request.communicate(timeout=60)
        assert (self._request.returncode, stdout) == (0, b"yes\n"), stderr
        kinds = [letter["type"] for letter in self._inbox()["messages"]]
        assert kinds == ["message.request", "message.reply"]

    def printed(self) -> int:
        """Return how many bytes the flood has printed, whoever has them yet."""
        return Path(self.node.log_path(1)).stat().st_size

    def received(self) -> int:
        """Return how many of them `logs -f` has."""
        return self._read.stat().st_size

    def close(self) -> None:
        self._stop.touch()
        self._terminal.close()

    def _echo(self, word: bytes) -> None:
        """Type a line: the terminal's echo comes, then what cat prints, and nothing twice."""
        self._terminal.type(word + b"\n")
        self._terminal.expect(word + b"\r\n")
        self._terminal.expect(word + b"\r\n")

    def _all_there(self) -> bool:
        return bool(self.net.ask("GET", "/api/v1/admin/status")["streams"] >= 4)

    def _questions(self) -> list[str]:
        return [one["request_id"] for one in self._inbox().get("open_requests", ())]

    def _inbox(self) -> dict[str, Any]:
        return self.node.request({"type": "MsgRead", "id": 3})


@contextmanager
def under_way(net: Net) -> Iterator[Under]:
    """Give a network with all that under way; ends everything afterwards."""
    with ExitStack() as ends:
        ends.callback(net.close)
        net.start()
        under = Under(net)
        ends.callback(under.close)
        under.begin()
        yield under


def test_a_killed_relay_costs_no_byte() -> None:
    """Nor does the node's worker, killed meanwhile."""
    with under_way(Net("gevent")) as under:
        under.net.kill_relay()
        under.expect(b"reconnecting")
        under.answer()
        under.node.kill_worker()
        under.net.start_relay()
        under.check()


def test_a_short_cut_costs_no_byte() -> None:
    """Nor does it cost the other nodes anything."""
    with (
        joined("relay", "client", *BOTH) as lan,
        under_way(Net("gevent", nodes=BOTH, lan=lan)) as under,
        cut(lan, under, "dev-1"),
    ):
        assert under.net.client.cw("list", "dev-2").stdout == "No sessions\n"
        time.sleep(CUT_SECONDS)


# The cut, and then what the kernels take to send again what was lost: doubling pauses.
@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "is_killed"), [("gevent", True), ("threads", False)])
def test_twenty_seconds_without_a_network(runtime: str, is_killed: bool) -> None:
    """Node and client lose it; a worker killed meanwhile changes nothing."""
    with (
        joined("relay", "client", "dev-1") as lan,
        under_way(Net(runtime, lan=lan)) as under,
        cut(lan, under, "dev-1", "client"),
    ):
        if is_killed:
            under.node.kill_worker()
        time.sleep(LONG_CUT_SECONDS)


@contextmanager
def cut(lan: Lan, under: Under, *names: str) -> Iterator[None]:
    """Unplug hosts while the block runs; then all must come to its end."""
    for name in names:
        lan[name].cut()
    before = under.printed()
    under.answer()
    yield
    wait_until(lambda: under.printed() > before + 10_000, 30, "the session goes on")
    assert under.received() <= before
    for name in names:
        lan[name].restore()
    under.check()
