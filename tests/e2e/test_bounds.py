"""Sizes no terminal has, and clients that leave while their input waits: nobody else is hurt."""

from __future__ import annotations

import base64
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from tests.rawwire import RawConnection
from tests.remote import RemoteHome
from tests.support import Home, wait_until
from tests.terminal import Terminal

# Says when it has set its terminal's size, then reads lines and says them again.
SIZED = 'stty rows {rows} cols {cols}; echo ready; while read line; do echo "got $line"; done'


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def launch_sized(node: Home, rows: int, cols: int) -> int:
    number = node.launch("sh", "-c", SIZED.format(rows=rows, cols=cols))
    wait_until(lambda: b"ready" in node.log(number), 20, "the size is set")
    return number


def worker_fds(node: Home) -> int:
    return len(os.listdir(f"/proc/{node.worker_pid}/fd"))


def test_a_program_may_set_any_size(node: Home) -> None:
    """Its screen is not emulated, and says so; all else works."""
    number = launch_sized(node, 65535, 65535)
    shown = node.cw("screen", str(number))
    assert shown.returncode == 1
    assert "65535 columns and 65535 rows" in shown.stderr
    assert node.cw("send", str(number), "hello").returncode == 0
    wait_until(lambda: b"got hello" in node.log(number), 20, "it goes on")
    assert "got hello" in node.cw("logs", str(number)).stdout
    status = node.request({"type": "GetStatus", "id": number, "screen_hash": True})
    assert "screen_hash" not in status["info"]
    refused = node.request(
        {"type": "SendInput", "id": number, "data": encoded(b"x"), "expect_screen": "0" * 16}
    )
    assert "nothing was typed" in refused["message"]
    with node.connect() as client:
        answer = client.request({"type": "Attach", "id": number, "history": "terminal"})
        assert answer["type"] == "Attached"
        client.send_control({"type": "Resize", "rows": 24, "cols": 80})
        client.send_data(b"again\n")
        wait_until(lambda: b"got again" in node.log(number), 20, "it reads")
    screen = node.request({"type": "GetScreen", "id": number})
    assert (screen["rows"], screen["cols"]) == (24, 80)
    assert "got again" in screen["lines"]
    facts = Path(f"/proc/{node.worker_pid}/status").read_text()
    assert int(facts.partition("VmHWM:")[2].split()[0]) < 300_000


def test_a_query_is_answered_on_a_terminal_of_any_size(node: Home) -> None:
    script = (
        "stty raw -echo rows 65535 cols 65535; printf '\\033[6n\\033[18t'; "
        "dd bs=1 count=12 2>/dev/null | od -c; echo; sleep 100"
    )
    number = node.launch("sh", "-c", script)
    wait_until(lambda: b"8   ;   6   5" in node.log(number), 20, "both are answered")


def test_a_size_beyond_the_bound_is_refused_before_anything_starts(node: Home) -> None:
    refused = node.cw("launch", "--size", "20000x20000", "--", "true")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "4000000 cells" in refused.stderr
    request = {"type": "Launch", "command": ["true"], "rows": 20000, "cols": 20000}
    answer = node.request(request)
    assert answer["type"] == "Error"
    assert "20000 columns and 20000 rows" in answer["message"]
    assert node.request({"type": "ListSessions"}).get("sessions", []) == []


def test_a_resize_beyond_the_bound_is_cut(node: Home) -> None:
    number = node.launch(
        "sh", "-c", "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"
    )
    wait_until(lambda: b"up" in node.log(number), 20, "it runs")
    with node.connect() as client:
        client.request({"type": "Attach", "id": number})
        client.send_control({"type": "Resize", "rows": 65535, "cols": 65535})
        wait_until(lambda: b"2000 2000" in node.log(number), 20, "the size is cut")


def test_nobody_waits_long_for_anothers_screen(node: Home) -> None:
    """A program erases a large screen all the time; somebody looks at it, others list."""
    script = r"i=0; while [ $i -lt 20000 ]; do printf '\033[2J\033[Hx'; i=$((i+1)); done; echo end"
    number = node.launch("sh", "-c", f"{script}; sleep 100", rows=1000, cols=1000)
    wait_until(lambda: b"end" in node.log(number), 60, "it has printed")
    waits = []
    with RawConnection(node.socket, 60) as looking:
        looking.send_control({"type": "GetScreen", "id": number})
        for _ in range(20):
            started = time.monotonic()
            node.request({"type": "ListSessions"})
            waits.append(time.monotonic() - started)
    # The median: what one process waits for on a busy machine is not ours to promise.
    assert sorted(waits)[10] < 0.3, waits


def start_send(node: Home, number: int) -> RawConnection:
    """Ask for more to be typed than a terminal takes; the answer does not come."""
    client = node.connect()
    client.send_control({"type": "SendInput", "id": number, "data": encoded(b"x" * 100_000)})
    return client


