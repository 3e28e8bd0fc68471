"""Sessions come back: after a reboot, a stop, a failure; each once, as what it was."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import CW, Home, is_alive, running_home, wait_until

# Stands for an agent: says which conversation it has, as its hook would, and what it runs as.
AGENT = """\
#!/bin/sh
echo "{\\"session_id\\": \\"$ID\\"}" | $CW report idle --hook
printf '%s\\n' "ran: $*"
exec sleep 600
"""


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home("gevent") as home:
        home.expects_leftovers = True
        yield home


def reboot(home: Home) -> None:
    """Both processes at once, as a power cut would."""
    pids = [home.keeper_pid, home.worker_pid]
    running = [s["pid"] for s in listed(home).values() if s["status"] == "running"]
    # Stopped first: whoever is killed second would have time to start the other anew.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    # The keeper is our child: a zombie until it is waited for.
    assert home.node is not None
    home.node.wait(20)
    for pid in (pids[1], *running):
        wait_until(lambda pid=pid: not is_alive(pid), 20, "all of it is gone")
    home.start_node()


def listed(home: Home) -> dict[int, dict[str, Any]]:
    answer = home.request({"type": "ListSessions"})
    return {session["id"]: session for session in answer["sessions"]}


def restore(home: Home, *words: str) -> list[dict[str, Any]]:
    done = home.cw("restore", "--json", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout or "[]")
    assert isinstance(found, list)
    return found


def holds(path: Path) -> bool:
    return b"s3cret-value" in path.read_bytes()


def known(home: Home, session_id: int | None = None) -> str:
    """Return what the journal says, of one session's record or of all."""
    path, lines = Path(home.data_dir, "sessions.json"), []
    if path.exists():
        lines = [json.dumps({"record": one}) for one in json.loads(path.read_text())]
    lines += Path(home.data_dir, "sessions.journal.jsonl").read_text().splitlines()
    records = {r["id"]: r for line in lines if (r := json.loads(line).get("record")) is not None}
    return json.dumps([r for n, r in records.items() if session_id in (None, n)])


