"""Whose environment a command runs in: one node, started by a poor relation of the shells after it.

Every case is a launch as a person makes it, and what /proc says of the process that came of it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CW, Home, wait_until

SECRET = "s3cr3t-of-the-caller"
# What the node was started with: a first command over ssh, from inside tmux and from an agent.
STARTER = {
    "PATH": "/usr/bin:/bin",
    "NODE_ONLY": "1",
    "TMUX": "/tmp/tmux-0/default,1,0",
    "TMUX_PANE": "%1",
    "STY": "1.pts-0",
    "SSH_TTY": "/dev/pts/7",
    "CLAUDECODE": "1",
    "CODEWIRE_TOKEN": "the-token-of-the-node-is-not-for-it",
}


LAUNCH = {"command": ["sleep", "60"], "env": {"NAMED": "1"}}


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    home = Home()
    inherited = {key: home.env[key] for key in ("HOME", "LC_ALL")}
    subprocess.run([*CW, "list"], env={**inherited, **STARTER}, check=True, capture_output=True)
    yield home
    home.close()


def program(directory: Path, name: str, text: str = "#!/bin/sh\nexec sleep 60\n") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(home: Home, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CW, *args], env=env, cwd=home.path, capture_output=True, text=True, timeout=60
    )


def environ(home: Home, env: dict[str, str], *args: str) -> dict[str, str]:
    """Launch with `args` from a shell with this environment; return the command's own."""
    launched = run(home, env, "launch", "-q", *args, "--", "sleep", "60")
    assert launched.returncode == 0, launched.stderr
    assert launched.stderr == ""
    return environ_of(home, int(launched.stdout))


