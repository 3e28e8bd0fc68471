"""`cw attach` on a real terminal and a real node: what the screen shows, and every way out."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from codewire.client.attaching.outerstatus import CLEAR, QUERY
from codewire.term.restore import TEARDOWN
from tests.support import REPOSITORY, Home, wait_until
from tests.terminal import Terminal

DETACH = b"\x02d"
# Too few rows for a status bar: then the screen shows the session's bytes and nothing else.
NO_BAR_ROWS = 4

Attach = Callable[..., Terminal]


@pytest.fixture
def attach(node: Home) -> Iterator[Attach]:
    """Call it with the arguments of `cw attach` to get the terminal it runs on."""
    terminals: list[Terminal] = []

    def start(*args: str, rows: int = 24) -> Terminal:
        terminal = Terminal(rows)
        terminals.append(terminal)
        terminal.process = node.popen("attach", *args, start_new_session=True, **terminal.streams)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()


def session_bytes(terminal: Terminal) -> bytes:
    """Return what an attached terminal without a bar showed of its session."""
    start = terminal.seen.index(b"\r\n", terminal.seen.index(b"[cw] attached")) + 2
    return terminal.seen[start : terminal.seen.index(TEARDOWN)].replace(QUERY, b"", 1)


def worker_pid(node: Home) -> int:
    """Return the worker's pid, asked by a client: it asks again if the worker is dying just now."""
    return int(node.client().node_status().worker_pid)


def attached_count(node: Home, session_id: int) -> int:
    return int(node.session(session_id)["attached_count"])


@pytest.mark.smoke
def test_history_typing_detaching_and_coming_back(node: Home, attach: Attach) -> None:
    session = node.launch("bash", "-c", "echo ready; exec cat", name="cat")
    for word in (b"first", b"second"):
        terminal = attach("cat")
        terminal.expect(b"[cw] attached to session 1\r\n")
        terminal.expect_raw()
        terminal.expect(b"ready\r\n")
        terminal.type(word + b"\r")
        # The echo, then what cat makes of it; the bar may be drawn in between.
        terminal.expect(word + b"\r\n")
        terminal.expect(word + b"\r\n")
        assert attached_count(node, session) == 1
        terminal.type(DETACH)
        assert terminal.wait() == 0
        terminal.check_restored()
        assert terminal.seen.endswith(b"\r\n[cw] detached from session 1\r\n")
        wait_until(lambda: attached_count(node, session) == 0)
    assert node.session(session)["status"] == "running"
    terminal = attach("1", "--no-history")
    terminal.expect_raw()
    terminal.type(b"third\r")
    terminal.expect(b"third\r\n")
    terminal.expect(b"third\r\n")
    assert b"ready" not in terminal.seen


def test_a_terminal_that_knows_states_is_told(node: Home, attach: Attach) -> None:
    session = node.launch("cat")
    terminal = attach("1")
    terminal.expect(QUERY)
    terminal.type(b"one" + QUERY + b"two\r")
    terminal.expect(b"onetwo\r\n")
    client = node.client()
    client.report_task(session, "thinking", "working")
    terminal.expect(b"\x1b]7501;state=working:app=cw:msg=dGhpbmtpbmc=\x1b\\")
    client.report_task(session, "which one?", "blocked", kind="question")
    terminal.expect(b"\x1b]7501;state=blocked:kind=question:app=cw:msg=")
    terminal.type(DETACH)
    assert terminal.wait() == 0
    assert CLEAR in terminal.seen and b"7501" not in node.log(session)


def test_the_session_gets_the_size_of_the_terminal(node: Home, attach: Attach) -> None:
    script = 'while :; do s=$(stty size); [ "$s" = "$o" ] || echo "$s"; o=$s; sleep 0.02; done'
    node.launch("bash", "-c", script)
    terminal = attach("1")
    terminal.expect(b"23 80")
    terminal.resize(40, 100)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.expect(b"39 100")


def test_the_end_of_the_session_ends_the_client(node: Home, attach: Attach) -> None:
    node.launch("bash", "-c", "read line; seq 3000; printf LAST; exit 3")
    terminal = attach("1", rows=NO_BAR_ROWS)
    terminal.expect(b"attached")
    terminal.expect_raw()
    terminal.type(b"go\r")
    assert terminal.wait() == 0
    terminal.check_restored()
    assert terminal.seen.endswith(b"\r\n[cw] session completed (3)\r\n")
    assert session_bytes(terminal) == node.log(1)
    assert session_bytes(terminal).endswith(b"3000\r\nLAST")


