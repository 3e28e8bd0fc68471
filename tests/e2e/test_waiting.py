"""Waiting for what a session does, and typing into it safely, as agents need it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from codewire.errors import CodewireError, RequestError
from tests.processes import is_connected
from tests.support import Home, is_alive, wait_until


@pytest.fixture(params=["gevent", "threads"])
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    home = Home(request.param)
    try:
        home.start_node()
        yield home
    finally:
        home.close()


def test_text_printed_before_the_wait_is_not_missed(home: Home) -> None:
    for number in range(1, 6):
        home.launch("bash", "-c", f"echo READY {number}; exec sleep 100")
        done = home.cw("wait", str(number), "--for", f"READY {number}", "--timeout", "30")
        assert (done.returncode, done.stdout) == (0, f"READY {number}\n")


def test_the_echo_of_a_command_is_not_taken_for_its_output(home: Home) -> None:
    home.launch("bash", "--norc", "-i")
    waiting = home.popen("wait", "1", "--for", "FINISHED", "--timeout", "20")
    assert home.cw("send", "1", "sleep 0.5; echo FINI''SHED and more # FINISHED").returncode == 0
    out, _ = waiting.communicate(timeout=30)
    assert out == b"FINISHED and more\n"
    # It was in what was typed, before; asked for, that counts.
    echo = home.cw("wait", "1", "--for", "# FINISHED", "--include-echo", "--timeout", "5")
    assert "# FINISHED" in echo.stdout


def test_from_now_and_from_an_offset(home: Home) -> None:
    home.launch("bash", "-c", "echo tick 1; read x; echo tick 2; exec cat")
    first = home.cw("wait", "1", "--regex", r"tick \d", "--json", "--timeout", "30")
    match = json.loads(first.stdout)
    assert match["line"] == "tick 1"
    late = home.cw("wait", "1", "--for", "tick", "--from", "now", "--timeout", "3")
    assert (late.returncode, late.stderr) == (124, "Error: wait timed out\n")
    home.cw("send", "1", "go")
    again = home.cw("wait", "1", "--for", "tick", "--from", str(match["offset"]), "--timeout", "30")
    assert again.stdout == "tick 2\n"


def test_a_session_that_ends_first_is_an_error(home: Home) -> None:
    home.launch("bash", "-c", "echo other; exit 3")
    done = home.cw("wait", "1", "--for", "never")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: session 1 ended without printing it")


def start_lines(home: Home, count: int) -> float:
    """Launch what prints the time `count` times, 0.2 s apart; return when that was."""
    started = time.time()
    script = f"for i in {{1..{count}}}; do echo $EPOCHREALTIME; sleep 0.2; done; exec sleep 100"
    home.launch("bash", "-c", script)
    return started


def longest_pause(home: Home, started: float, count: int, until: float) -> float:
    """Return the longest time in which `start_lines` printed nothing: a busy machine makes some."""
    wait_until(lambda: home.log(1).count(b"\n") == count, 60, "all lines are printed")
    printed = [at for at in map(float, home.log(1).split()) if at < until]
    times = [started, *printed, until]
    return max(later - sooner for sooner, later in itertools.pairwise(times))


def test_silence(home: Home) -> None:
    started = start_lines(home, 8)
    assert home.cw("wait", "1", "--idle", "1", "--timeout", "60").returncode == 0
    assert longest_pause(home, started, 8, until=time.time()) >= 1
    home.launch("true")
    assert home.cw("wait", "2", "--idle", "60").returncode == 0


def test_output_still_to_be_read_is_no_silence(home: Home) -> None:
    """A worker that got no processor for a while sees the clock before it sees the output."""
    started = start_lines(home, 15)
    waiting = home.popen("wait", "1", "--idle", "1", "--timeout", "60")
    wait_until(lambda: is_connected(waiting.pid), 30, "the wait is at the node")
    worker = home.worker_pid
    os.kill(worker, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(worker, signal.SIGCONT)
    assert waiting.wait(60) == 0
    assert longest_pause(home, started, 15, until=time.time()) >= 1


def test_silence_is_counted_over_a_worker_restart(home: Home) -> None:
    home.launch("bash", "-c", "sleep 2; echo late; exec sleep 100")
    wait_until(lambda: home.log(1).endswith(b"late\r\n"), 30, "it prints")
    # Not the time now: noticing it may have taken a while.
    printed = os.stat(home.log_path(1)).st_mtime
    home.kill_worker()
    assert home.cw("wait", "1", "--idle", "2", "--timeout", "60").returncode == 0
    assert time.time() - printed > 1.9


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_the_exit_status_is_passed_on(home: Home, command: str, status: int) -> None:
    home.launch("bash", "-c", command)
    assert home.cw("wait", "1", "--exit-status").returncode == status
    assert home.cw("wait", "1").returncode == 0


def test_what_makes_no_sense_is_refused(home: Home) -> None:
    home.launch("cat")
    for words, text in (
        (("--for", "a", "--regex", "b", "1"), "--for and --regex are mutually exclusive"),
        (("--for", "a", "--tag", "x"), "--for needs a single session"),
        (("--regex", "(", "1"), "bad regular expression: "),
        (("--for", "a", "--from", "-1", "1"), "--from takes a log offset, start or now"),
    ):
        done = home.cw("wait", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.smoke
def test_a_wait_outlives_the_worker(home: Home) -> None:
    home.launch("bash", "-c", "read x; echo LATE")
    waiting = home.popen("wait", "1", "--for", "LATE", "--timeout", "30")
    wait_until(lambda: is_connected(waiting.pid), 30, "the wait is at the node")
    home.kill_worker()
    home.cw("send", "1", "go")
    assert waiting.communicate(timeout=30)[0] == b"LATE\n"


def test_a_key_is_typed_once_however_often_and_whatever_dies(home: Home) -> None:
    home.launch("bash", "-c", "stty -echo; echo up; exec cat")
    home.cw("wait", "1", "--for", "up")
    notices: list[str] = []
    client = home.client(notify=notices.append)
    steps = range(6)
    for step in steps:
        # Each step loses a worker, at some moment of the time that typing it takes.
        worker = home.worker_pid
        killer = threading.Timer(0.002 * step, os.kill, (worker, signal.SIGKILL))
        killer.start()
        for _ in range(10):
            assert client.send_input(1, b"step %d\n" % step, key=f"k{step}") == 7
        killer.join()
        wait_until(lambda pid=worker: not is_alive(pid), 30, "the worker is gone")
        assert client.send_input(1, b"step %d\n" % step, key=f"k{step}") == 7
    client.send_input(1, b"last\n", key="last")
    client.wait_for_text(1, "last", include_echo=True, timeout_seconds=30)
    log = home.log(1)
    for step in steps:
        # One that died between its note and the first byte has typed nothing, and says so.
        may_be_lost = any(f"'k{step}'" in notice for notice in notices)
        assert log.count(b"step %d\r\n" % step) in ((0, 1) if may_be_lost else (1,)), step


def test_input_is_refused_where_it_would_do_harm(home: Home) -> None:
    home.launch("bash", "-c", "echo up; exec cat")
    home.cw("wait", "1", "--for", "up")
    client = home.client()
    long_line = b"x" * 4096
    with pytest.raises(RequestError, match="reads whole lines"):
        client.send_input(1, long_line)
    assert client.send_input(1, long_line[1:] + b"\n") == 4096
    with pytest.raises(RequestError, match="is busy"):
        client.send_input(1, b"a\n", if_idle_seconds=60)
    # The terminal's echo of the line, and what cat makes of it.
    wait_until(lambda: home.log(1).count(b"x") == 2 * 4095, 30, "all of it was printed")
    wait_until(lambda: home.log(1).endswith(b"x\r\n"), 30, "the line has ended")
    seen = client.screen(1).screen_hash
    assert seen == client.status(1, screen_hash=True).info.screen_hash
    client.send_input(1, b"b\n", expect_screen=seen)
    wait_until(lambda: client.screen(1).screen_hash != seen, 30, "the screen changes")
    with pytest.raises(RequestError, match="has changed"):
        client.send_input(1, b"c\n", expect_screen=seen)
    home.request({"type": "Kill", "id": 1})
    with pytest.raises(CodewireError, match="not running"):
        client.send_input(1, b"d\n")


def test_a_line_typed_in_parts_is_not_cut_either(home: Home) -> None:
    home.launch("bash", "-c", "echo up; exec cat")
    home.cw("wait", "1", "--for", "up")
    client = home.client()
    client.send_input(1, b"x" * 4000)
    with pytest.raises(RequestError, match="reads whole lines"):
        client.send_input(1, b"y" * 96)
    client.send_input(1, b"y" * 95)
    # Enter ends it, as does the key that drops a line.
    client.send_input(1, b"\n")
    client.send_input(1, b"z" * 4000)
    client.send_input(1, b"\x15")
    assert client.send_input(1, b"z" * 4095 + b"\n") == 4096
    wait_until(lambda: home.log(1).count(b"y") == 2 * 95, 30, "no byte was lost")
    # A long text goes in parts; the error says how much of it was typed.
    with pytest.raises(RequestError, match=r"as a paste; the first 16384 bytes were typed$"):
        client.send_input(1, b"w\n" * 8192 + b"w" * 5000 + b"\n")


@pytest.mark.smoke
def test_a_screen_as_text(home: Home) -> None:
    home.launch(
        "bash", "-c", r"printf 'main\033[?1049h\033[2J\033[3;5H\033[31mred\033[0m 日本'; exec cat"
    )
    wait_until(lambda: home.log(1).endswith("日本".encode()), 30)
    assert home.cw("screen", "1").stdout == "\n\n    red 日本\n"
    assert "\x1b[0;31mred" in home.cw("screen", "1", "--ansi").stdout
    screen = json.loads(home.cw("screen", "1", "--json").stdout)
    assert (screen["rows"], screen["cols"], screen["alternate"]) == (24, 80, True)
    assert screen["cursor"] == {"row": 2, "col": 12, "visible": True}
    home.kill_worker()
    assert home.cw("screen", "1").stdout == "\n\n    red 日本\n"


def test_lines_above_the_screen(home: Home) -> None:
    home.launch("bash", "-c", "seq 100; exec cat", rows=10, cols=40)
    wait_until(lambda: home.log(1).endswith(b"100\r\n"), 30)
    assert home.cw("screen", "1").stdout.split() == [str(n) for n in range(92, 101)]
    shown = home.cw("screen", "1", "--history", "5").stdout.split()
    assert shown == [str(n) for n in range(87, 101)]


DIALOG = r"printf '\e[?1049h\e[2;1H\e[5CDo\e[2;9Hyou\e[2;13Hagree?\e[3;1H1. Yes'; read x; "


def test_what_a_screen_shows_shows_no_longer_or_shows_anew(home: Home) -> None:
    home.launch("bash", "-c", DIALOG + r"printf '\e[2;1H\e[K'; read x; printf 'more'; exec cat")
    for place in ((), ("--on", "screen"), ("--on", "output")):
        done = home.cw("wait", "1", "--for", "Do you agree?", *place, "--timeout", "30")
        assert (done.returncode, done.stdout.strip()) == (0, "Do you agree?"), place
    there = home.cw("wait", "1", "--for", "you agree", "--gone", "--timeout", "2")
    assert (there.returncode, there.stderr) == (124, "Error: wait timed out\n")
    gone = home.popen("wait", "1", "--for", "you agree", "--gone", "--timeout", "30")
    home.cw("send", "1", "1")
    assert gone.wait(40) == 0
    unchanged = home.cw("wait", "1", "--changed", "--timeout", "2")
    assert (unchanged.returncode, unchanged.stderr) == (124, "Error: wait timed out\n")
    changed = home.popen("wait", "1", "--changed", "--timeout", "30")

    def is_noticed() -> bool:
        home.cw("send", "1", "2")
        return changed.poll() is not None

    wait_until(is_noticed, 30, "the change is noticed")
    assert changed.returncode == 0
    wrong = home.cw("wait", "1", "--gone")
    assert wrong.stderr.startswith("Error: --gone needs --for or --regex")


def test_logs_of_a_full_screen_program_are_what_it_shows(home: Home) -> None:
    home.launch("bash", "-c", "echo before; " + DIALOG + "exec cat")
    assert home.cw("wait", "1", "--for", "1. Yes", "--timeout", "30").returncode == 0
    assert home.cw("logs", "1").stdout == "\n     Do you agree?\n1. Yes\n"
    assert home.cw("logs", "1", "--tail", "1").stdout == "1. Yes\n"
    assert "\x1b[?1049h" in home.cw("logs", "1", "--raw").stdout