def test_senders_that_leave_a_program_that_reads_nothing_are_gone(node: Home) -> None:
    number = node.launch("sh", "-c", "stty raw; echo ready; sleep 1000")
    wait_until(lambda: b"ready" in node.log(number), 20, "it runs")
    before = worker_fds(node)
    for _ in range(10):
        clients = [start_send(node, number) for _ in range(5)]
        for client in clients:
            client.close()
    wait_until(lambda: worker_fds(node) <= before, 20, "every descriptor is closed")


def test_a_send_that_is_killed_leaves_nothing(node: Home) -> None:
    number = node.launch("sh", "-c", "stty raw; echo ready; sleep 1000")
    wait_until(lambda: b"ready" in node.log(number), 20, "it runs")
    before = worker_fds(node)
    with node.connect() as events:
        events.request({"type": "Subscribe", "id": number, "event_types": ["session.input"]})
        sending = node.popen("send", str(number), "--stdin")
        assert sending.stdin is not None
        sending.stdin.write(b"x" * 60_000)
        sending.stdin.close()
        # The terminal echoes what it takes.
        wait_until(lambda: b"xxx" in node.log(number), 20, "it is being typed")
        sending.send_signal(signal.SIGKILL)
        sending.wait(20)
        # What was typed is told.
        event: dict[str, Any] = events.receive_control()["event"]
        assert 0 < event["data"]["bytes_count"] < 60_000
    wait_until(lambda: worker_fds(node) <= before, 20, "every descriptor is closed")


def test_a_remote_sender_that_is_killed_is_gone(remote: RemoteHome, home: Home) -> None:
    """Over a WebSocket, where the end stands behind what the node has read already."""
    home.cw("server", "add", "dev-1", f"http://{remote.address}", "--token", remote.token)
    number = remote.launch("sh", "-c", "stty raw; echo ready; sleep 1000", name="deaf")
    wait_until(lambda: b"ready" in remote.log(number), 20, "it runs")
    before = worker_fds(remote)
    sending = home.popen("send", "dev-1:deaf", "--stdin")
    assert sending.stdin is not None
    sending.stdin.write(b"x" * 60_000)
    sending.stdin.close()
    wait_until(lambda: b"xxx" in remote.log(number), 20, "it is being typed")
    sending.send_signal(signal.SIGKILL)
    sending.wait(20)
    wait_until(lambda: worker_fds(remote) <= before, 20, "every descriptor is closed")
    terminal = Terminal()
    try:
        terminal.process = home.popen("attach", "dev-1:deaf", **terminal.streams)
        terminal.expect(b"[cw] attached to session")
        terminal.expect_raw()
        terminal.type(b"x" * 2000)
        terminal.process.send_signal(signal.SIGKILL)
        terminal.process.wait(20)
    finally:
        terminal.close()
    wait_until(lambda: not remote.session(number)["attached_count"], 20, "it is gone")
    wait_until(lambda: worker_fds(remote) <= before, 20, "every descriptor is closed")


def test_a_client_that_only_stops_writing_is_served(node: Home) -> None:
    """As old clients do after a request: their input waits until it is read."""
    os.mkfifo(os.path.join(node.path, "go"))
    script = "stty raw; echo ready; read -r go < go; head -c 100000 | wc -c"
    number = node.launch("sh", "-c", script)
    wait_until(lambda: b"ready" in node.log(number), 20, "it takes what is typed")
    with start_send(node, number) as client:
        client.sock.shutdown(socket.SHUT_WR)
        with node.connect() as other:
            other.request({"type": "NodeStatus"})
        with open(os.path.join(node.path, "go"), "w") as go:
            go.write("go\n")
        assert client.receive_control() == {"type": "InputSent", "bytes": 100_000}


def test_an_attached_client_may_leave_while_its_input_waits(node: Home) -> None:
    """Killed, or by a Detach that stands behind what is not typed."""
    number = node.launch("sh", "-c", "stty raw; echo ready; sleep 1000")
    wait_until(lambda: b"ready" in node.log(number), 20, "it runs")
    before = worker_fds(node)
    for is_orderly in (False, True):
        client = node.connect()
        client.request({"type": "Attach", "id": number})
        client.send_data(b"x" * 100_000)
        client.send_data(b"y")
        assert node.session(number)["attached_count"] == 1
        if is_orderly:
            client.send_control({"type": "Detach"})
            kinds = [frame for frame in client.read_rest() if b'"Detached"' in frame[1]]
            assert kinds
        client.close()
        wait_until(lambda: node.session(number)["attached_count"] == 0, 20, "it is gone")
    wait_until(lambda: worker_fds(node) <= before, 20, "every descriptor is closed")
