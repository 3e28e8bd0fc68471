"""Local runtimes over an engine that records what it is told (tests/fakedocker.py)."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.runtimes.engine import IDLE_SCRIPT
from tests.playedengine import FAKE, Engine, create, played_engine
from tests.processes import end_processes, pids_with_environment
from tests.support import Home, wait_until

IMAGE = "docker.io/library/cwbase:latest"


@pytest.fixture
def engine(home: Home) -> Iterator[Engine]:
    with played_engine(home) as engine:
        yield engine


def test_create_use_and_remove(home: Home, engine: Engine) -> None:
    done = create(home, engine, "--image", "cwbase")
    assert (done.returncode, done.stderr) == (0, "  ✓ Local instance created: my-proj-1.\n")
    assert done.stdout == (
        f"Backend:   docker\nRuntime:   cw-my-proj-1\nImage:     {IMAGE}\n"
        f"Repo:      {engine.project}\nMount:     /workspace\n"
    )
    (argv,) = engine.argvs("create")
    assert argv[:9] == [
        "create", "--name", "cw-my-proj-1", "--hostname", "cw-my-proj-1", "--entrypoint",
        "/bin/sh", "--workdir", "/workspace",
    ]  # fmt: skip
    assert argv[-3:] == [IMAGE, "-lc", IDLE_SCRIPT]
    assert engine.argvs()[1] == ["start", "cw-my-proj-1"]
    again = create(home, engine, "--image", "cwbase")
    assert again.returncode == 1
    assert again.stderr == 'Error: local instance "my-proj-1" already exists\n'
    rows = home.cw("local", "list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "BACKEND", "STATE", "PORTS", "IMAGE", "REPO"]
    assert rows[1].split() == ["my-proj-1", "docker", "running", "--", IMAGE, str(engine.project)]
    found = json.loads(home.cw("local", "info", "cw-my-proj-1", "-o", "json").stdout)
    assert (found["name"], found["status"]) == ("my-proj-1", "running")
    assert home.cw("use", "my-proj-1").stderr == "  ✓ Current target set to my-proj-1.\n"
    assert home.cw("current").stdout == "my-proj-1 [docker] running\n"
    # Without a target the current one; the command has its own exit code.
    done = home.cw("exec", "-w", "/", "--", "sh", "-c", "echo inside; exit 4")
    assert (done.returncode, done.stdout) == (4, "inside\n"), done
    argv = engine.argvs("exec")[-1]
    assert argv == ["exec", "-i", "-w", "/", "cw-my-proj-1", "sh", "-c", "echo inside; exit 4"]
    assert home.cw("exec", "local", "--", "echo", "here").stdout == "here\n"
    assert len(engine.argvs("exec")) == 1
    assert (
        home.cw("local", "stop", "my-proj-1").stderr == "  ✓ Local instance stopped: my-proj-1.\n"
    )
    assert engine.argvs("stop") == [["stop", "-t", "1", "cw-my-proj-1"]]
    refused = home.cw("list")
    assert refused.returncode == 1
    assert "local instance my-proj-1 is exited; 'cw local start my-proj-1'" in refused.stderr
    removed = home.cw("local", "rm", "my-proj-1")
    assert removed.stderr == (
        "  ✓ Current target set to local.\n  ✓ Local instance removed: my-proj-1.\n"
    )
    assert home.cw("current").stdout == "local\n"
    assert home.cw("local", "list").stdout == "No local instances found.\n"
    assert engine.containers() == {}


def test_a_target_whose_container_has_gone_is_missing(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "cwbase")
    home.cw("use", "my-proj-1")
    (engine.directory / "state.json").write_text("{}")
    shown = home.cw("current")
    assert (shown.returncode, shown.stdout) == (1, "my-proj-1 [docker] missing\n")
    assert "'cw local rm my-proj-1' forgets it" in home.cw("launch", "--", "true").stderr
    assert home.cw("local", "rm", "my-proj-1").returncode == 0


def test_what_fails_leaves_nothing(home: Home, engine: Engine) -> None:
    engine.fail("create: Error response from daemon: no space left on device")
    done = create(home, engine, "--image", "cwbase", "--env", "SECRET=hunter2")
    assert done.returncode == 1
    assert "no space left on device" in done.stderr and "hunter2" not in done.stderr
    engine.fail()
    dead = create(home, engine, "--image", "dies")
    assert dead.returncode == 1
    assert "ended at once (exited): its image needs /bin/sh and sleep" in dead.stderr
    assert engine.containers() == {}
    assert home.cw("local", "list").stdout == "No local instances found.\n"
    for arguments, words in (
        (["--image", "x", "--network", "n"], "relay not configured (set CODEWIRE_RELAY_URL"),
        (["--image", "x", "--network", "n", "--no-node"], "--network needs a node inside"),
        (["--image", "x", "--network", "n", "--no-network"], "use either --network or"),
        (["--image", "x", "--name", "a:b"], "invalid local instance name 'a:b'"),
        ([], "local create requires an image; set image in codewire.yaml or pass --image"),
        (["--image", "x", "--env", "b"], 'invalid --env format "b", expected KEY=val'),
        (["--image", "x", "--path", "nowhere"], "project path must be a directory"),
        (["--image", "x", "--file", "other.yaml"], "other.yaml: no such file"),
    ):
        refused = create(home, engine, *arguments)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr


def test_a_killed_create_is_shown_and_removed(home: Home, engine: Engine) -> None:
    slow = Path(home.path, "bin", "docker")
    slow.write_text('#!/bin/sh\n[ "$1" = create ] && exec sleep 60\n'
                    f'exec {sys.executable} -S {FAKE} "$@"\n')  # fmt: skip
    process = home.popen("local", "create", "--backend", "docker", "--image", "x", "--name", "k")
    record = Path(home.data_dir, "local_instances.toml")
    wait_until(lambda: record.exists() and "creating" in record.read_text(), 30, "a record")
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    end_processes(pids_with_environment(f"FAKE_DOCKER={engine.directory}"))
    assert home.cw("local", "list").stdout.splitlines()[1].split()[:3] == [
        "k",
        "docker",
        "creating",
    ]
    assert "k: its container is creating" in home.cw("local", "doctor").stdout
    assert home.cw("local", "rm", "k").returncode == 0
    assert home.cw("local", "list").stdout == "No local instances found.\n"


def test_strays_are_found_and_pruned(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "cwbase")
    Path(home.data_dir, "local_instances.toml").unlink()
    assert home.cw("local", "prune", "--dry-run").stdout.startswith(
        "container  cw-my-proj-1 (docker, running): no record\n"
    )
    found = json.loads(home.cw("local", "doctor", "-o", "json").stdout)
    assert (found["ok"], found["containers"][0]["runtime_name"]) == (False, "cw-my-proj-1")
    refused = home.cw("local", "prune")
    assert refused.returncode == 1 and "pass --yes" in refused.stderr
    assert home.cw("local", "prune", "--yes").returncode == 0
    assert engine.containers() == {}
    assert home.cw("local", "prune").stdout == "Nothing to prune.\n"


def test_parallel_creates_keep_their_records(home: Home, engine: Engine) -> None:
    started = [
        home.popen("local", "create", "--backend", "docker", "--image", "x", "--name", f"n{number}")
        for number in range(4)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]
    names = [row.split()[0] for row in home.cw("local", "list").stdout.splitlines()[1:]]
    assert names == ["n0", "n1", "n2", "n3"]


def test_a_project_is_a_stranger(home: Home, engine: Engine) -> None:
    yaml = engine.project / "codewire.yaml"
    yaml.write_text("image: cwbase\nmounts: [/etc]\n")
    refused = create(home, engine)
    assert refused.returncode == 1 and "--allow-mount /etc" in refused.stderr
    assert create(home, engine, "--allow-mount", "/etc", "--name", "a").returncode == 0
    assert "type=bind,source=/etc,target=/etc,readonly" in engine.argvs("create")[-1]
    yaml.write_text("image: cwbase\ninstall: touch owned\nports: [8000]\n")
    asked = create(home, engine)
    assert asked.returncode == 1
    assert "wants to run in the new container:\n  install: touch owned" in asked.stderr
    assert "pass --yes" in asked.stderr
    assert create(home, engine, "--no-setup").returncode == 0
    assert not (engine.project / "owned").exists()
    assert "127.0.0.1:8000:8000" in engine.argvs("create")[-1]


@pytest.mark.smoke
def test_set_up_runs_as_sessions(home: Home, engine: Engine) -> None:
    yaml = engine.project / "codewire.yaml"
    yaml.write_text("image: x\ninstall: |\n  echo installing; pwd\nstartup: echo started\n")
    done = create(home, engine, "-y", "--name", "s")
    assert done.returncode == 0, done.stderr
    assert "  ✓ Installed.\n" in done.stderr and "Startup runs as session 2" in done.stderr
    assert home.cw("wait", "2").returncode == 0
    shown = home.cw("local", "logs", "s").stdout.replace("\r", "")
    assert shown == f"installing\n{engine.project}\nstarted\n"
    yaml.write_text("image: x\ninstall: exit 7\n")
    failed = create(home, engine, "-y", "--name", "f")
    assert failed.returncode == 1 and "install failed (exit code 7)" in failed.stderr
    assert json.loads(home.cw("local", "info", "f", "--json").stdout)["status"] == "running"


def test_sessions_on_a_node_inside(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "cwbase", "--name", "web")
    done = home.cw(
        "launch", "--on", "web", "--env", "A=b", "--dir", home.path, "job", "--",
        "sh", "-c", "echo $FAKE_CONTAINER $A $CODEWIRE_DIR; read line; exit 5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on a node of its own inside" in home.cw("local", "info", "web").stdout
    listed = json.loads(home.cw("list", "web", "--json").stdout)
    assert [(each["id"], each["name"]) for each in listed] == [(1, "job")]
    assert home.cw("list").stdout == "No sessions\n"
    assert home.cw("wait", "web:job", "--for", "cw-web b").returncode == 0
    assert home.cw("use", "web").returncode == 0
    assert home.cw("send", "1", "x").returncode == 0
    assert home.cw("wait", "job", "--exit-status").returncode == 5
    assert "cw-web b" in home.cw("logs", "web:job").stdout
    assert home.cw("list", "--local").stdout == "No sessions\n"
    runs = json.loads(home.cw("list", "--runs", "--json").stdout)
    assert [each["name"] for each in runs["runtimes"][0]["sessions"]] == ["job"]
    assert "web [docker] running (current)\n" in home.cw("list", "--runs").stdout
    assert home.cw("list", "--server", "web").stdout.splitlines()[1].split()[1] == "job"
    # This machine's own node is another one, and its end is none of theirs.
    assert home.cw("launch", "--on", "local", "--", "true").returncode == 0
    assert home.cw("stop").returncode == 0
    assert "job" in home.cw("list").stdout


def test_an_image_without_python_gets_sessions_by_exec(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "nopython", "--name", "bare")
    done = home.cw("launch", "--on", "bare", "--", "sh", "-c", "echo $FAKE_CONTAINER; exit 3")
    assert done.returncode == 0, done.stderr
    assert "the image has no Python 3.10 or later" in done.stderr
    assert home.cw("wait", "1", "--exit-status").returncode == 3
    assert home.cw("logs", "1").stdout.strip() == "cw-bare"
    (session,) = home.client().find_sessions(tag="runtime:bare")
    assert session.id == 1
    assert "on this machine's node" in home.cw("local", "info", "bare").stdout
    execs = [argv for argv in engine.argvs("exec") if "-t" in argv]
    assert execs[-1][:6] == ["exec", "-i", "-t", "-w", "/workspace", "cw-bare"]


def test_files_go_in_and_out(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "x", "--name", "f")
    path = f"{engine.project}/a dir/it's"
    assert home.cw("local", "files", "upload", "f", path, input="data\n").returncode == 0
    assert home.cw("local", "files", "download", "f", path).stdout == "data\n"
    (entry,) = json.loads(
        home.cw("local", "files", "list", "f", f"{engine.project}/a dir", "--json").stdout
    )
    assert (entry["name"], entry["size"], entry["is_dir"]) == ("it's", 5, False)
    missing = home.cw("local", "files", "download", "f", "/nothing")
    assert missing.returncode == 1 and "Error: download: exit status 1" in missing.stderr


def test_an_engine_that_is_down_is_said(home: Home, engine: Engine) -> None:
    create(home, engine, "--image", "x", "--name", "d")
    engine.fail("inspect: Cannot connect to the Docker daemon", "start: Cannot connect")
    assert home.cw("local", "list").stdout.splitlines()[1].split()[2] == "unknown"
    assert "Cannot connect" in home.cw("local", "start", "d").stderr
    started = time.monotonic()
    home.env["PATH"] = home.path
    assert "docker is required for the docker backend" in home.cw("local", "start", "d").stderr
    assert time.monotonic() - started < 30


def test_init_writes_the_preset(home: Home) -> None:
    done = home.cw("init", "--image", "python:3.12", "--port", "8080:80", "--env", "A=b,c")
    assert done.returncode == 0
    assert done.stderr == "codewire.yaml written: codewire.yaml\nNext:\n  cw local create\n"
    assert Path(home.path, "codewire.yaml").read_text() == (
        "image: python:3.12\nsecrets:\n    org: true\n    user: true\nenv:\n    A: b,c\n"
        "ports:\n    - host_port: 8080\n      guest_port: 80\n"
    )
    again = home.cw("preset", "init")
    assert again.returncode == 1 and "already exists (use --force to overwrite)" in again.stderr