def environ_of(home: Home, session_id: int) -> dict[str, str]:
    path = Path(f"/proc/{home.session(session_id)['pid']}/environ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    # Empty for a moment of execve(2), which posix_spawn(3) does not wait out.
    words = wait_until(path.read_bytes, 10, "its environment").decode().split("\0")
    return dict(word.split("=", 1) for word in words if word)


def test_a_command_runs_as_in_the_shell_that_launches_it(home: Home, tmp_path: Path) -> None:
    """A virtual environment's or nvm's PATH, a key exported a minute ago; nothing of the node's."""
    program(tmp_path / "venv/bin", "only-here")
    shell = {
        **home.env,
        "PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(tmp_path / "venv"),
        "API_KEY": SECRET,
        "MULTILINE": "a\nb=c",
    }
    launched = run(home, shell, "launch", "-q", "--", "only-here")
    assert launched.returncode == 0, launched.stderr
    found = environ_of(home, int(launched.stdout))
    for name in ("PATH", "VIRTUAL_ENV", "API_KEY", "MULTILINE"):
        assert found[name] == shell[name]
    assert not (STARTER.keys() - {"PATH"}) & found.keys()
    check_secrets(home)


def check_secrets(home: Home) -> None:
    """The caller's secret is in no file that another user could read, and in no log at all."""
    for directory, _, names in os.walk(home.path):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and SECRET.encode() in path.read_bytes():
                # What a session is started again with, for its owner alone.
                assert name == "launch.json", f"the secret is in {path}"
                assert path.stat().st_mode & 0o777 == 0o600


def test_another_sessions_variables_stay_there(home: Home) -> None:
    """A launch from within a session, an agent, tmux: none of it is the new session's."""
    outer = environ(home, home.env, "--name", "outer", "--tag", "t")
    inner = {**home.env, **outer, "TMUX": "x", "CLAUDECODE": "1", "CODEWIRE_TOKEN": "x"}
    found = environ(home, {**inner, "CW_DETACH_KEY": "ctrl-a", "CW_FOREIGN": "1"})
    assert found["CW_SESSION_ID"] != outer["CW_SESSION_ID"]
    assert found["CW_SESSION_MARK"] != outer["CW_SESSION_MARK"]
    gone = {"CW_SESSION_NAME", "CW_COHORT_TAG", "CW_FOREIGN", "TMUX", "CLAUDECODE"}
    assert not (gone | {"CODEWIRE_TOKEN"}) & found.keys()
    assert found["CW_DETACH_KEY"] == "ctrl-a"


def test_later_layers_win(home: Home) -> None:
    path = Path(home.data_dir, "environment.json")
    path.write_text('{"A": "file", "B": "file"}')
    try:
        shell = {**home.env, "A": "shell", "B": "shell", "C": "shell"}
        found = environ(home, shell, "--env", "A=named", "--env", "CW_SESSION_ID=99")
    finally:
        path.unlink()
    assert [found[name] for name in "ABC"] == ["named", "file", "shell"]
    assert found["CW_SESSION_ID"] != "99"


def test_a_clean_environment(home: Home) -> None:
    shell = {**home.env, "USER": "u", "LANG": "C", "API_KEY": SECRET}
    found = environ(home, shell, "--clean-env", "-e", "X=1")
    ours = {"PWD", "CW_SESSION_ID", "CW_SESSION_MARK", "CW_NODE_ID"}
    seven = {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TERM"}
    assert found.keys() - ours - {"X"} <= seven
    assert found["USER"] == "u" and found["X"] == "1"


def test_an_empty_environment_and_cron(home: Home) -> None:
    """`env -i` and cron know little; the session has as little, and a terminal."""
    found = environ(home, {"CODEWIRE_DIR": home.data_dir, "TERM": "dumb"})
    assert "HOME" not in found and "PATH" not in found and "NODE_ONLY" not in found
    assert found["TERM"] == "xterm-256color"
    relative = os.path.relpath(home.data_dir, home.path)
    assert environ(home, {"CODEWIRE_DIR": relative})["CODEWIRE_DIR"] == home.data_dir
    refused = run(home, {"CODEWIRE_DIR": home.data_dir}, "launch", "--", "only-here")
    assert refused.returncode == 1 and "none is set; looked in /usr/local/bin" in refused.stderr


@pytest.mark.parametrize(
    ("path", "args", "words"),
    [
        ("/nowhere:/usr/bin", (), "(the caller's: /nowhere:/usr/bin)"),
        ("/usr/bin", ("-e", "PATH=/named"), "(the launch's: /named)"),
        ("", (), "(the caller's: empty)"),
    ],
)
def test_an_error_says_whose_path_was_searched(
    home: Home, path: str, args: tuple[str, ...], words: str
) -> None:
    refused = run(home, {**home.env, "PATH": path}, "launch", *args, "--", "no-such")
    assert refused.returncode == 1
    assert f'command "no-such" not found in PATH {words}' in refused.stderr


def test_more_than_the_system_takes_is_said_without_the_values(home: Home) -> None:
    """One variable above execve's 128 KiB, from Python; then one above what is ever sent."""
    from codewire.client import Client
    from codewire.errors import CodewireError

    os.environ["CODEWIRE_DIR"], before = home.data_dir, os.environ.get("CODEWIRE_DIR")
    try:
        for length in (1 << 18, 5 << 20):
            with pytest.raises(CodewireError, match="too large.* BIG") as caught:
                Client().launch(["true"], environ={"PATH": "/bin", "BIG": SECRET * (length // 20)})
            assert SECRET not in str(caught.value)
    finally:
        del os.environ["CODEWIRE_DIR"]
        if before is not None:
            os.environ["CODEWIRE_DIR"] = before


def test_an_agents_server_brings_its_own_environment(home: Home) -> None:
    """MCP: what the process of `cw mcp-server` has, the sessions have that it launches."""
    server = home.popen("mcp-server", env={"API_KEY": SECRET, "CLAUDECODE": "1"})
    assert server.stdin is not None and server.stdout is not None
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {}}
    for number, method, params in (
        (0, "initialize", hello),
        (1, "tools/call", {"name": "codewire_launch_session", "arguments": LAUNCH}),
    ):
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        server.stdin.write(json.dumps(call).encode() + b"\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
    text = answer["result"]["content"][0]["text"]
    found = environ_of(home, int(re.findall(r"\d+", text)[0]))
    assert found["API_KEY"] == SECRET and found["NAMED"] == "1"
    assert not {"CLAUDECODE", "NODE_ONLY"} & found.keys()


def test_a_node_may_keep_to_its_own() -> None:
    home = Home()
    try:
        os.mkdir(home.data_dir, 0o700)
        Path(home.data_dir, "config.toml").write_text('[node]\nenv = "node"\n')
        home.env["NODE_ONLY"] = "1"
        home.start_node()
        shell = {**home.env, "API_KEY": SECRET}
        del shell["NODE_ONLY"]
        found = environ(home, shell, "-e", "NAMED=1")
        assert (found["NODE_ONLY"], found["NAMED"]) == ("1", "1") and "API_KEY" not in found
        refused = run(home, {**shell, "PATH": "/x"}, "launch", "--", "no-such")
        assert "(the node's: " in refused.stderr
    finally:
        home.close()


def test_a_request_as_other_programs_send_it_adds_to_the_nodes(home: Home) -> None:
    found = environ_of(home, home.launch("sleep", "60", env=["A=1"]))
    assert found["NODE_ONLY"] == "1" and found["A"] == "1"
    assert not {"TMUX", "STY", "SSH_TTY", "CLAUDECODE", "CODEWIRE_TOKEN"} & found.keys()
    answer = home.request({"type": "Launch", "command": ["true"], "env_base": "mine"})
    assert answer["type"] == "Error" and "env_base" in answer["message"]
