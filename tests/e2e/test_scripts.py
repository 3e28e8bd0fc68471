"""What scripts rely on: exit codes, JSON, silence where there is nothing to say."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CW, Home, wait_until


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    home = Home()
    home.start_node()
    home.cw("launch", "cat", "--", "cat")
    yield home
    home.close()


@pytest.mark.parametrize(
    ("line", "code", "stdout", "stderr"),
    [
        ("version", 0, "cw version ", ""),
        ("-V", 0, "cw version ", ""),
        ("help exit-codes", 0, "Exit codes", ""),
        ("wait cat --timeout 0.2", 124, "", "wait timed out"),
        ("wait cat --for unsaid --timeout 0.2", 124, "", "wait timed out"),
        ("wait cat --changed --timeout 0.2", 124, "", "wait timed out"),
        ("wait cat --state blocked --timeout 0.2", 124, "", "wait timed out"),
        ("prompt cat x --timeout 0.2", 124, "", "timed out"),
        ("request cat x --timeout 0.2", 124, "", "timed out"),
        ("watch cat --no-history --timeout 0.2", 0, "", "watch timeout reached"),
        ("kv get none", 1, "", "not found"),
        ("kv get none --default 1", 0, "1\n", ""),
        ("kv delete none", 0, "", "default/none was not there"),
        ("list --network n --org o", 0, "ID ", ""),
        ("send cat --stdin", 0, "", "Sent 0 bytes"),
        ("send cat --stdin --submit", 0, "", "Sent 0 bytes"),
        ("send cat --stdin --type", 0, "", "Sent 0 bytes"),
        ("launch --name= -- true", 1, "", "the name is empty"),
        ("logs cat --tail x", 1, "", "must be a whole number"),
        ("completion --server x", 1, "", "--server cannot be used"),
        ("exec -- false", 1, "", ""),
        ("exec echo hello", 0, "hello\n", ""),
        ("exec local -- echo hello", 0, "hello\n", ""),
        ("exec --on local local -- echo hello", 0, "hello\n", ""),
        ("exec --on a b -- echo hello", 1, "", "name one"),
        ("exec --workdir / -- pwd", 0, "/\n", ""),
        ("exec -- /etc/passwd", 126, "", "Permission denied"),
        ("exec --timeout 0.1 -- sleep 60", 124, "", "time is up"),
        ("exec", 1, "", "no command specified. Usage: cw exec -- <command>"),
        ("exec elsewhere -- true", 1, "", 'target "elsewhere" not found'),
        ("exec --name fromexec -- true", 0, "", "launched: true"),
    ],
)
def test_outcomes_can_be_told_apart(
    home: Home, line: str, code: int, stdout: str, stderr: str
) -> None:
    check(home, line, code, stdout, stderr)


def test_what_was_sent_already_is_said(home: Home) -> None:
    check(home, "send cat --key k --stdin --enter", 0, "", "Sent 1 bytes")
    check(home, "send cat --key k --stdin --enter", 0, "", "already sent")
    check(home, "send cat --keys Left --key k2", 0, "", "Sent 3 bytes")
    repeated = '{"id":1,"bytes":3,"repeated":true}\n'
    check(home, "send cat --keys Left --key k2 --json", 0, repeated, "")


def check(home: Home, line: str, code: int, stdout: str, stderr: str) -> None:
    done = home.cw(*line.split())
    assert done.returncode == code, done
    assert done.stdout.startswith(stdout) and bool(done.stdout) == bool(stdout), done
    assert stderr in done.stderr and bool(done.stderr) == bool(stderr), done


def test_exec_hands_on_how_a_command_ended(home: Home) -> None:
    assert home.cw("exec", "--", "sh", "-c", "kill -9 $$").returncode == -9, "as from the shell"
    assert home.cw("exec", "--", "no-such").returncode == 127
    done = home.cw("exec", "-o", "json", "--", "sh", "-c", "echo a; echo b >&2; kill -15 $$")
    assert json.loads(done.stdout) == {"exit_code": 143, "stdout": "a\n", "stderr": "b\n"}


def test_a_killed_session_shows_its_signal(home: Home) -> None:
    home.cw("launch", "victim", "--", "sleep", "60")
    home.cw("kill", "victim")
    done = home.cw("wait", "victim", "--exit-status")
    assert (done.returncode, done.stdout) == (143, "=== victim (signal=15 SIGTERM) ===\n\n")
    shown = home.cw("status", "victim").stdout
    assert "signal 15 (SIGTERM)" in shown and "Exit Code" not in shown
    info = json.loads(home.cw("status", "victim", "--json").stdout)
    assert (info["exit_code"], info["signal"]) == (-1, 15), "on the wire as ever"


def test_a_closed_stdout_is_said(home: Home) -> None:
    before = home.cw("list").stdout.count("\n")
    for command in ("logs cat", "list", "kv list", "launch -q -- true"):
        done = subprocess.run(
            ["sh", "-c", f"exec \"$@\" {command} >&-", "sh", *CW],
            env=home.env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1 and "stdout is closed" in done.stderr, done
    assert home.cw("list").stdout.count("\n") == before, "nothing was started"


def test_a_script_without_a_first_line_starts_as_in_a_shell(home: Home, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "ran $0 $1"; exit 3\n')
    script.chmod(0o755)
    home.cw("launch", "script", "--", str(script), "arg")
    done = home.cw("wait", "script", "--exit-status")
    assert done.returncode == 3 and f"ran {script} arg" in done.stdout
    assert json.loads(home.cw("status", "script", "--json").stdout)["prompt"] == f"{script} arg"
    script.write_bytes(b"\0\1\2\3")
    refused = home.cw("launch", "--", str(script))
    assert refused.returncode == 1 and "neither a script nor a program" in refused.stderr


def test_a_reply_token_comes_from_the_command_line(home: Home) -> None:
    events = home.popen("subscribe", "--event", "message.request", "--json")
    assert events.stderr is not None and events.stdout is not None
    assert b"subscribed" in events.stderr.readline()
    asking = home.popen("request", "cat", "may I?")
    event = json.loads(events.stdout.readline())
    assert (event["session_id"], event["type"]) == (1, "message.request")
    told = event["data"]
    done = home.cw("reply", told["request_id"], "yes", "--reply-token", told["reply_token"])
    assert done.returncode == 0, done.stderr
    assert asking.communicate(timeout=20)[0] == b"[reply from cat] yes\n"


def test_a_subscriber_that_stops_writing_gets_its_goodbye(home: Home) -> None:
    import socket

    with home.connect() as connection:
        connection.send_control({"type": "Subscribe"})
        assert connection.receive_control()["type"] == "SubscribeAck"
        connection.sock.shutdown(socket.SHUT_WR)
        assert connection.receive_control() == {"type": "Unsubscribed"}


def test_status_of_later_upstream(home: Home) -> None:
    home.cw("launch", "teller", "--", "sh", "-c", "printf '\\033[1mone\\033[0m\\ntwo\\n'")
    home.cw("wait", "teller")
    session_id = json.loads(home.cw("status", "teller", "--json").stdout)["id"]
    info = home.request({"type": "GetStatus", "id": session_id, "full": True})["info"]
    assert info["last_event"].split() == ["one", "two"] and info["last_event_preview"] == "one two"
    assert "last_event" not in home.request({"type": "GetStatus", "id": session_id})["info"]
    assert "  Last Output:\none\ntwo\n" in home.cw("status", "teller", "--full").stdout


# The gateway and its hook

CALL = json.dumps({"tool_name": "Bash", "tool_input": {"command": "rm -rf /"}})


def hook(home: Home, call: str = CALL, *args: str) -> subprocess.CompletedProcess[str]:
    return home.cw("hook", *args, input=call)


def test_a_hook_that_nobody_answers(home: Home) -> None:
    done = hook(home)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nobody answered, so the tool is let through" in done.stderr
    done = hook(home, CALL, "--strict")
    assert done.returncode == 2 and json.loads(done.stdout)["decision"] == "block"
    for harmless in ('{"tool_name": "Read"}', '{"tool_name": "Grep", "tool_input": {}}'):
        assert hook(home, harmless, "--strict").returncode == 0
    for bad in ("", "[]", "{", '{"tool_name": 1}'):
        assert hook(home, bad).returncode == 0
        assert hook(home, bad, "--strict").returncode == 2


def test_the_gateway_answers(home: Home) -> None:
    policy = 'grep -q "rm -rf" && echo "denied: not that" || true'
    gateway = home.popen("gateway", "--exec", policy)
    assert gateway.stderr is not None
    assert b'listening as "gateway" (session ' in gateway.stderr.readline()
    done = hook(home)
    assert done.returncode == 2, done
    assert json.loads(done.stdout) == {
        "decision": "block",
        "reason": "Gateway denied: not that",
    }
    assert hook(home, '{"tool_name": "Bash", "tool_input": {"command": "ls"}}').returncode == 0
    gateway.terminate()
    assert gateway.wait(20) == 0
    assert b"[cw gateway] stopped" in gateway.stderr.read()
    wait_until(lambda: "gateway" not in home.cw("list", "--status", "running").stdout, 20)


def test_the_hook_is_installed_once(home: Home) -> None:
    path = Path(home.path, ".claude/settings.json")
    path.parent.mkdir()
    path.write_text('{"model": "x", "hooks": {"PreToolUse": [{"matcher": "Edit", "hooks": []}]}}')
    assert "Installed cw hook in" in home.cw("hook", "--install").stderr
    assert "already installed" in home.cw("hook", "--install").stderr
    assert "Installed" in home.cw("hook", "--install", "--strict").stderr
    found = json.loads(path.read_text())
    entry = {"hooks": [{"type": "command", "command": "cw hook --strict"}]}
    assert found == {
        "model": "x",
        "hooks": {"PreToolUse": [{"matcher": "Edit", "hooks": []}, entry]},
    }
    path.write_text("{")
    refused = home.cw("hook", "--install")
    assert refused.returncode == 1 and "line 1 is not JSON" in refused.stderr
    assert path.read_text() == "{", "what is not understood stays"
    os.unlink(path)
