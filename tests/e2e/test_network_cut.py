"""The network goes away for twenty seconds under clients of a remote node (root only)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import printer
from tests.namespaces import Lan, joined
from tests.support import Home, wait_until
from tests.terminal import Terminal

pytestmark = pytest.mark.slow
CUT_SECONDS = 20
# What is drawn apart from the session's output: it returns to where the cursor was.
BAR = re.compile(rb"\x1b7.*?\x1b8", re.DOTALL)


@pytest.fixture
def lan() -> Iterator[Lan]:
    with joined("node", "client") as lan:
        yield lan


# The cut, and then what the kernels take to send again what was lost: doubling pauses.
@pytest.mark.timeout(300)
@pytest.mark.long
def test_twenty_seconds_without_a_network(lan: Lan, runtime: str) -> None:
    home, elsewhere = Home(runtime, lan["node"].words), Home(None, lan["client"].words)
    home.env["CODEWIRE_LISTEN"] = f"{lan['node'].address}:0"
    terminal = Terminal()
    try:
        home.start_node()
        assert "is not encrypted" in home.node_output()
        stop, total = os.path.join(home.path, "stop"), os.path.join(home.path, "total")
        session = home.launch(*printer.command("flood", 1, 0, 5, 100_000, stop, total))
        read = Path(home.path, "logs")
        token = Path(home.data_dir, "token").read_text()
        url = f"http://{home.node_status()['listen']}"
        assert elsewhere.cw("server", "add", "far", url, "--token", token).returncode == 0
        with open(read, "wb") as file:
            logs = elsewhere.popen("logs", "--raw", "--follow", f"far:{session}", stdout=file)
        # From its beginning, however late this is.
        terminal.process = elsewhere.popen(
            "attach", "--history", "all", f"far:{session}", **terminal.streams
        )
        terminal.expect(b"0001 00000100 ", 20)
        wait_until(lambda: b"0001 00000100 " in read.read_bytes(), 20, "logs follow, too")
        lan["client"].cut()
        before = os.path.getsize(home.log_path(session))
        # What the test is about is the time that passes.
        time.sleep(CUT_SECONDS)
        assert os.path.getsize(home.log_path(session)) > before + 100_000
        lan["client"].restore()
        Path(stop).touch()
        assert logs.wait(90) == 0
        assert terminal.wait(90) == 0
        wanted = printer.lines(1, 0, int(Path(total).read_text()))
        assert read.read_bytes() == wanted
        # The status bar is drawn in between; the lines are all there, once and in order.
        shown = BAR.sub(b"", terminal.seen)
        numbers = [int(number) for number in re.findall(rb"0001 (\d{8}) ", shown)]
        assert numbers == list(range(len(wanted) // printer.LINE_BYTES))
        assert home.session(session)["status"] == "completed (0)"
    finally:
        terminal.close()
        elsewhere.close()
        home.close()


def test_a_client_gives_up_on_a_wrong_token_at_once(lan: Lan, runtime: str) -> None:
    """A token changed while the network was away ends the client instead of trying for ever."""
    home = Home(runtime, lan["node"].words)
    home.env["CODEWIRE_LISTEN"] = f"{lan['node'].address}:0"
    try:
        home.start_node()
        token = Path(home.data_dir, "token")
        url = f"http://{home.node_status()['listen']}"
        home.launch("/bin/sh", "-c", "echo hello; exec cat")
        process = home.popen("--server", url, "--token", token.read_text(), "logs", "-f", "1")
        assert process.stdout is not None
        assert process.stdout.readline() == b"hello\r\n"
        token.write_text("another")
        home.kill_worker()
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert b"does not accept this token" in process.stderr.read()
    finally:
        home.close()
