"""Odd surroundings and unlucky inputs: what a stranger's machine does to `cw`."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator

import pytest

from tests.support import REPOSITORY, Home, wait_until


@pytest.fixture
def home() -> Iterator[Home]:
    """A private HOME; its node starts by itself."""
    home = Home()
    try:
        yield home
    finally:
        home.close()


@pytest.mark.timeout(400)  # A minute on a machine that has twenty other things to do.
def test_list_fits_one_frame_whatever_the_sessions_hold(home: Home) -> None:
    """Ten command lines of 1.8 MB are more than a frame carries; they still list and resolve."""
    home.start_node()
    long = ["x" * 100_000] * 18
    ids = [home.launch("true", *long, tags=["big"]) for _ in range(10)]
    named = home.launch("true", name="short", tags=["big"])
    for session_id in (*ids, named):
        home.wait_finished(session_id)
    listed = home.cw("list")
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 12
    assert home.cw("status", "short").returncode == 0
    waited = home.cw("wait", "--tag", "big")
    assert waited.stdout.count("(exit_code=0)") == 11, waited.stderr


def test_relative_data_directory_means_the_same_to_client_and_node(home: Home) -> None:
    """The node's own directory is /, so the client's relative path must not be handed on as is."""
    env = {"CODEWIRE_DIR": "elsewhere"}
    done = home.cw("launch", "--", "sh", "-c", 'echo "$CODEWIRE_DIR"', env=env)
    try:
        assert done.returncode == 0, done.stderr
        assert home.cw("wait", "1", env=env).returncode == 0
        printed = home.cw("logs", "1", env=env).stdout.strip()
        assert printed == os.path.join(os.path.realpath(home.path), "elsewhere")
    finally:
        assert home.cw("stop", env=env).returncode == 0


def test_pid_file_with_an_impossible_number_is_called_invalid(home: Home) -> None:
    """A pid beyond what the system can have is damage, not an internal error."""
    os.makedirs(home.data_dir)
    with open(os.path.join(home.data_dir, "codewire.pid"), "w") as file:
        file.write("99999999999999")
    stopped = home.cw("stop")
    assert stopped.returncode == 1
    assert stopped.stderr.startswith("Error: invalid pid file: ")


@pytest.mark.smoke
def test_arguments_and_directories_survive_a_locale_that_is_not_utf8(home: Home) -> None:
    """What was typed is what runs, also where Python would decode arguments as ASCII."""
    directory = os.path.join(home.path, "été")
    os.mkdir(directory)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = home.cw("launch", "--", "sh", "-c", "pwd; echo é漢", env=ascii_only, cwd=directory)
    assert done.returncode == 0, done.stderr
    assert home.cw("wait", "1").returncode == 0
    assert home.cw("logs", "1", env=ascii_only).stdout.split() == [
        os.path.realpath(directory),
        "é漢",
    ]


def test_a_terminal_the_node_was_started_from_gives_its_size_to_no_session(home: Home) -> None:
    """curses believes LINES and COLUMNS before the terminal, and never sees another size then."""
    home.env.update(LINES="7", COLUMNS="30")
    home.start_node()
    home.wait_finished(home.launch("env", env=["COLUMNS=50"]))
    printed = home.log(1).decode().split()
    assert "COLUMNS=50" in printed, "unless it was asked for"
    assert not [word for word in printed if word.startswith("LINES=")]


def test_command_that_is_no_utf8_is_refused_instead_of_changed(home: Home) -> None:
    """JSON cannot carry the byte; a command with another one in its place must not run."""
    done = home.cw("launch", "--", "echo", os.fsdecode(b"a\xffb"))
    assert (done.returncode, done.stderr) == (
        1,
        "Error: argument 1 of the command is not valid UTF-8\n",
    )


@pytest.mark.smoke
def test_every_launch_line_of_the_readme_is_understood(home: Home) -> None:
    """Each `cw` line of README.md's first block names flags and arguments that exist."""
    text = (REPOSITORY / "README.md").read_text()
    block = text.split("## The main job", 1)[1].split("```")[1]
    lines = [line for line in block.splitlines() if line.startswith("cw ")]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        at = words.index("--") if "--" in words else len(words)
        # With --help everything else is still scanned; nothing is run.
        done = home.cw(*words[:at], "--help", *words[at:])
        assert done.returncode == 0, (line, done.stderr)


def test_start_that_fails_leaves_no_temporary_file(home: Home) -> None:
    """A pid file that cannot be put in place is one clear line, and nothing beside it."""
    os.makedirs(os.path.join(home.data_dir, "codewire.pid"))
    done = home.cw("node")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: starting the node: ")
    assert "Errno" not in done.stderr and done.stderr.count("\n") == 1
    assert [n for n in os.listdir(home.data_dir) if n.startswith("codewire.pid.")] == []


def test_entry_that_ended_while_its_status_lagged_is_not_called_lost(home: Home) -> None:
    """Upstream notes the exit up to 5 s before it corrects the status (spec/files.md 4)."""
    entry = {
        "id": 3,
        "prompt": "make",
        "working_dir": "/",
        "created_at": "2026-04-03T12:00:00.5Z",
        "status": "running",
    }
    ended = {**entry, "exit_code": 2, "completed_at": "2026-04-03T12:00:01Z"}
    os.makedirs(home.data_dir)
    with open(os.path.join(home.data_dir, "sessions.json"), "w") as file:
        json.dump([ended, {**entry, "id": 4}], file)
    home.start_node()
    found = [
        (home.session(number)["status"], home.session(number)["end_reason"]) for number in (3, 4)
    ]
    assert found == [("completed (2)", "exited"), ("completed (-1)", "lost")]


def test_short_socket_directory_of_an_over_long_home_goes_with_the_node(home: Home) -> None:
    """A HOME too long for a socket gets a directory elsewhere; no stop may leave one behind."""
    env = {"HOME": os.path.join(home.path, "d" * 120)}
    assert home.cw("start", env=env).returncode == 0
    socket = json.loads(home.cw("node", "status", "--json", env=env).stdout)["socket"]
    assert os.path.dirname(socket) != os.path.join(env["HOME"], ".codewire")
    assert home.cw("stop", env=env).returncode == 0
    assert not os.path.exists(os.path.dirname(socket))


def test_a_node_nobody_looks_at_keeps_its_own_log_and_rotates_it(home: Home) -> None:
    log = os.path.join(home.data_dir, "node.log")
    os.makedirs(home.data_dir, 0o700)
    with open(log, "wb") as file:
        file.truncate(5 << 20)
    home.cw("launch", "--", "true")
    home.cw("wait", "1")
    wait_until(lambda: os.path.exists(f"{log}.1"), 30, "the full log was put aside")
    with open(log, encoding="utf-8") as file:
        assert "session 1 launched" in file.read()
    assert os.stat(log).st_mode & 0o777 == 0o600
