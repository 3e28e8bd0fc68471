"""Starting a node: once, detached, and with its own words when it fails.

The node is a small stand-in script; who starts it, when and how is the real thing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client.reach import scope
from tests.io.stand import Stand


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def test_a_missing_node_is_started_and_said_so(stand: Stand) -> None:
    code, out, err = stand.run()
    assert (code, out) == (0, "[]\n")
    assert err == f"[cw] node started (pid {stand.nodes()[0]})\n"
    assert stand.run() == (0, "[]\n", "")
    assert len(stand.nodes()) == 1


def test_the_node_is_detached_from_its_client(stand: Stand) -> None:
    import json

    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    client = stand.client(pass_fds=[writer])
    os.close(writer)
    client.communicate(timeout=60)
    facts = json.loads(stand.read("facts"))
    assert facts["argv"] == ["node"]
    assert facts["cwd"] == "/"
    assert facts["stdin"] == "/dev/null"
    assert facts["autostart"] == "1"
    assert facts["sid"] not in (os.getsid(0), client.pid)
    # 0, 1, 2, and the one that was reading /proc/self/fd.
    assert len(facts["fds"]) == 4 and facts["fds"][:3] == [0, 1, 2]
    # The pipe of the client's parent ends with the client, not with the node.
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert os.stat(os.path.join(stand.root, "node.log")).st_mode & 0o777 == 0o600
    assert os.stat(stand.root).st_mode & 0o777 == 0o700


def test_a_node_is_moved_out_of_the_scope_of_a_login(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env` stands in for systemd-run: it becomes the command, too."""
    monkeypatch.setenv("TEST_SCOPE", "env CODEWIRE_AUTOSTART=moved")
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")
    assert '"autostart": "moved"' in stand.read("facts")


def test_a_node_starts_although_no_scope_can_be_had(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SCOPE", "/bin/false")
    assert stand.run() == (0, "[]\n", f"[cw] node started (pid {stand.nodes()[0]})\n")
    assert '"autostart": "1"' in stand.read("facts")


@pytest.mark.parametrize(
    ("cgroup", "missing", "is_moved"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope", "", True),
        ("2:cpu:/\n1:name=systemd:/user.slice/user-0.slice/session-c1.scope", "", True),
        ("0::/user.slice/user-1000.slice/session-3.scope", "linger", False),
        ("0::/user.slice/user-1000.slice/session-3.scope", "private", False),
        ("0::/user.slice/user-1000.slice/session-3.scope", "systemd-run", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", "", False),
        ("0::/system.slice/coder-agent.service", "", False),
    ],
)
def test_which_nodes_need_a_scope_of_their_own(
    tmp_path: Path, cgroup: str, missing: str, is_moved: bool
) -> None:
    """Without lingering such a scope would end soon after the logout; the login's may stay."""
    user = pwd.getpwuid(os.getuid()).pw_name
    for name in (f"var/lib/systemd/linger/{user}", "run/u/systemd/private", "usr/bin/systemd-run"):
        if not missing or missing not in name:
            Path(tmp_path, name).parent.mkdir(parents=True)
            Path(tmp_path, name).touch()
    Path(tmp_path, "proc/self").mkdir(parents=True)
    Path(tmp_path, "proc/self/cgroup").write_text(f"{cgroup}\n")
    prefix = scope.own_scope({"XDG_RUNTIME_DIR": "/run/u"}, str(tmp_path))
    assert (prefix[:3] == ["/usr/bin/systemd-run", "--user", "--scope"]) is is_moved
    assert bool(prefix) is is_moved and scope.own_scope({}, str(tmp_path)) == []


def test_twenty_clients_at_once_start_one_node(stand: Stand) -> None:
    clients = [stand.client() for _ in range(20)]
    results = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0] * 20
    assert [out for out, _ in results] == ["[]\n"] * 20
    assert len(stand.nodes()) == 1
    assert sorted(err for _, err in results)[-1].startswith("[cw] node started (pid ")
    assert sum(bool(err) for _, err in results) == 1


def test_a_node_that_ends_at_once_is_quoted(stand: Stand) -> None:
    stand.write_node("import sys; print('INFO x'); sys.exit('Error: parsing config.toml: no\\n')")
    code, _, err = stand.run()
    assert code == 1
    assert err == "Error: node failed to start: parsing config.toml: no\n"


def test_only_the_words_of_this_start_are_quoted(stand: Stand) -> None:
    os.mkdir(stand.root, 0o700)
    Path(stand.root, "node.log").write_text("Error: of last week\n")
    stand.write_node("")
    assert stand.run()[2] == (
        "Error: node failed to start: it could not say why; run 'cw node' to see\n"
    )


def test_a_node_that_never_listens_is_given_up(stand: Stand) -> None:
    stand.write_node(
        "import os, time\n"
        "open(os.environ['CODEWIRE_DIR'] + '/starts', 'a').write(f'{os.getpid()}\\n')\n"
        "print('thinking', flush=True)\n"
        "time.sleep(60)\n"
    )
    expected = "Error: node failed to start (socket not available after 5s): thinking\n"
    assert stand.run(patience="")[2] == expected


def test_a_data_directory_that_cannot_be_made_is_one_line(stand: Stand) -> None:
    Path(stand.root).write_text("a file where the directory should be")
    code, _, err = stand.run()
    assert code == 1
    assert err.startswith("Error: ") and err.count("\n") == 1 and stand.root in err
    os.unlink(stand.root)