def test_kill_ends_the_client(node: Home, attach: Attach) -> None:
    node.launch("sleep", "600")
    terminal = attach("1")
    terminal.expect(b"attached")
    assert node.cw("kill", "1").returncode == 0
    assert terminal.wait() == 0
    terminal.check_restored()
    assert terminal.seen.endswith(b"\r\n[cw] session killed\r\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signalled_client_leaves_terminal_and_session_in_order(
    node: Home, attach: Attach, number: int
) -> None:
    node.launch("bash", "-c", "echo ready; sleep 600")
    terminal = attach("1")
    terminal.expect(b"ready")
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    terminal.check_restored()
    wait_until(lambda: attached_count(node, 1) == 0)
    assert node.session(1)["status"] == "running"


@pytest.mark.smoke
def test_worker_kills_under_flood_lose_no_byte(node: Home, attach: Attach) -> None:
    script = "read line; for i in $(seq 60000); do echo line $i of the flood; done; printf LAST"
    node.launch("bash", "-c", script)
    terminal = attach("1", rows=NO_BAR_ROWS)
    terminal.expect(b"attached")
    terminal.expect_raw()
    terminal.type(b"go\r")
    for number in range(1, 6):
        terminal.expect(b"line %d of" % (number * 5000), timeout=30)
        os.kill(worker_pid(node), signal.SIGKILL)
    assert terminal.wait(60) == 0
    terminal.check_restored()
    assert terminal.seen.endswith(b"\r\n[cw] session completed (0)\r\n")
    assert session_bytes(terminal) == node.log(1)
    printed = b"".join(b"line %d of the flood\r\n" % i for i in range(1, 60001))
    assert node.log(1) == b"go\r\n" + printed + b"LAST"
    assert node.node_status()["worker_restarts"] == 5


def test_typing_goes_on_after_the_worker_was_replaced(node: Home, attach: Attach) -> None:
    node.launch("bash", "-c", "echo ready; exec cat")
    terminal = attach("1", rows=NO_BAR_ROWS)
    terminal.expect(b"ready")
    before = worker_pid(node)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: worker_pid(node) != before)
    wait_until(lambda: attached_count(node, 1) == 1)
    terminal.type(b"still here\r")
    terminal.expect(b"still here\r\nstill here\r\n")
    assert node.cw("node", "restart").returncode == 0
    wait_until(lambda: attached_count(node, 1) == 1)
    terminal.type(b"and here\r")
    terminal.expect(b"and here\r\nand here\r\n")
    terminal.type(DETACH)
    assert terminal.wait() == 0
    terminal.check_restored()


def test_stopping_the_node_ends_the_client(node: Home, attach: Attach) -> None:
    node.launch("sleep", "600")
    terminal = attach("1")
    terminal.expect(b"attached")
    node.stop_node()
    assert terminal.wait() in (0, 1)
    terminal.check_restored()
    last = terminal.seen.rstrip().rpartition(b"\r\n")[2]
    assert last in (b"[cw] session killed", b"[cw] connection lost")


def test_without_a_name_the_oldest_free_session_is_taken(node: Home, attach: Attach) -> None:
    for _ in range(2):
        node.launch("sleep", "600")
    first = attach()
    first.expect(b"[cw] attached to session 1\r\n")
    second = attach()
    second.expect(b"[cw] attached to session 2\r\n")
    third = attach()
    assert third.wait() == 1
    assert third.seen == (
        b"Error: No unattached running sessions available\r\n\r\n"
        b"Use 'cw list' to see active sessions\r\n"
    )


def test_what_cannot_be_attached_is_one_clear_error(node: Home, attach: Attach) -> None:
    node.wait_finished(node.launch("true", name="done"))
    for ref, text in (
        ("done", b"session 1 is not running"),
        ("99", b"session 99 not found"),
        ("nobody", b'no session named "nobody"'),
    ):
        terminal = attach(ref)
        assert terminal.wait() == 1
        assert terminal.seen.startswith(b"Error: " + text + b"\r\n")
        assert TEARDOWN not in terminal.seen
    refused = node.cw("attach", "done")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: attach needs a terminal")


def test_a_session_cannot_be_attached_to_itself(node: Home) -> None:
    session = node.launch(sys.executable, str(REPOSITORY / "cw.py"), "attach", "1")
    assert node.wait_finished(session)["exit_code"] == 1
    assert node.log(session).startswith(b"Error: this is session 1: ")
