"""Every command as a person runs it: texts, streams and exit codes, against a real node."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire import __version__
from tests.processes import is_connected
from tests.support import CW, Home, is_alive, running_home, wait_until

LIST_HINT = "\n\nUse 'cw list' to see active sessions\n"
STATUS_HINT = "\n\nUse 'cw status <id>' to check session status\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Home]:
    """A node for tests that only look at sessions of their own."""
    with running_home() as home:
        yield home


def launch(home: Home, *argv: str) -> int:
    """Launch through the command line and return the id."""
    done = home.cw("launch", "--quiet", *argv)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def finished(home: Home, *argv: str) -> int:
    """Launch, wait for the end, return the id."""
    session_id = launch(home, *argv)
    home.wait_finished(session_id)
    return session_id


def failure(home: Home, *argv: str, **options: str) -> str:
    """Run a command that must fail with exit code 1 and silence on stdout; return stderr."""
    done = home.cw(*argv, **options)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


def prints(home: Home, session_id: int, text: str) -> None:
    """Wait until a session has printed the text."""
    wait_until(lambda: text.encode() in home.log(session_id), 30, f"{text!r} is in the log")


def the_rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Wait for the end; return what stdout and stderr hold that was not yet read."""
    process.wait(30)
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.read(), process.stderr.read()


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
            'unknown command "lst" for "cw"\n\nDid you mean this?\n\tlist\n\tmsg\n\n'
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


# logs, watch


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
    done = shared.cw("wait", "--tag", "waiters", "--timeout", "1")
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


# The node


@pytest.mark.smoke
def test_node_lifecycle(home: Home) -> None:
    done = home.cw("start")
    assert re.fullmatch(r"\[cw\] node started \(pid \d+\)\n", done.stderr)
    pid = home.keeper_pid
    done = home.cw("start")
    assert (done.returncode, done.stderr) == (0, f"[cw] node already running (pid {pid})\n")
    assert failure(home, "node") == f"Error: node already running (pid {pid})\n"
    assert failure(home, "node", "-d") == f"Error: node already running (pid {pid})\n"
    assert failure(home, "daemon") == f"Error: node already running (pid {pid})\n"
    done = home.cw("stop")
    assert (done.returncode, done.stderr) == (0, f"[cw] sent SIGTERM to node (pid {pid})\n")
    assert not os.path.exists(home.socket) and not is_alive(pid)
    text = failure(home, "stop")
    path = os.path.join(home.data_dir, "codewire.pid")
    assert text == (
        f"Error: reading pid file: open {path}: no such file or directory (is the node running?)\n"
    )
    assert home.cw("node", "--detach").returncode == 0
    assert home.cw("node", "stop").returncode == 0


def test_stop_with_a_pid_file_that_lies(home: Home) -> None:
    os.makedirs(home.data_dir)
    path = Path(home.data_dir, "codewire.pid")
    path.write_text("x\n")
    assert failure(home, "stop") == (
        f'Error: invalid pid file: "x" is no process id ({home.data_dir}/codewire.pid)\n'
    )
    stale = "[cw] node already stopped (stale pid file removed)\n"
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        for pid in (bystander.pid, 2**22 + 1):
            path.write_text(str(pid))
            done = home.cw("stop")
            assert (done.returncode, done.stderr) == (0, stale)
            assert not path.exists()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(10)


@pytest.mark.smoke
def test_node_status_and_restart(home: Home) -> None:
    home.start_node()
    session_id = launch(home, "--", "sleep", "600")
    finished(home, "--", "true")
    before = json.loads(home.cw("node", "status", "--json").stdout)
    assert list(before) == [
        "version", "protocol", "runtime", "keeper_pid", "worker_pid", "started_at",
        "worker_started_at", "worker_restarts", "sessions_running", "sessions_total",
        "data_dir", "socket", "grace_seconds",
    ]  # fmt: skip
    assert (before["sessions_running"], before["sessions_total"]) == (1, 2)
    lines = home.cw("node", "status").stdout.splitlines()
    assert lines[0] == f"Node {before['keeper_pid']}"
    assert f"  Worker PID:      {before['worker_pid']}" in lines
    assert "  Sessions:        1 running, 2 in all" in lines
    done = home.cw("node", "restart")
    after = json.loads(home.cw("node", "status", "-o", "json").stdout)
    assert done.returncode == 0
    assert done.stderr == f"[cw] node restarted (worker pid {after['worker_pid']})\n"
    assert after["worker_pid"] != before["worker_pid"]
    assert after["keeper_pid"] == before["keeper_pid"]
    assert home.session(session_id)["status"] == "running"


def test_a_stream_whose_node_is_gone_ends_with_one_line(home: Home) -> None:
    home.start_node()
    launch(home, "--tag", "tag", "--", "bash", "-c", "echo up; sleep 600")
    prints(home, 1, "up")
    keeper, worker = home.keeper_pid, home.worker_pid
    # This one says nothing, and has no other business with the node: its connection is the sign.
    waiting = home.popen("wait", "1")
    wait_until(lambda: is_connected(waiting.pid), 30, "the wait is at the node")
    streams = [waiting]
    for argv, sign in (
        (["watch", "1"], "stdout"),
        (["logs", "-f", "1"], "stdout"),
        (["subscribe"], "stderr"),
        (["watch", "tag"], "stdout"),
    ):
        streams.append(home.popen(*argv))
        assert getattr(streams[-1], sign).readline(), argv
    home.expects_leftovers = True
    os.kill(worker, signal.SIGSTOP)  # or it would start another keeper
    os.kill(keeper, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    for process in streams:
        _, errors = the_rest(process)
        assert process.returncode == 1, process.args
        assert errors.count(b"\n") == 1 and b"node is gone" in errors, (process.args, errors)


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
