"""`cw exec` in a runtime, and the environment tools of MCP on runtimes; the engine is played."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_mcp import RawServer
from tests.playedengine import Engine, create, played_engine
from tests.support import Home
from tests.tmux import Tmux

SLEEP = 600


@pytest.fixture
def engine(home: Home) -> Iterator[Engine]:
    with played_engine(home) as engine:
        yield engine


def test_exec_ends_as_in_a_shell(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "x", "--name", "p2")
    for command, code, out in (
        (["sh", "-c", "echo E >&2; exit 7"], 7, ""),
        (["sh", "-c", "cat; kill -9 $$"], 137, "typed"),
        (["no-such-program"], 127, ""),
        (["/no/such"], 127, ""),
        (["/"], 126, ""),
        (["sh", "-c", "echo 'OCI runtime exec failed: not'; exit 5"], 5,
         "OCI runtime exec failed: not\n"),
    ):  # fmt: skip
        done = home.cw("exec", "--on", "p2", "--", *command, input="typed")
        assert (done.returncode, done.stdout) == (code, out), done
        assert ("OCI runtime exec failed" in done.stderr) == (code in (126, 127)), done
    # Without a terminal the engine is told what upstream tells it.
    assert engine.argvs("exec")[0] == [
        "exec", "-i", "-w", "/workspace", "cw-p2", "sh", "-c", "echo E >&2; exit 7",
    ]  # fmt: skip
    lost = home.cw("exec", "p2", "-w", "/no/dir", "--", "pwd")
    assert (lost.returncode, lost.stdout) == (126, "") and "chdir" in lost.stderr
    started = time.monotonic()
    late = home.cw("exec", "p2", "--timeout", "1", "--", "sleep", str(SLEEP))
    assert late.returncode == 124 and "time is up (1 s)" in late.stderr
    assert time.monotonic() - started < SLEEP / 10
    caught = home.cw("exec", "p2", "-o", "json", "--", "no-such-program")
    shown = json.loads(caught.stdout)
    assert (caught.returncode, shown["exit_code"], shown["stdout"]) == (0, 127, "")
    assert "not found" in shown["stderr"]
    both = home.cw("exec", "p2", "--dir", "/a", "--workdir", "/b", "--", "true")
    assert both.stderr == "Error: use either --dir or --workdir, not both\n"
    assert json.loads(home.cw("local", "info", "p2", "--json").stdout)["last_used_at"]
    assert home.cw("__complete", "use", "").stdout == "local\np2\n:4\n"
    assert home.cw("__complete", "local", "files", "list", "").stdout == "p2\n:4\n"
    home.cw("local", "stop", "p2")
    down = home.cw("exec", "p2", "--", "true")
    assert down.returncode == 1 and "'cw local start p2' starts it" in down.stderr


def test_a_missing_directory_is_told_from_a_missing_program(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "podman", "--name", "p2")
    lost = home.cw("exec", "p2", "-w", "/no/dir", "--", "pwd")
    assert (lost.returncode, lost.stdout) == (126, "") and "chdir" in lost.stderr
    caught = home.cw("exec", "p2", "-o", "json", "-w", "/no/dir", "--", "pwd")
    assert json.loads(caught.stdout)["exit_code"] == 126
    assert home.cw("exec", "p2", "--", "sh", "-c", "exit 127").returncode == 127


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_cw_alone_ends_the_command(home: Home, engine: Engine, number: int) -> None:
    create(home, engine, "--image", "x", "--name", "p2")
    script = "trap 'exit 3' INT TERM HUP; echo begun; while :; do sleep 0.1; done"
    process = home.popen("exec", "p2", "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    # An engine's client ends in its own way; what counts is that it was ended.
    assert process.wait(30) == 128 + number
    process.stdout.close()


def test_exec_on_a_terminal_has_one_inside(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "x", "--name", "p2")
    tmux = Tmux(home)
    try:
        window = tmux.cw("exec", "p2", "--", "sh", "-c", "echo $TERM; tty; sleep 600")
        window.expect("/dev/pts/")
    finally:
        tmux.close()
    (argv,) = engine.argvs("exec")
    assert argv[:3] == ["exec", "-i", "-t"]
    assert [word.partition("=")[0] for word in argv[argv.index("-e") :] if "=" in word][:2] == [
        "TERM",
        "COLORTERM",
    ]


def test_environment_tools_reach_runtimes(home: Home, engine: Engine) -> None:
    yaml = engine.project / "codewire.yaml"
    yaml.write_text("image: x\ninstall: touch owned\nstartup: echo up\n")
    (engine.project / "go.codewire.yaml").write_text("image: golang\nmounts: [/etc]\n")
    project = str(engine.project)
    server = RawServer(home)

    def call(tool: str, **arguments: Any) -> tuple[bool, list[str]]:
        result = server.call(tool, **arguments)["result"]
        return bool(result.get("isError")), [block["text"] for block in result["content"]]

    presets = json.loads(call("list_presets", path=project)[1][0])
    assert [(each["slug"], each["image"]) for each in presets] == [
        ("codewire", "x"),
        ("go", "golang"),
    ]
    failed, (words,) = call("create_environment", image="x")
    assert failed and "backend: local" in words
    failed, (words,) = call("create_environment", backend="local", path=project, preset_slug="go")
    assert failed and "mount /etc lies outside the project" in words
    # A project's own commands wait for its user's word; the agent's do not.
    failed, texts = call("create_environment", backend="local", path=project, env_vars={"A": "b"})
    assert not failed and texts[0].startswith("Environment created:\n{")
    assert "not run: install" in texts[1] and not Path(project, "owned").exists()
    assert call("get_environment_logs", environment_id="my-proj-1") == (False, ["No logs found."])
    failed, texts = call(
        "create_environment", backend="docker", path=project, name="two", run_setup=True
    )
    assert not failed and len(texts) == 1 and Path(project, "owned").exists()
    steps = json.loads(call("get_environment_logs", environment_id="two")[1][0])
    assert [(each["phase"], each["environment_id"]) for each in steps] == [
        ("install", "two"),
        ("startup", "two"),
    ]
    assert steps[0]["status"] == "completed"
    listed = json.loads(call("list_environments", state="running")[1][0])
    assert [(each["id"], each["state"]) for each in listed] == [
        ("my-proj-1", "running"),
        ("two", "running"),
    ]
    assert "env" not in listed[0] and listed[0]["env_names"] == ["A"]
    one: dict[str, Any] = {"environment_id": "my-proj-1"}
    done = json.loads(
        call("exec_in_environment", **one, command=["sh", "-c", "echo $A; echo e >&2; exit 3"])[1][
            0
        ]
    )
    assert done == {"exit_code": 3, "stdout": "b\n", "stderr": "e\n"}
    done = json.loads(call("exec_in_environment", **one, command=["no-such"])[1][0])
    assert (done["exit_code"], done["stdout"]) == (127, "")
    late = ["sh", "-c", "echo begun; exec sleep 600"]
    done = json.loads(call("exec_in_environment", **one, command=late, timeout=4)[1][0])
    assert (done["exit_code"], done["stdout"]) == (124, "begun\n")
    path = f"{project}/ü dir/f"
    assert call("upload_file", **one, path=path, content="é") == (
        False,
        [f"Uploaded 2 bytes to {path}"],
    )
    assert call("download_file", **one, path=path) == (False, ["é"])
    (entry,) = json.loads(call("list_files", **one, path=f"{project}/ü dir")[1][0])
    assert (entry["name"], entry["size"], "mod_time" in entry) == ("f", 2, True)
    assert call("download_file", **one, path="/no/such")[0]
    assert call("stop_environment", **one) == (False, ["Environment my-proj-1: stopped"])
    failed, (words,) = call("exec_in_environment", **one, command=["true"])
    assert failed and "is exited" in words
    assert call("start_environment", **one) == (False, ["Environment my-proj-1: running"])
    home.cw("use", "my-proj-1")
    assert call("delete_environment", **one) == (False, ["Environment my-proj-1 deleted."])
    assert home.cw("current").stdout == "local\n"
    failed, (words,) = call("get_environment", **one)
    assert failed and 'environment "my-proj-1" not found; on this machine: two' in words
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(30) == 0