def test_a_reboot_brings_back_ten_sessions_of_five_kinds_once(home: Home) -> None:
    tools = Path(home.path, "tools")
    tools.mkdir()
    cw = " ".join(CW)
    for name in ("claude", "codex"):
        agent = tools / name
        agent.write_text(AGENT)
        agent.chmod(0o755)
    place = Path(home.path, "project")
    place.mkdir()
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "CW": cw, "SECRET": "s3cret-value"}
    kinds = {
        "claude": (["claude", "--model", "opus", "fix it"], "conv-1"),
        "codex": (["codex", "fix it"], "conv-2"),
        "shell": (["sh"], ""),
        "sleeper": (["sleep", "600"], ""),
        "script": (["sh", "-c", 'echo "$SECRET in $PWD"; exec sleep 600'], ""),
    }
    with_home = home.client()
    for number in range(2):
        for name, (command, conversation) in kinds.items():
            with_home.launch(
                command,
                name=f"{name}-{number}",
                tags=["many"],
                working_dir=str(place),
                environ={**home.env, **env, "ID": f"{conversation}-{number}"},
            )
    killed = with_home.launch(["sleep", "600"], working_dir=str(place))
    with_home.kill(killed)
    done = with_home.launch(["true"], working_dir=str(place))
    with_home.wait(done)
    # What a hook said is on the disk before the lights go out.
    wait_until(lambda: known(home).count('"by": "hook"') >= 4, 20, "four conversations are known")
    before = listed(home)
    saved = Path(home.data_dir, "sessions", "5", "launch.json")
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600 and "s3cret-value" in saved.read_text()
    reboot(home)
    after = listed(home)
    assert {n for n, s in after.items() if s.get("restorable")} == set(range(1, 11))
    assert {s["end_reason"] for n, s in after.items() if n < 11} == {"lost"}
    hint = subprocess.run(
        ["script", "-qec", f"{cw} list", "/dev/null"],
        env={**home.env, "TERM": "xterm"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
    ).stdout.decode()
    assert "10 sessions can be restored: cw restore" in hint
    both = [home.popen("restore", "--json") for _ in range(2)]
    answers = [json.loads(p.communicate(timeout=60)[0] or b"[]") for p in both]
    news = {one["relaunched_from"]: one["id"] for one in answers[0] + answers[1]}
    assert sorted(news) == list(range(1, 11))
    running = {n: s for n, s in listed(home).items() if s["status"] == "running"}
    assert sorted(running) == sorted(news.values()), "each once"
    for old, new in news.items():
        assert running[new]["name"] == before[old]["name"]
        assert running[new]["tags"] == ["many"]
        assert running[new]["working_dir"] == str(place)
        assert running[new]["relaunched_from"] == old
    by_name = {s["name"]: s for s in running.values()}
    assert by_name["claude-0"]["prompt"] == "claude --model opus --resume conv-1-0"
    assert by_name["claude-1"]["prompt"] == "claude --model opus --resume conv-1-1"
    assert by_name["codex-1"]["prompt"] == "codex resume conv-2-1"
    script = by_name["script-1"]["id"]
    wait_until(
        lambda: f"s3cret-value in {place}" in home.log(script).decode(), 20, "it has its secret"
    )
    assert restore(home) == []
    # In launch.json and nowhere else, but for what the script has printed.
    holders = {p.name for p in Path(home.data_dir).rglob("*") if p.is_file() and holds(p)}
    assert holders == {"launch.json", "output.log"}
    assert "s3cret" not in home.node_output()


def test_what_is_stopped_stays_away_and_what_a_signal_ends_does_not(home: Home) -> None:
    first = home.launch("sleep", "600", name="a")
    home.cw("node", "restart")
    assert home.session(first)["status"] == "running"
    home.stop_node()
    home.start_node()
    assert home.session(first)["end_reason"] == "lost"
    assert home.cw("restore", "--dry-run").stdout == "1 (a): sleep 600\n"
    # Ended for good by a person: restored, then stopped.
    (again,) = restore(home, "a")
    assert home.cw("stop").returncode == 0
    home.start_node()
    assert home.session(again["id"])["status"] == "killed"
    assert restore(home) == []
    refused = home.cw("restore", "a")
    assert refused.returncode == 1 and "'cw relaunch a'" in refused.stderr
    # A person may want it all the same.
    done = home.cw("relaunch", "a", "--quiet")
    assert home.session(int(done.stdout))["relaunched_from"] == again["id"]
    assert "is still running" in home.cw("relaunch", "a").stderr
    # The last run of that name is meant, an id is that run.
    home.cw("kill", "a")
    assert json.loads(home.cw("wait", "a", "--json").stdout)[0]["id"] == int(done.stdout)


def test_what_a_program_printed_is_never_run_unasked(home: Home) -> None:
    marker = os.path.join(home.path, "ran")
    evil = f"touch {marker}"
    printed = f"\\033]88;Command={evil}\\007"
    home.launch("sh", "-c", f"printf '{printed}'; exec sleep 600")
    wait_until(lambda: '"resume"' in known(home), 20, "it is known")
    config = Path(home.data_dir, "config.toml")
    config.write_text('[node]\nrestore = "auto"\n')
    reboot(home)
    wait_until(lambda: len(listed(home)) == 2, 20, "it came back by itself")
    assert listed(home)[2]["prompt"].startswith("sh -c")
    config.write_text("")
    wait_until(lambda: known(home, 2).count('"resume"'), 20, "it is known of the second, too")
    reboot(home)
    done = home.cw("restore", "2")
    assert evil in done.stderr and "not run" in done.stderr
    assert listed(home)[3]["prompt"].startswith("sh -c")
    assert not os.path.exists(marker)


def test_a_policy_restarts_backs_off_and_stops(home: Home) -> None:
    client = home.client()
    log = os.path.join(home.path, "runs")
    command = ["sh", "-c", f"echo run >> {log}; exit 3"]
    first = client.launch(command, name="r", restart="on-failure", restart_max=1)
    gone = client.launch(["false"], name="k", restart="always", save_env=False)
    client.wait(gone)
    assert client.status(gone).info.restart["next_at"]
    assert "not restarted any more" in home.cw("kill", "k").stderr
    wait_until(lambda: len(listed(home)) == 3, 20, "one more run")
    (second,) = [n for n, s in listed(home).items() if s.get("relaunched_from") == first]
    info = home.wait_finished(second)
    wait_until(lambda: "ended" in home.session(second)["restart"], 20, "it has given up")
    assert info["name"] == "r" and info["exit_code"] == 3
    assert home.session(second)["restart"]["ended"] == "gave up after 1 restart"
    assert "on-failure (1 of 1 restarts), over: gave up" in home.cw("status", "r").stdout
    assert Path(log).read_text() == "run\n" * 2
    # A restart that is due survives the worker.
    last = client.launch(["sh", "-c", "exit 4"], restart="on-failure", restart_max=1)
    client.wait(last)
    home.kill_worker()
    wait_until(
        lambda: any(s.get("relaunched_from") == last for s in listed(home).values()),
        20,
        "the next worker restarts it",
    )
    assert sum(s.get("relaunched_from") == last for s in listed(home).values()) == 1
    assert home.session(gone)["restart"]["ended"] == "killed"
