"""Every command as a person runs it: texts, streams and exit codes, against a real node."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from codewire import __version__
from tests.e2e.commandline import LIST_HINT, failure, finished, launch
from tests.support import Home

# Help and errors of the command line; none of these may start a node


def test_cw_alone_is_help(home: Home) -> None:
    done = home.cw()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Persistent process server")
    assert home.cw("help").stdout == home.cw("--help").stdout == done.stdout
    assert not os.path.exists(home.data_dir)


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(home: Home, flag: str) -> None:
    done = home.cw(flag)
    assert (done.returncode, done.stdout) == (0, f"cw version {__version__}\n")


def test_help_of_a_command(home: Home) -> None:
    for argv in (["help", "launch"], ["launch", "--help"], ["launch", "-h"], ["run", "--help"]):
        done = home.cw(*argv)
        assert (done.returncode, done.stderr) == (0, "")
        assert "cw launch [options] <name> -- <command>..." in done.stdout
    assert "cw node status [options]" in home.cw("help", "node", "status").stdout
    done = home.cw("help", "frobnicate")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Persistent process server" in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["lst"],
            'unknown command "lst" for "cw"\n\nDid you mean this?\n\tlist\n\tmsg\n\tssh\n\tuse\n\n'
            "Run 'cw --help' for usage.",
        ),
        (["frobnicate"], 'unknown command "frobnicate" for "cw"\nRun \'cw --help\' for usage.'),
        (["node", "x"], 'unknown command "x" for "cw node"'),
        (["daemon", "x"], 'unknown command "x" for "cw node"'),
        (["--frob"], "unknown flag: --frob"),
        (["-z", "list"], "unknown shorthand flag: 'z' in -z"),
        (["list", "--jso"], "unknown flag: --jso"),
        (["logs"], "accepts 1 arg(s), received 0"),
        (["status", "1", "2"], "accepts 1 arg(s), received 2"),
        (["send"], "accepts between 1 and 2 arg(s), received 0"),
        (["attach", "1", "2"], "accepts at most 1 arg(s), received 2"),
        (
            ["logs", "1", "--tail", "-1"],
            'invalid argument "-1" for "-t, --tail" flag: '
            "must be a whole number from 0 to 4294967295",
        ),
        (["logs", "1", "--tail"], "flag needs an argument: --tail"),
        (
            ["list", "--status", "runing"],
            'invalid argument "runing" for "--status" flag: '
            "must be one of all, running, completed, killed",
        ),
        (
            ["wait", "1", "--condition", "some"],
            'invalid argument "some" for "-c, --condition" flag: must be one of all, any',
        ),
        (["kill"], "session id, name, or tag required (or use --all / --tag)"),
        (["wait"], "session id, name, or tag required (or use --tag)"),
        (["send", "1"], "no input source specified"),
        (["send", "1", "x", "--paste", "--type"], "--paste and --type are mutually exclusive"),
        (
            ["launch", "a", "b", "c", "--", "x"],
            "expected at most two positional args (name, tag) before --",
        ),
        (["launch", "--"], "command required after --"),
        (["launch", "--group", "g", "--", "x"], "--group requires --name"),
        (
            ["launch", "-e", "NOVALUE", "--", "x"],
            'invalid argument "NOVALUE" for "-e, --env" flag: must be KEY=VALUE',
        ),
        (
            ["launch", "--size", "80", "--", "x"],
            'invalid argument "80" for "--size" flag: must be COLSxROWS, each from 1 to 65535',
        ),
        (
            ["launch", "--prompt-file", "/nonexistent", "--", "x"],
            "reading prompt file: open /nonexistent: no such file or directory",
        ),
        (
            ["--server", "h:1", "stop"],
            "--server cannot be used with 'cw stop': it acts on the local node",
        ),
        (["list", "-s", "host:1"], "--token required for ad-hoc WebSocket server"),
        (["node", "status"], "no node is running (start one with 'cw start')"),
        (["node", "restart"], "no node is running (start one with 'cw start')"),
    ],
)
def test_a_wrong_command_line_gets_one_clear_error(
    home: Home, argv: list[str], message: str
) -> None:
    assert failure(home, *argv) == f"Error: {message}\n"
    assert not os.path.exists(home.socket)


def test_the_forgotten_dashes(home: Home) -> None:
    text = failure(home, "launch", "bash", "-c", "echo 1; echo 2")
    assert text.startswith(
        "Error: missing '--' before command\n\n"
        "Did you mean: cw launch -- bash -c 'echo 1; echo 2'\n\nUsage:\n  cw launch"
    )
    assert failure(home, "run", "--name", "x").startswith("Error: command required\n\nUsage:\n")


def test_an_unreadable_configuration(home: Home) -> None:
    os.makedirs(home.data_dir)
    Path(home.data_dir, "config.toml").write_text("[node\n")
    path = os.path.join(home.data_dir, "config.toml")
    assert failure(home, "node").startswith(
        f"Error: initializing node: loading config: parsing {path}: "
    )
    text = failure(home, "list")
    assert f"parsing {path}" in text and text.count("\n") == 1


def test_a_node_that_cannot_be_started(home: Home) -> None:
    Path(home.data_dir).write_text("in the way")
    text = failure(home, "list")
    assert text.startswith("Error: ") and text.count("\n") == 1


# launch


@pytest.mark.smoke
def test_the_first_command_starts_a_node(home: Home) -> None:
    done = home.cw("launch", "--", "true")
    started, launched = done.stderr.splitlines()
    assert re.fullmatch(r"\[cw\] node started \(pid \d+\)", started)
    assert (launched, done.stdout, done.returncode) == ("Session 1 launched: true", "", 0)
    assert home.cw("list").stderr == ""


def test_launch_says_the_id_on_stdout_if_asked(shared: Home) -> None:
    done = shared.cw("launch", "--json", "json-name", "--", "true")
    answer = json.loads(done.stdout)
    assert answer["name"] == "json-name" and isinstance(answer["id"], int) and done.stderr == ""
    assert re.fullmatch(r"\d+\n", shared.cw("run", "-q", "--", "true").stdout)


def test_launch_passes_everything_on(shared: Home, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt"
    prompt.write_text("typed\n")
    script = 'read line; echo "$line $A $B $TERM $PWD"; stty size; echo "$@"'
    argv = ["--name", "all", "--tag", "t1,t2", "-e", "A=1", "--env", "B=x=y", "--size", "100x30"]
    argv += ["--prompt-file", str(prompt), "--group", "g", "--dir", "sub", "all-x", "t3"]
    os.makedirs(os.path.join(shared.path, "sub"), exist_ok=True)
    done = shared.cw("launch", "-q", *argv, "--", "bash", "-c", script, "--", "-x", "--tail")
    info = shared.wait_finished(int(done.stdout))
    assert info["name"] == "all" and info["tags"] == ["t1", "t2", "t3", "group:g"]
    assert info["working_dir"] == os.path.join(shared.path, "sub")
    printed = shared.cw("logs", done.stdout.strip()).stdout.splitlines()
    assert printed[-3:] == [
        f"typed 1 x=y xterm-256color {info['working_dir']}",
        "30 100",
        "-x --tail",
    ]


def test_auto_approve_goes_behind_the_program(shared: Home) -> None:
    session_id = finished(shared, "--auto-approve", "--", "echo", "hi")
    assert shared.cw("logs", str(session_id)).stdout.strip() == "--dangerously-skip-permissions hi"


def sessions(home: Home) -> tuple[list[int], set[str]]:
    """Return the ids that are listed and the directories there are."""
    listed = home.request({"type": "ListSessions"})["sessions"]
    directories = os.listdir(os.path.join(home.data_dir, "sessions"))
    return [session["id"] for session in listed], set(directories)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["-e", "PATH=/bin", "--", "no-such-program"],
            'command "no-such-program" not found in PATH (the launch\'s: /bin)',
        ),
        (["--", "/no/such"], 'command "/no/such" does not exist'),
        (["--dir", "/no/such", "--", "true"], 'working directory "/no/such" does not exist'),
        (
            ["bad name", "--", "true"],
            'invalid name "bad name": must be 1-32 alphanumeric characters or hyphens, '
            "starting with alphanumeric",
        ),
    ],
)
def test_a_refused_launch_leaves_nothing(shared: Home, argv: list[str], message: str) -> None:
    before = sessions(shared)
    assert failure(shared, "launch", *argv) == f"Error: {message}\n"
    assert sessions(shared) == before


def test_a_name_is_taken_while_its_session_runs(shared: Home) -> None:
    session_id = launch(shared, "taken", "--", "sleep", "600")
    text = failure(shared, "launch", "taken", "--", "true")
    assert text == f'Error: name "taken" already in use by session {session_id}\n'
    assert shared.cw("kill", "taken").stderr == f"Session {session_id} killed\n"
    again = launch(shared, "taken", "--", "sleep", "600")
    assert shared.cw("kill", "@taken").stderr == f"Session {again} killed\n"
    assert shared.cw("status", "taken").stdout.startswith(f"Session {again}\n"), "the newest"


# list and status


def test_list(home: Home) -> None:
    home.start_node()
    assert home.cw("list").stdout == "No sessions\n"
    assert home.cw("list", "--json").stdout == "[]\n"
    launch(home, "planner", "--", "sleep", "600")
    finished(home, "--", "bash", "-c", "echo a\nexit 3")
    lines = home.cw("list").stdout.splitlines()
    assert re.fullmatch(r"ID +NAME +COMMAND +STATUS +AGE", lines[0])
    assert re.fullmatch(r"1    planner        sleep 600 {24}running        \d+[sm] ago", lines[1])
    assert re.fullmatch(r"2    - {14}bash -c echo a exit 3 +completed \(3\)  \d+[sm] ago", lines[2])
    assert len(lines) == 3
    for argv, ids in (
        (["--status", "running"], [1]),
        (["--status=completed", "-o", "text"], [2]),
        (["--status", "killed"], []),
    ):
        found = json.loads(home.cw("list", "-j", *argv).stdout)
        assert [session["id"] for session in found] == ids
    everything = json.loads(home.cw("list", "-o", "json", "--local", "--runs").stdout)
    assert [session["status"] for session in everything] == ["running", "completed (3)"]


def test_status(shared: Home) -> None:
    session_id = finished(shared, "stat", "s1", "--", "bash", "-c", "echo building; exit 2")
    lines = shared.cw("status", "stat").stdout.splitlines()
    assert lines[0] == f"Session {session_id}"
    assert "  Name:        stat" in lines and "  Tags:        s1" in lines
    assert "  Status:      completed (2)" in lines and "  Exit Code:   2" in lines
    assert lines[-2:] == ["  Last Output:", "building"]
    info = json.loads(shared.cw("status", str(session_id), "--json").stdout)
    assert (info["id"], info["status"], info["output_size"]) == (session_id, "completed (2)", 10)


@pytest.mark.parametrize("command", ["logs", "status", "kill", "watch", "wait"])
def test_an_unknown_session(shared: Home, command: str) -> None:
    hint = "\n" if command == "wait" else LIST_HINT
    assert failure(shared, command, "4000000000") == f"Error: session 4000000000 not found{hint}"
    text = failure(shared, command, "nobody")
    if command in ("logs", "status"):
        assert text == 'Error: no session named "nobody"\n'
    else:
        assert text == f'Error: no session or tag named "nobody"{LIST_HINT}'


def test_failures_end_with_json_for_who_asks_for_it(shared: Home) -> None:
    def said(*argv: str) -> dict[str, str]:
        lines = failure(shared, *argv).splitlines()
        found: dict[str, str] = json.loads(lines[-1])
        assert lines[0] == f"Error: {found['error']}"
        return found

    gone = {"error": "session 4000000000 not found", "code": "no_such_session"}
    assert said("status", "4000000000", "--json") == gone
    assert said("kill", "4000000000", "-o", "json") == gone
    assert said("list", "--json", "nowhere")["code"] == "no_such_node"
    assert said("status", "nobody", "-j")["code"] == "no_such_session"


def test_locators(shared: Home) -> None:
    session_id = launch(shared, "here", "group:a", "--", "sleep", "600")
    Path(shared.data_dir, "servers.toml").write_text('[servers.gpu]\nurl = "ws://127.0.0.1:1"\n')
    own = {"CODEWIRE_NODE_NAME": "me"}
    status = shared.cw("status", "me:here", env=own)
    assert status.stdout.startswith(f"Session {session_id}\n")
    assert failure(shared, "status", "a:b:c") == 'Error: invalid session locator "a:b:c"\n'
    assert failure(shared, "status", ":3") == 'Error: invalid session locator ":3"\n'
    assert "relay not configured" in failure(shared, "status", "elsewhere:3")
    assert "cannot be combined with --server" in failure(shared, "status", "gpu:3", "-s", "gpu")
    for argv in (["list", "gpu"], ["--server", "gpu", "list"], ["launch", "gpu", "--", "true"]):
        assert failure(shared, *argv).startswith("Error: connecting to remote server: ")
    assert shared.cw("kill", "group:a").stderr == "Killed 1 session(s) matching tags [group:a]\n"


# kill, wait, subscribe


def test_kill(home: Home) -> None:
    home.start_node()
    for tag in ("a", "a", "b", "c"):
        launch(home, "--tag", tag, "--", "sleep", "600")
    assert home.cw("kill", "1").stderr == "Session 1 killed\n"
    assert home.session(1)["status"] == "killed"
    done = home.cw("kill", "1")
    assert (done.returncode, done.stderr) == (0, "Session 1 has already finished\n")
    assert home.cw("kill", "--tag", "a,x").stderr == "Killed 1 session(s) matching tags [a x]\n"
    assert home.cw("kill", "b").stderr == "Killed 1 session(s) matching tags [b]\n"
    assert home.cw("kill", "--tag", "none").stderr == "Killed 0 session(s) matching tags [none]\n"
    assert home.cw("kill", "--all").stderr == "Killed 1 session(s)\n"
    assert home.cw("list", "--status", "running").stdout == "No sessions\n"


def test_wait(shared: Home) -> None:
    first = launch(shared, "wait-a", "waiters", "--", "bash", "-c", "echo out; exit 4")
    done = shared.cw("wait", "wait-a")
    assert (done.returncode, done.stdout) == (0, "=== wait-a (exit_code=4) ===\nout\n\n")
    second = launch(shared, "--tag", "waiters", "--", "sleep", "600")
    done = shared.cw("wait", "--tag", "waiters", "--timeout", "3")
    assert (done.returncode, done.stderr) == (124, "Error: wait timed out\n")
    done = shared.cw("wait", "--tag", "waiters", "-c", "any")
    assert done.stdout == (
        f"=== wait-a (exit_code=4) ===\nout\n\n=== {second} (exit_code=n/a) ===\n\n"
    )
    found = json.loads(shared.cw("wait", "waiters", "--condition=any", "--json").stdout)
    assert [session["id"] for session in found] == [first, second]


def test_subscribe(shared: Home) -> None:
    shared.cw("list")
    subscriber = shared.popen("subscribe", "--tag", "news", "--event", "session.status,x.y")
    assert subscriber.stderr is not None and subscriber.stdout is not None
    assert subscriber.stderr.readline().startswith(b"[cw] no event type is called x.y; there are:")
    assert re.fullmatch(rb"\[cw\] subscribed \(id=\d+\)\n", subscriber.stderr.readline())
    finished(shared, "--", "true")
    session_id = finished(shared, "--tag", "news", "--", "bash", "-c", "exit 5")
    line = subscriber.stdout.readline().decode()
    head, _, event = line.partition("] ")
    assert head == f"[session {session_id}"
    assert json.loads(event)["type"] == "session.status"
    assert json.loads(event)["data"]["exit_code"] == 5
    assert event.startswith('{"timestamp":"')
    subscriber.send_signal(signal.SIGINT)
    assert subscriber.wait(30) == 130
    assert subscriber.stderr.read() == b""
