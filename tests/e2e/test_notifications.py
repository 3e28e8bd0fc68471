"""People are told: by a command, a webhook, attached terminals; also over a killed worker."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import Home, wait_until
from tests.terminal import Terminal

# On a machine with other work; it takes a tenth of a second.
PROMPT_SECONDS = 10.0


class Hook:
    """A webhook on loopback; `fails` answers are errors first."""

    def __init__(self) -> None:
        self.letters: list[tuple[float, dict[str, Any]]] = []
        self.fails = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Idempotency-Key"] == value["event_id"]
                outer.fails -= 1
                if outer.fails < 0:
                    outer.letters.append((time.time(), value))
                self.send_response(204 if outer.fails < 0 else 503)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, **wanted: Any) -> list[dict[str, Any]]:
        return [v for _, v in self.letters if all(v.get(k) == w for k, w in wanted.items())]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def configure(home: Home, hook: Hook, rate: int = 50) -> Path:
    log = Path(home.path, "command.log")
    os.makedirs(home.data_dir, 0o700)
    Path(home.data_dir, "config.toml").write_text(
        f'[notify]\nper_minute = {rate}\nwebhook = "{hook.url}"\nterminals = true\n'
        f'command = ["sh", "-c", "cat >> {log}"]\n'
    )
    home.start_node("gevent")
    return log


def test_each_transition_is_told_also_over_a_killed_worker(home: Home, hook: Hook) -> None:
    log = configure(home, hook)
    client = home.client()
    agent = client.launch(["sleep", "600"], name="agent", tags=["t"])
    wait_until(lambda: Path(home.data_dir, "notify.json").exists(), 30, "the notifier runs")
    terminal = Terminal()
    try:
        attach = home.popen("attach", str(agent), start_new_session=True, **terminal.streams)
        terminal.process = attach
        terminal.expect(b"attached to session")
        wait_until(lambda: home.session(agent)["attached"], 20, "it is attached")
        client.report_task(agent, "rm -rf / ?\x1b]0;x\x07", "blocked", kind="permission")
        began = time.time()
        wait_until(lambda: hook.told(event="blocked"), 30, "the webhook is told")
        took = hook.letters[0][0] - began
        assert took < PROMPT_SECONDS, f"{took:.2f} s"
        terminal.expect(b"\x1b]9;cw: agent needs you: rm -rf / ?")
    finally:
        terminal.close()
    (letter,) = hook.told(event="blocked")
    assert (letter["name"], letter["session_id"], letter["tags"]) == ("agent", agent, ["t"])
    assert "\x1b" not in json.dumps(letter) and letter["kind"] == "permission"
    wait_until(lambda: log.exists() and "\n" in log.read_text(), 20, "the command is told")
    assert json.loads(log.read_text().splitlines()[0]) == letter
    # It fails while there is no worker.
    hook.fails = 1
    failing = client.launch(["sh", "-c", "sleep 0.3; exit 5"], name="failing")
    home.kill_worker()
    wait_until(lambda: hook.told(event="failed", name="failing"), 30, "that is told, too")
    client.launch(["true"], name="fine")
    wait_until(lambda: hook.told(event="done", name="fine"), 30, "and so is a success")
    client.kill(agent)
    # A worker that is killed right after an event, and its notifier with it.
    last = client.launch(["false"], name="last")
    client.wait(last)
    home.kill_worker()
    wait_until(lambda: hook.told(event="failed", name="last"), 30, "nothing is lost")
    assert not hook.told(session_id=agent, event="failed")
    ids = [v["event_id"] for v in hook.told(session_id=failing)]
    assert len(set(ids)) == 1
    assert "secret-path" not in home.node_output()


@pytest.mark.long
def test_what_is_too_much_is_summed_up_over_the_limit(home: Home, hook: Hook) -> None:
    configure(home, hook, rate=2)
    # As if two had gone out a while ago: the window ends soon, but not before four have failed.
    wait_until(lambda: Path(home.data_dir, "notify.json").exists(), 30, "the notifier runs")
    memory = Path(home.data_dir, "notify.json")
    value = json.loads(memory.read_text())
    value["sent"] = [time.time() - 45, time.time() - 45]
    memory.write_text(json.dumps(value))
    home.kill_worker()
    client = home.client()
    for number in range(4):
        client.wait(client.launch(["false"], name=f"s{number}"))
    wait_until(lambda: hook.told(event="summary"), 60, "a summary")
    (summary,) = hook.told(event="summary")
    assert summary["counts"]["failed"] == summary["count"] == 4
    assert not hook.told(event="failed")


def test_a_test_says_what_became_of_each(home: Home, hook: Hook) -> None:
    nobody = home.cw("notify", "test")
    assert nobody.returncode == 1 and "[notify]" in nobody.stderr
    configure(home, hook)
    done = home.cw("notify", "test")
    assert done.returncode == 0
    assert done.stdout == "command: sh took it\nwebhook: 127.0.0.1 answered 204\n"
    assert len(hook.told(event="test")) == 1
    hook.fails = 1
    failed = home.cw("notify", "test")
    assert failed.returncode == 1
    assert "webhook: the webhook at 127.0.0.1 answers 503" in failed.stderr


# A stub records what systemctl is told; it fails with what is in FAIL.
SYSTEMCTL = (
    '#!/bin/sh\necho "$*" >> "$HOME/told"\ncase "$*" in *$FAIL*) echo no bus >&2; exit 1;; esac\n'
)


def test_the_unit_is_installed_whole_or_not_at_all(home: Home) -> None:
    tools = Path(home.path, "bin")
    tools.mkdir()
    stub = tools / "systemctl"
    stub.write_text(SYSTEMCTL)
    stub.chmod(0o755)
    unit = Path(home.path, ".config/systemd/user/codewire.service")
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "XDG_CONFIG_HOME": "", "FAIL": "daemon"}
    failed = home.cw("node", "install", env=env)
    assert failed.returncode == 1 and not unit.exists()
    assert "no bus" in failed.stderr and "@reboot" in failed.stderr
    env["FAIL"] = "nothing"
    Path(home.path, "told").unlink()
    assert home.cw("node", "install", env=env).returncode == 0
    text = unit.read_text()
    assert f'ExecStart="{sys.executable}"' in text and text.rstrip().endswith("default.target")
    assert "KillMode=mixed" in text
    assert home.cw("node", "install", "--uninstall", env=env).returncode == 0
    assert not unit.exists()
    assert Path(home.path, "told").read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now codewire.service",
        "--user disable codewire.service",
        "--user daemon-reload",
    ]
    again = home.cw("node", "install", "--uninstall", env=env)
    assert again.returncode == 0 and "not installed" in again.stderr
