"""Commands that read and type: logs, watch, send, attach; and stdout that does not take all."""

from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.commandline import STATUS_HINT, failure, finished, launch, prints, the_rest
from tests.support import CW, Home, wait_until


def test_logs(shared: Home) -> None:
    script = r"printf '\033[1mone\033[0m\ntwo\nthree\n'"
    session_id = str(finished(shared, "--", "bash", "-c", script))
    assert shared.cw("logs", session_id).stdout == "one\r\ntwo\r\nthree\r\n"
    assert shared.cw("logs", session_id, "--raw").stdout.startswith("\x1b[1mone\x1b[0m\r\n")
    assert shared.cw("logs", session_id, "--tail", "2").stdout == "two\r\nthree\r\n"
    assert shared.cw("logs", session_id, "-t", "0").stdout == ""
    done = shared.cw("logs", session_id, "--follow")
    assert (done.returncode, done.stdout) == (0, "one\r\ntwo\r\nthree\r\n")


@pytest.mark.smoke
def test_logs_follow_to_the_end(shared: Home) -> None:
    session_id = str(launch(shared, "--", "bash", "-c", "echo first; read x; echo got $x; exit 7"))
    follower = shared.popen("logs", "-f", session_id)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"first\r\n"
    assert shared.cw("send", session_id, "go").returncode == 0
    rest, errors = the_rest(follower)
    assert rest.endswith(b"got go\r\n") and errors == b"" and follower.returncode == 0


