"""Local runtimes on a real Docker Engine. Run by scripts/test-runtimes, which makes the images.

Not collected by scripts/test: there the same commands meet an engine that is played.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Home, wait_until
from tests.tmux import Tmux

TAG = os.environ.get("CW_TEST_IMAGES", "")
pytestmark = pytest.mark.timeout(300)


def docker(*args: str) -> str:
    return subprocess.run(["docker", *args], capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    for key in ("DOCKER_HOST",):
        if key in os.environ:
            home.env[key] = os.environ[key]
    yield home
    for row in json.loads(home.cw("local", "list", "--json").stdout or "[]"):
        home.cw("local", "rm", row["name"])
    home.close()


def create(home: Home, image: str, name: str, *args: str) -> None:
    project = Path(home.path, f"pro ject-{name}")
    project.mkdir()
    done = home.cw(
        "local", "create", "--backend", "docker", "--image", f"{TAG}-{image}", "--name", name,
        "--path", str(project), *args,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_session_inside_outlives_what_is_around_it(home: Home) -> None:
    assert TAG, "run scripts/test-runtimes"
    create(home, "python", "box", "--env", "GREETING=hello")
    script = "echo $GREETING; while read -r line; do echo got $line; done"
    assert home.cw("launch", "--on", "box", "shell", "--", "sh", "-c", script).returncode == 0
    assert home.cw("wait", "box:shell", "--for", "hello").returncode == 0
    assert home.cw("launch", "--on", "local", "--", "sleep", "600").returncode == 0
    tmux = Tmux(home)
    try:
        window = tmux.cw("attach", "box:shell")
        wait_until(lambda: "hello" in window.show(), 60, "the session is shown")
        window.type("typed\n")
        wait_until(lambda: "got typed" in window.show(), 60, "the session answers")
        window.type("\x02d")
        wait_until(lambda: "etached" in window.show(), 60, "the terminal is let go")
    finally:
        tmux.close()
    worker = json.loads(home.cw("node", "status", "--json").stdout)["worker_pid"]
    os.kill(worker, signal.SIGKILL)
    assert home.cw("send", "box:shell", "after").returncode == 0
    assert home.cw("wait", "box:shell", "--for", "got after").returncode == 0
    docker("restart", "-t", "1", "cw-box")
    wait_until(lambda: home.cw("list", "box").returncode == 0, 60, "the node inside answers again")
    (session,) = json.loads(home.cw("list", "box", "--json").stdout)
    assert (session["status"], session["end_reason"]) == ("completed (-1)", "lost")
    assert "got typed" in home.cw("logs", "box:1").stdout
    restored = home.cw("restore", "box:shell")
    assert restored.returncode == 0
    assert restored.stderr.startswith("Session 1 (shell) restored as 2: ")
    assert home.cw("wait", "box:2", "--for", "hello").returncode == 0
    assert home.cw("send", "box:2", "again").returncode == 0
    assert home.cw("wait", "box:2", "--for", "got again").returncode == 0
    # By cw's own stop and start, too.
    assert home.cw("local", "stop", "box").returncode == 0
    assert home.cw("local", "start", "box").returncode == 0
    rows = json.loads(home.cw("list", "box", "--json").stdout)
    assert [row.get("restorable", False) for row in rows] == [False, True]
    assert home.cw("local", "rm", "box").returncode == 0
    assert docker("ps", "-aq", "--filter", "label=codewire.instance=box") == ""
    assert docker("volume", "ls", "-q") == ""


def test_images_of_every_kind(home: Home) -> None:
    create(home, "entry", "entry")
    assert json.loads(home.cw("local", "info", "entry", "--json").stdout)["status"] == "running"
    create(home, "box", "busy")
    done = home.cw("launch", "--on", "busy", "--", "sh", "-c", "id -u; exit 3")
    assert "no Python" in done.stderr
    assert home.cw("wait", "1", "--exit-status").returncode == 3
    path = "/tmp/日本 it's"
    assert home.cw("local", "files", "upload", "busy", path, input="x").returncode == 0
    listed = json.loads(home.cw("local", "files", "list", "busy", "/tmp", "--json").stdout)
    assert [entry["name"] for entry in listed] == [path[5:]]
    refused = home.cw("local", "create", "--backend", "docker", "--image", f"{TAG}-none",
                      "--name", "none")  # fmt: skip
    assert refused.returncode == 1 and refused.stderr.startswith("Error: ")
    assert docker("ps", "-aq", "--filter", "name=cw-none") == ""


def test_a_stop_is_quick(home: Home) -> None:
    create(home, "python", "quick")
    assert home.cw("local", "stop", "quick").returncode == 0
    inspected = docker("inspect", "--format", "{{.State.ExitCode}}", "cw-quick")
    # Its own trap ended it: 137 would be a kill after the grace time.
    assert inspected.strip() == "0"
    assert home.cw("local", "start", "quick").returncode == 0


def test_commands_end_as_in_a_shell(home: Home) -> None:
    create(home, "box", "ends")
    for command, code in (
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-program"], 127),
        (["/no/such"], 127),
        (["/bin"], 126),
    ):
        done = home.cw("exec", "ends", "--", *command)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert ("OCI runtime exec failed" in done.stderr) == (code in (126, 127))
    done = home.cw("exec", "ends", "-w", "/no/dir", "--", "pwd")
    assert (done.returncode, done.stdout) == (126, "")


def test_what_is_ended_here_ends_inside(home: Home) -> None:
    create(home, "python", "over")
    late = home.cw("exec", "over", "--timeout", "1", "--", "sh", "-c", "sleep 71717; exit 0")
    assert late.returncode == 124
    tmux = Tmux(home)
    try:
        window = tmux.shell()
        window.type("true | cw exec over -- sh -c 'echo beg''un; sleep 71717'; echo code $?\n")
        window.expect("begun")
        window.type("\x03")
        window.expect("code 130")
    finally:
        tmux.close()
    assert "71717" not in docker("top", "cw-over")
    terminal = Tmux(home)
    try:
        # Docker tells the size once the program runs: it may see another one first.
        sized = 'until [ "$(stty size)" = "24 80" ]; do sleep 0.1; done; echo si""zed; sleep 71717'
        window = terminal.cw("exec", "over", "--", "sh", "-c", f"tty; {sized}")
        window.expect("/dev/pts/")
        window.expect("sized")
    finally:
        terminal.close()
