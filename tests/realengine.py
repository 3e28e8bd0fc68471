"""Local runtimes on a real engine, Docker or podman. Run by scripts/test-runtimes, which makes the
images and sets CW_TEST_IMAGES and CW_TEST_ENGINE.

Not collected by scripts/test: there the same commands meet an engine that is played.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Home, wait_until
from tests.tmux import Tmux

TAG = os.environ.get("CW_TEST_IMAGES", "")
ENGINE = os.environ.get("CW_TEST_ENGINE", "docker")
# Where the script's own engine, or podman's own storage, is.
PLACES = ("DOCKER_HOST", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF")
pytestmark = pytest.mark.timeout(300)


def engine(*args: str) -> str:
    return subprocess.run([ENGINE, *args], capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    for key in PLACES:
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
        "local", "create", "--backend", ENGINE, "--image", f"{TAG}-{image}", "--name", name,
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
    engine("restart", "-t", "1", "cw-box")
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
    assert engine("ps", "-aq", "--filter", "label=codewire.instance=box") == ""
    assert engine("volume", "ls", "-q") == ""


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
    refused = home.cw("local", "create", "--backend", ENGINE, "--image", f"{TAG}-none",
                      "--name", "none")  # fmt: skip
    assert refused.returncode == 1 and refused.stderr.startswith("Error: ")
    assert engine("ps", "-aq", "--filter", "name=cw-none") == ""


def test_a_stop_is_quick(home: Home) -> None:
    create(home, "python", "quick")
    assert home.cw("local", "stop", "quick").returncode == 0
    inspected = engine("inspect", "--format", "{{.State.ExitCode}}", "cw-quick")
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
        assert ("OCI " in done.stderr) == (code in (126, 127))
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
    assert "71717" not in engine("top", "cw-over")
    terminal = Tmux(home)
    try:
        # Docker tells the size once the program runs: it may see another one first.
        sized = 'until [ "$(stty size)" = "24 80" ]; do sleep 0.1; done; echo si""zed; sleep 71717'
        window = terminal.cw("exec", "over", "--", "sh", "-c", f"tty; {sized}")
        window.expect("/dev/pts/")
        window.expect("sized")
    finally:
        terminal.close()


def test_a_signal_to_cw_alone_ends_what_runs_inside(home: Home) -> None:
    create(home, "box", "alone")
    # The second one's shell becomes its last program.
    for number, script in (
        (signal.SIGINT, "echo begun; sleep 81818; exit 0"),
        (signal.SIGTERM, "echo begun; exec sleep 81818"),
    ):
        process = home.popen("exec", "alone", "--", "sh", "-c", script, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        process.stdout.close()
        assert "81818" not in engine("top", "cw-alone")


def test_names_and_paths_of_every_kind(home: Home) -> None:
    # A comma ends a word of podman's --mount, whatever stands around it (4.3).
    name = "-p: 日本 it's $HOME" + (', "q"' if ENGINE == "docker" else "")
    project = Path(home.path, name)
    project.mkdir()
    Path(project, "-a: ü").mkdir()
    Path(project, "-a: ü", "-f").write_text("there")
    made = home.cw(
        "local", "create", "--backend", ENGINE, "--image", f"{TAG}-python", "--name", "odd",
        f"--path={name}", cwd=home.path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    inside = "/workspace/-a: ü"
    shown = home.cw("exec", "odd", "-w", inside, "--", "sh", "-c", 'pwd; cat -- "$1"', "-c", "-f")
    assert (shown.returncode, shown.stdout) == (0, f"{inside}\nthere")
    relative = home.cw("launch", "odd", "--", "sh", "-c", "pwd", cwd=str(Path(project, "-a: ü")))
    assert relative.returncode == 0, relative.stderr
    assert home.cw("wait", "odd:1").returncode == 0
    assert home.cw("logs", "odd:1").stdout.strip() == inside
    for path in (f"{inside}/x: 日本", "/tmp/-n\\t $(id)"):
        assert home.cw("local", "files", "upload", "odd", path, input="w").returncode == 0
        assert home.cw("local", "files", "download", "odd", path).stdout == "w"
    assert Path(project, "-a: ü", "x: 日本").read_text() == "w"
    for bad in ("-x", "a b", "日本", "a:b"):
        refused = home.cw(
            "local", "create", "--backend", ENGINE, "--image", f"{TAG}-box", f"--name={bad}",
            cwd=home.path,
        )  # fmt: skip
        assert refused.returncode == 1 and refused.stderr.startswith("Error: "), refused
    assert [row["name"] for row in json.loads(home.cw("local", "list", "--json").stdout)] == ["odd"]


def test_a_full_disk_inside(home: Home) -> None:
    project = Path(home.path, "full")
    small = project / "small"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(small)], check=True)
    try:
        (project / "codewire.yaml").write_text(
            "mounts:\n  - source: ./small\n    target: /root/.codewire\n    readonly: false\n"
        )
        made = home.cw("local", "create", "--backend", ENGINE, "--image", f"{TAG}-python",
                       "--path", str(project), "-y")  # fmt: skip
        assert made.returncode == 0, made.stderr
        script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo over; read -r line; exit 5"
        assert home.cw("launch", "full", "--", "sh", "-c", script).returncode == 0
        # What is printed onto a full disk is lost, and no more than that.
        assert home.cw("wait", "full:1", "--idle", "1").returncode == 0
        refused = home.cw("local", "files", "upload", "full", "/root/.codewire/more",
                          input="x" * (8 << 20))  # fmt: skip
        assert refused.returncode == 1 and "No space left" in refused.stderr
        assert home.cw("exec", "full", "--", "true").returncode == 0
        sent = home.cw("send", "full:1", "on")
        assert sent.returncode == 0, (sent, home.cw("status", "full:1").stdout)
        assert home.cw("wait", "full:1", "--exit-status").returncode == 5
        assert home.cw("local", "rm", "full").returncode == 0
        # Not even cw itself fits.
        for left in small.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        subprocess.run(["mount", "-o", "remount,size=256k", str(small)], check=True)
        made = home.cw("local", "create", "--backend", ENGINE, "--image", f"{TAG}-python",
                       "--path", str(project), "-y")  # fmt: skip
        assert made.returncode == 0, made.stderr
        refused = home.cw("launch", "full", "--", "id")
        assert refused.returncode == 1 and "No space left" in refused.stderr
        assert not list(small.glob("bin/*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_engine_that_is_away(home: Home) -> None:
    create(home, "box", "away")
    reached = dict(home.env)
    if ENGINE == "podman":
        home.env["CONTAINERS_STORAGE_CONF"] = "/no/such/file"
    else:
        home.env["DOCKER_HOST"] = "unix:///no/such.sock"
    try:
        (row,) = json.loads(home.cw("local", "list", "--json").stdout)
        assert row["status"] == "unknown"
        for args in (
            ["local", "rm", "away"],
            ["local", "start", "away"],
            ["exec", "away", "--", "true"],
        ):
            done = home.cw(*args)
            assert done.returncode == 1 and done.stderr, (args, done)
        assert "away" in home.cw("local", "list").stdout
    finally:
        home.env.clear()
        home.env.update(reached)
    assert home.cw("exec", "away", "--", "id").returncode == 0
