"""cw.pyz replaced, deleted or cut under what runs from it: commands, the MCP server, the node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_mcp import tool_call
from tests.publishing import build_pyz
from tests.support import Home, wait_until
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pyz(tmp_path_factory.mktemp("pyz") / "cw.pyz")


@pytest.fixture
def pyz(built: Path, home: Home) -> Iterator[Path]:
    """A copy of the program in a home without a node."""
    path = Path(home.path, "cw.pyz")
    shutil.copy(built, path)
    yield path
    home.close()


def move_another(path: Path) -> None:
    draft = path.with_name("draft")
    draft.write_bytes(b"another release")
    os.replace(draft, path)


def copy_another(path: Path) -> None:
    """As `cp` does it: the same file has other bytes."""
    path.write_bytes(b"\0" * path.stat().st_size)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


CHANGES = [move_another, copy_another, cut, Path.unlink]


class Commands:
    """Everything that may run for hours, started from the archive, each waiting for a session."""

    def __init__(self, home: Home, pyz: Path, session: int, caller: int) -> None:
        self._home = home
        self._cw = [sys.executable, str(pyz)]
        name = str(session)
        self.running = {
            "wait": self._start("wait", name),
            "wait --for": self._start("wait", name, "--for", "it is over"),
            "logs -f": self._start("logs", name, "-f"),
            "watch": self._start("watch", name),
            "listen": self._start("listen"),
            "subscribe": self._start("subscribe"),
            "request": self._start("request", "-f", str(caller), name, "well?"),
        }
        self.terminal = Terminal(4)
        self.terminal.process = home.popen(
            argv=[*self._cw, "attach", name], start_new_session=True, **self.terminal.streams
        )
        self.mcp = self._start("mcp-server", stdin=subprocess.PIPE)
        self.call("list_sessions")

    def _start(self, *args: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return self._home.popen(argv=[*self._cw, *args], stdin=stdin)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        assert self.mcp.stdin is not None
        assert self.mcp.stdout is not None
        self.mcp.stdin.write(json.dumps(tool_call(tool, 1, **arguments)).encode() + b"\n")
        self.mcp.stdin.flush()
        answer: dict[str, Any] = json.loads(self.mcp.stdout.readline())
        assert "result" in answer, answer
        return answer["result"]

    def ends(self) -> dict[str, tuple[int, bytes, bytes]]:
        """Return the exit status and the output of each that ends with the session."""
        found = {}
        for name, process in self.running.items():
            if name in ("listen", "subscribe"):
                process.terminate()
            out, err = process.communicate(timeout=20)
            found[name] = (process.returncode, out, err)
        return found


@pytest.fixture
def scene(home: Home, pyz: Path) -> Iterator[Commands]:
    home.start_node()
    script = "until [ -e over ]; do sleep 0.05; done; echo it is over"
    session = home.launch("/bin/sh", "-c", script, name="long")
    caller = home.launch("cat", name="caller")
    commands = Commands(home, pyz, session, caller)
    for process in (*commands.running.values(), commands.terminal.process):
        wait_until(lambda pid=process.pid: has_socket(pid), 30, f"{process.args} talks to the node")
    yield commands
    commands.terminal.close()


def has_socket(pid: int) -> bool:
    directory = f"/proc/{pid}/fd"
    return any(os.readlink(f"{directory}/{n}").startswith("socket") for n in os.listdir(directory))


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_waits_goes_on(
    home: Home, pyz: Path, scene: Commands, change: Callable[[Path], None]
) -> None:
    change(pyz)
    home.client().msg("long", "news", sender=2, delivery="inbox")
    listening = scene.running["listen"].stdout
    assert listening is not None
    assert any(b"news" in line for line in iter(listening.readline, b""))
    Path(home.path, "over").touch()
    scene.terminal.expect(b"it is over")
    scene.terminal.expect(b"session completed (0)")
    ends = scene.ends()
    for name in ("wait", "wait --for", "logs -f", "watch"):
        assert ends[name][0] == 0, (name, ends[name])
    assert ends["logs -f"][1] == b"it is over\r\n"
    assert b"it is over" in ends["watch"][1]
    assert b"session.status" in ends["subscribe"][1]
    for name, (_, _, err) in ends.items():
        assert not re.search(b"import|zip|internal|Traceback", err, re.IGNORECASE), (name, err)

    # All that the server has not done before.
    launched = scene.call("launch_session", command=["cat"], name="new")
    assert not launched.get("isError"), launched
    for tool, arguments in TOOLS:
        answer = scene.call(tool, **arguments)
        assert not answer.get("isError"), (tool, answer)
    assert home.stop_node() == 0
    refused = scene.call("list_sessions")
    assert refused["isError"], "there is no program to start a node with"
    text = refused["content"][0]["text"]
    assert str(pyz) in text or change is not Path.unlink, text


TOOLS: list[tuple[str, dict[str, Any]]] = [
    ("list_sessions", {}),
    ("get_session_status", {"session_id": 3}),
    ("send_input", {"session_id": 3, "input": "hello"}),
    ("wait_for", {"session_id": 3, "text": "hello", "timeout_seconds": 20}),
    ("read_session_output", {"session_id": 3}),
    ("watch_session", {"session_id": 3, "max_duration_seconds": 1}),
    ("msg", {"to_name": "new", "body": "x"}),
    ("kill_session", {"session_id": 3}),
]


def test_a_server_starts_a_node_from_the_new_release(home: Home, pyz: Path, built: Path) -> None:
    server = home.popen(argv=[sys.executable, str(pyz), "mcp-server"])
    scene = Commands.__new__(Commands)
    scene.mcp = server
    scene.call("list_sessions")
    shutil.copy(built, pyz.with_name("draft"))
    os.replace(pyz.with_name("draft"), pyz)
    run(home, pyz, "stop")
    assert not scene.call("list_sessions").get("isError")
    run(home, pyz, "stop")


def run(home: Home, *cw: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, cw)],
        env=home.env,
        cwd=home.path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_node_goes_on_without_its_archive(home: Home, pyz: Path, built: Path) -> None:
    """Keeper and worker have all they need; only a new worker needs the file, and then finds it."""
    run(home, pyz, "start")
    first = home.launch("cat", name="first")
    copy_another(pyz)
    assert home.launch("/bin/sh", "-c", "echo $((6 * 7))", name="second") == 2
    assert home.wait_finished(2)["exit_code"] == 0
    for args, words in EVERYTHING:
        done = home.cw(*args)
        assert done.returncode == 0, (args, done.stderr)
        assert words in done.stdout + done.stderr, (args, done.stdout, done.stderr)
    with home.connect() as attached:
        assert attached.request({"type": "Attach", "id": first})["type"] == "Attached"
    shutil.copy(built, pyz)
    home.kill_worker()
    assert home.session(first)["status"] == "running"
    assert home.cw("stop").returncode == 0
    assert not home.processes()


EVERYTHING: list[tuple[tuple[str, ...], str]] = [
    (("list",), "first"),
    (("status", "first"), "running"),
    (("logs", "second"), "42"),
    (("send", "first", "typed"), ""),
    (("wait", "first", "--for", "typed"), ""),
    (("screen", "first"), "typed"),
    (("kv", "set", "key", "value"), ""),
    (("kv", "get", "key"), "value"),
    (("msg", "-f", "second", "first", "news"), ""),
    (("inbox", "first"), "news"),
    (("approvals",), ""),
    (("agent", "explain", "first"), ""),
    (("node", "status"), "running"),
    (("kill", "first", "--help"), ""),
]


VERSIONS = ["2.7", "3.6", "3.7", "3.8", "3.9"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_python_is_told_in_one_line(pyz: Path, home: Home, version: str) -> None:
    python = old_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    done = subprocess.run(
        [python, str(pyz), "list"], env=home.env, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"Error: cw needs Python 3.10 or newer"), done.stderr
    assert f" is {version}: ".encode() in done.stderr
    assert done.stderr.count(b"\n") == 1


def old_python(version: str) -> str | None:
    for root in ("~/.pyenv", "/opt/pyenv"):
        for found in Path(root).expanduser().glob(f"versions/{version}.*/bin/python"):
            return str(found)
    return None


def test_a_python_without_json_is_told_in_one_line(pyz: Path, home: Home) -> None:
    """As Debian's python3-minimal is: here, one whose json cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JSON, str(pyz)],
        env=home.env,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"(No module named 'json')" in done.stderr
    assert b"apt-get install python3" in done.stderr
    assert done.stderr.count(b"\n") == 1


WITHOUT_JSON = """
import runpy, sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name == "json":
            raise ModuleNotFoundError("No module named 'json'")
sys.meta_path.insert(0, Gone())
sys.argv = [sys.argv[1], "list"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
