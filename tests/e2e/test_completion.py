"""Completion in real shells, the doctor, and watching several sessions at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CW, Home


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    directory = os.path.join(home.path, "bin")
    os.mkdir(directory)
    script = Path(directory, "cw")
    script.write_text(f'#!/bin/sh\nexec {" ".join(CW)} "$@"\n')
    script.chmod(0o755)
    home.env["PATH"] = f"{directory}:{home.env['PATH']}"
    try:
        yield home
    finally:
        home.close()


def launch_two(home: Home) -> None:
    home.start_node()
    for name in ("planner", "painter"):
        done = home.cw("launch", name, "crew", "--", "bash", "-c", f"echo {name} up; exec cat")
        assert done.returncode == 0


def candidates(home: Home, *words: str) -> list[str]:
    done = home.cw("__complete", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_candidates(home: Home) -> None:
    assert candidates(home, "attach", "") == [":4"], "no node is started for it"
    assert not os.path.exists(home.socket)
    launch_two(home)
    sessions = [line.partition("\t")[0] for line in candidates(home, "attach", "")]
    assert sessions == ["planner", "1", "painter", "2", ":4"]
    assert "crew" in candidates(home, "kill", "")
    assert candidates(home, "wait", "--condition", "") == ["all", "any", ":4"]
    assert candidates(home, "wait", "--tag", "") == ["crew", ":4"]
    assert candidates(home, "send", "--file", "")[-1] == ":0"
    assert candidates(home, "launch", "--", "")[-1] == ":0"
    assert any(line.startswith("restart\t") for line in candidates(home, "node", ""))
    assert any(line.startswith("--follow\t") for line in candidates(home, "logs", "--"))
    commands = [line.partition("\t")[0] for line in candidates(home, "")]
    assert {"launch", "attach", "screen", "doctor"} <= set(commands)
    assert not any(command.startswith("_") for command in commands)
    topics = [line.partition("\t")[0] for line in candidates(home, "help", "")]
    assert {"launch", "exit-codes", "environment", "node"} <= set(topics)
    assert "status" in [line.partition("\t")[0] for line in candidates(home, "help", "node", "")]
    assert candidates(home, '""') == candidates(home, ""), "an empty word as PowerShell passes it"
    assert "Register-ArgumentCompleter" in home.cw("completion", "powershell").stdout


BASH = """
eval "$(cw completion bash)"
COMP_WORDS=(cw attach pl) COMP_CWORD=2
_cw
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "cw completion fish | source; complete -C 'cw attach pl'"
ZSH = """
autoload -Uz compinit && compinit -u -D
eval "$(cw completion zsh)"
_describe() { print -l -- "${(@P)2}" }
words=(cw attach pl) CURRENT=3
_cw
"""


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("fish", FISH), ("zsh", ZSH)])
def test_shells(home: Home, shell: str, script: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    launch_two(home)
    flags = ["-f"] if shell == "zsh" else []
    done = subprocess.run(
        [shell, *flags, "-c", script], env=home.env, capture_output=True, timeout=60
    )
    assert b"planner" in done.stdout, done.stderr
    assert done.stderr == b""
    if shell != "zsh":
        # zsh itself leaves out what does not fit.
        assert b"painter" not in done.stdout


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", ".local/share/bash-completion/completions/cw"),
        ("fish", ".config/fish/completions/cw.fish"),
        ("zsh", ".zfunc/_cw"),
    ],
)
def test_install(home: Home, shell: str, path: str) -> None:
    done = home.cw("completion", "--install", env={"SHELL": f"/bin/{shell}"})
    assert done.returncode == 0
    installed = os.path.join(home.path, path)
    assert done.stderr.startswith(f"{shell} completion installed: {installed}\n")
    assert Path(installed).read_text() == home.cw("completion", shell).stdout
    bad = home.cw("completion", "tcsh")
    assert bad.stderr == 'Error: unsupported shell "tcsh"; use bash, zsh, fish, or powershell\n'


def test_what_zsh_still_needs_is_said(home: Home) -> None:
    """Its words are followed to the letter until nothing is left to say, and then it completes."""
    install = ("completion", "--install", "zsh")
    said = home.cw(*install).stderr.splitlines()[1]
    lines = said.partition("Add to it: ")[2]
    assert lines == "fpath+=~/.zfunc; autoload -Uz compinit && compinit"
    rc = Path(home.path, ".zshrc")
    rc.write_text("# compinit is what I do not run\n")
    assert home.cw(*install).stderr.splitlines()[1] == said
    rc.write_text("autoload -Uz compinit && compinit -u\n")
    assert "before compinit: fpath+=~/.zfunc" in home.cw(*install).stderr
    rc.write_text(lines.replace("; ", "\n") + " -u\n")
    assert len(home.cw(*install).stderr.splitlines()) == 1
    if shutil.which("zsh"):
        done = subprocess.run(
            ["zsh", "-i", "-c", "print -- ${_comps[cw]}"],
            env={**home.env, "ZDOTDIR": home.path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        assert done.stdout == b"_cw\n", done.stderr


@pytest.mark.smoke
def test_doctor(home: Home) -> None:
    cold = home.cw("doctor")
    assert cold.returncode == 0
    assert "node         warn   not running" in cold.stdout
    home.start_node()
    findings = json.loads(home.cw("doctor", "--json").stdout)
    status = {finding["name"]: finding["status"] for finding in findings}
    assert status["node"] == status["version"] == status["socket"] == "ok"
    assert {"python", "oom", "disk", "linger", "files", "terminals", "completion"} <= set(status)
    os.chmod(home.data_dir, 0o500)
    try:
        if os.geteuid():
            assert home.cw("doctor").returncode == 1
    finally:
        os.chmod(home.data_dir, 0o700)


def test_a_node_that_cannot_be_reached_is_a_failure(home: Home) -> None:
    done = home.cw("doctor", "--server", "ws://127.0.0.1:1", "--token", "t")
    assert done.returncode == 1
    assert "node         fail" in done.stdout


def test_several_sessions_are_watched_at_once(home: Home) -> None:
    home.start_node()
    for name, words in (("a", "one"), ("longer", "two"), ("other", "three")):
        home.cw("launch", name, *(["t"] if name != "other" else []), "--", "echo", words)
    done = home.cw("watch", "a", "longer", "3")
    lines = sorted(line.rstrip("\r") for line in done.stdout.split("\n"))
    assert lines == ["", "[a] one", "[longer] two", "[other] three"]
    done = home.cw("watch", "--tag", "t", "a")
    lines = sorted(line.rstrip("\r") for line in done.stdout.split("\n"))
    assert lines == ["", "[a] one", "[longer] two"]
    assert home.cw("watch").returncode == 1
    assert home.cw("watch", "a", "99").stderr.startswith("Error: session 99 not found")