def test_watch(shared: Home) -> None:
    script = "printf 'a\nb\nc\n'; while read x; do echo $x; [ $x != end ] || exit; done"
    session_id = str(launch(shared, "--", "bash", "-c", f"stty -echo; {script}"))
    prints(shared, int(session_id), "c\r\n")
    whole, tail, new = (
        shared.popen("watch", session_id, *flags)
        for flags in ([], ["--tail", "1"], ["--no-history"])
    )
    assert whole.stdout is not None and whole.stdout.readline() == b"a\r\n"
    assert tail.stdout is not None and tail.stdout.readline() == b"c\r\n"

    def new_one_watches() -> bool:
        """Nothing else shows when a watcher of new output alone is there."""
        shared.cw("send", session_id, "go")
        return bool(select.select([new.stdout], [], [], 0.1)[0])

    wait_until(new_one_watches, 30, "new output is watched")
    shared.cw("send", session_id, "end")
    outputs = [the_rest(process)[0] for process in (whole, tail, new)]
    told = outputs[1].removesuffix(b"end\r\n").count(b"go\r\n")
    assert outputs[1] == b"go\r\n" * told + b"end\r\n"
    assert outputs[0] == b"b\r\nc\r\n" + outputs[1]
    assert outputs[2].endswith(b"\r\nend\r\n") and outputs[1].endswith(outputs[2])
    assert [process.returncode for process in (whole, tail, new)] == [0, 0, 0]
    done = shared.cw("watch", session_id, "--tail", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\r\n", "")


def test_watch_for_a_time(shared: Home) -> None:
    session_id = launch(shared, "timed", "timed-tag", "--", "bash", "-c", "echo hello; sleep 600")
    prints(shared, session_id, "hello")
    # Long enough to show what there is on a busy machine; both at once, for the time they take.
    one = shared.popen("watch", "timed", "--timeout", "6")
    tagged = shared.popen("watch", "timed-tag", "--timeout", "6")
    assert the_rest(one) == (b"hello\r\n", b"\n[cw] watch timeout reached\n")
    assert the_rest(tagged) == (b"[timed] hello\r\n", b"\n[cw] watch timeout reached\n")
    assert (one.returncode, tagged.returncode) == (0, 0)


def test_watch_a_tag(shared: Home) -> None:
    first = launch(shared, "w-one", "pair", "--", "bash", "-c", "printf 'a\nb\nlast'")
    second = launch(shared, "--tag", "pair", "--", "bash", "-c", "echo c; exit 1")
    done = shared.cw("watch", "pair")
    assert done.returncode == 0 and done.stderr == ""
    lines = sorted(done.stdout.replace("\r", "").splitlines())
    assert lines == [f"[{second}] c", "[w-one] a", "[w-one] b", "[w-one] last"]
    assert "\x1b" not in done.stdout
    shared.wait_finished(first)


# send, attach


def test_send(shared: Home, tmp_path: Path) -> None:
    session_id = launch(shared, "typist", "--", "cat")
    name, file = "typist", tmp_path / "lines"
    file.write_text("from file\nunended")
    for argv, text, count in (
        (["one"], "", 4),
        (["two", "--no-newline"], "", 3),
        (["--stdin"], "\nthree\n", 7),
        (["--stdin"], "four", 5),
        (["--file", str(file)], "", 18),
        (["--", "--dashes"], "", 9),
        (["ty", "--type"], "", 3),
        (["pasted", "--paste"], "", 19),
    ):
        done = shared.cw("send", name, *argv, input=text)
        said = f"Sent {count} bytes to session {session_id}\n"
        is_submitted = argv in (["one"], ["--", "--dashes"], ["pasted", "--paste"])
        assert done.stderr == said + ("typed, not confirmed\n" if is_submitted else "")
        assert (done.returncode, done.stdout) == (0, "")
    # Typed last and printed last: by then cat has printed all of it, each line by itself.
    wait_until(lambda: shared.log(session_id).count(b"pasted") == 2, 30, "all of it was printed")
    lines = shared.log(session_id).decode().replace("\r", "").splitlines()
    for word in ("one", "two", "three", "four", "from file", "unended", "--dashes", "ty"):
        assert word in lines
    assert "reading file: open /no: no such file" in failure(shared, "send", name, "-f", "/no")


def test_send_to_a_finished_session(shared: Home) -> None:
    session_id = finished(shared, "--", "true")
    text = failure(shared, "send", str(session_id), "x")
    assert text == f"Error: session {session_id} is not running{STATUS_HINT}"


def test_attach_needs_a_terminal_and_a_session(home: Home) -> None:
    home.start_node()
    needs = "Error: attach needs a terminal on stdin and stdout; "
    none = "Error: No unattached running sessions available\n"
    assert failure(home, "attach").startswith(none), "it looks for a session first"
    launch(home, "--", "sleep", "600")
    assert needs in failure(home, "attach")
    assert failure(home, "attach", "1").startswith(needs)
    assert failure(home, "attach", "99").startswith("Error: session 99 not found\n")


@pytest.mark.smoke
def test_attach_and_detach(shared: Home) -> None:
    session_id = launch(shared, "term", "--", "bash", "-c", "echo ready; cat")
    master, slave = pty.openpty()
    process = shared.popen(
        "attach", "term", stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    screen = bytearray()
    reader = threading.Thread(target=_collect, args=(master, screen), daemon=True)
    reader.start()
    wait_until(lambda: b"ready" in screen, 30)
    os.write(master, b"typed\r")
    wait_until(lambda: screen.count(b"typed") >= 2, 30)
    os.write(master, b"\x02d")
    assert process.wait(30) == 0
    reader.join(30)
    assert not reader.is_alive(), "its descriptor is closed next"
    os.close(master)
    assert f"[cw] detached from session {session_id}".encode() in screen
    assert shared.session(session_id)["status"] == "running"


def _collect(fd: int, into: bytearray) -> None:
    try:
        while data := os.read(fd, 65536):
            into += data
    except OSError:  # EIO: the other side has closed
        return


# Streams of the client itself


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error(shared: Home, unbuffered: str) -> None:
    session_id = finished(shared, "--", "seq", "200000")
    done = through_bash(shared, f"logs {session_id} | head -n 1", unbuffered)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\r\n", b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_reported(shared: Home, unbuffered: str) -> None:
    done = through_bash(shared, "list > /dev/full", unbuffered)
    assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_does_not_block(shared: Home, unbuffered: str) -> None:
    session_id = str(finished(shared, "--", "seq", "200000"))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = shared.popen("logs", session_id, stdout=writer, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read()
    assert process.wait(20) == 0
    assert text == b"".join(b"%d\r\n" % number for number in range(1, 200001))


def through_bash(home: Home, command: str, unbuffered: str) -> subprocess.CompletedProcess[bytes]:
    """Run `cw <command>` in bash, with Python's own buffering on or off."""
    return subprocess.run(
        ["bash", "-c", f"{shlex.join(CW)} {command}"],
        env={**home.env, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        timeout=60,
    )


def test_debugging_shows_where_it_went_wrong(shared: Home) -> None:
    done = shared.cw("logs", "4000000000", env={"CW_DEBUG": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "Error: session 4000000000 not found" in done.stderr
