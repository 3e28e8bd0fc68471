"""`cw ssh`, `ssh-config`, `node list --ssh`, `node qr`, against a relay that runs."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from codewire.credentials.vault import Vault
from codewire.relay.ssh.hostkey import host_key
from codewire.relay.store.database import open_database
from tests.io.network.commandline import CommandLine, Done
from tests.io.network.scriptedrelay import ScriptedRelay, answer
from tests.io.relay.site import Site
from tests.io.relay.test_ssh_api import ED25519_PRINT as PRINT
from tests.io.relay.test_ssh_api import OLDER
from tests.support import REPOSITORY
from tests.unit.credentials.test_sshkeys import ED25519, P256

LINE = f"[ssh.example]:2200 {ED25519}"


@pytest.fixture
def site(tmp_path: Path, site: Site) -> Site:
    """A relay that serves SSH, as far as its API can tell."""
    serve_ssh(site, ED25519)
    return site


def serve_ssh(site: Site, key: str, public: str = "ssh.example:2200") -> None:
    from dataclasses import replace

    site.relay.service.ssh_host_key, site.relay.service.ssh_port = key, 2200
    settings = replace(site.relay.service.settings, ssh_public=public)
    site.relay.service.settings = settings


def enrol(user: CommandLine, name: str) -> str:
    """Return the token of a new node of the user's."""
    made = user.cw("network", "enroll", "create", "--node-name", name, "--json").json
    user.cw("network", "enroll", "redeem", made["enrollment_token"])
    lines = user.config.read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("relay_node_token"))


def known_hosts(user: CommandLine) -> Path:
    return user.home / ".codewire" / "ssh_known_hosts"


# The way in


def test_the_command_line_of_ssh(ann: CommandLine, site: Site, bob: CommandLine) -> None:
    enrol(ann, "dev-1")
    file = known_hosts(ann)
    trusted = f"-o UserKnownHostsFile={file} -o StrictHostKeyChecking=yes"
    start = f"ssh -p 2200 {trusted}"
    assert ann.cw("ssh", "dev-1", "--print").out == f"{start} proj/dev-1@ssh.example\n"
    assert file.read_text() == f"{LINE}\n"
    assert file.stat().st_mode & 0o777 == 0o600

    def printed(*words: str) -> str:
        return ann.cw("ssh", "--print", *words).out.rstrip("\n")

    user = "proj/dev-1@ssh.example"
    assert printed("dev-1", "--", "ls", "a b") == f"{start} {user} -- ls 'a b'"
    assert printed("dev-1", "ls", "--json") == f"{start} {user} -- ls --json"
    assert printed("dev-1", "-t", "--", "top") == f"{start} -t {user} -- top"
    assert printed("-J", "bastion", "proj/dev-1") == f"{start} -J bastion {user}"
    assert printed("--option", "LogLevel=ERROR", "dev-1") == f"{start} -o LogLevel=ERROR {user}"
    assert printed("dev-1", "-i", "~/k") == f"{start} -o IdentitiesOnly=yes -i '~/k' {user}"
    found = ann.cw("ssh", "dev-1", "--json", "--", "true").json
    assert shlex.join(found.pop("command")) == f"{start} {user} -- true"
    assert found == {
        "host": "ssh.example",
        "port": 2200,
        "user": "proj/dev-1",
        "known_hosts_file": str(file),
        "known_hosts": LINE,
        "fingerprint": PRINT,
    }
    serve_ssh(site, ED25519, "ssh.example:22")
    assert printed("dev-1") == f"ssh {trusted} {user}"
    assert file.read_text() == f"{LINE}\nssh.example {ED25519}\n"


def test_what_is_wrong_is_told(ann: CommandLine, site: Site, user: CommandLine) -> None:
    enrol(ann, "dev-1")
    enrol(ann, "dev-2")

    def error(*words: str, **env: str) -> str:
        return ann.run("ssh", *words, env=env).error

    assert error("dev-9") == 'network "proj" has no node "dev-9": it has dev-1, dev-2'
    assert error("dev-1:3").startswith("dev-1:3 names a session: cw attach dev-1:3")
    assert error("/dev-1").startswith("'/dev-1' names no node")
    assert "membership required" in error("theirs/dev-1")
    assert error("dev-1", CODEWIRE_RELAY_AUTH_TOKEN="wrong").endswith(
        "log in (cw login), or pass another --token"
    )
    site.relay.service.ssh_host_key = ""
    host, port = site.address
    assert error("dev-1") == f"relay http://{host}:{port} serves no SSH"
    ann.login.unlink()
    assert error("dev-1").startswith("relay user authentication not configured (pass --token")
    ann.config.unlink()
    assert error("dev-1").startswith("relay not configured (set CODEWIRE_RELAY_URL")


def test_a_relay_without_this_api_serves_no_ssh(user: CommandLine) -> None:
    relay = ScriptedRelay()
    relay.script = lambda asked, sock: sock.sendall(
        answer(200, []) if "/nodes" in asked.target else answer(404, "404 page not found\n")
    )
    env = {"CODEWIRE_RELAY_URL": relay.url, "CODEWIRE_RELAY_AUTH_TOKEN": "t"}
    env["CODEWIRE_RELAY_NETWORK"] = "proj"
    try:
        error = user.run("ssh", "dev-1", env=env).error
        assert error == f"relay {relay.url} serves no SSH"
    finally:
        relay.close()


@pytest.mark.parametrize(
    "said",
    [
        {"host": "-oProxyCommand=x", "port": 22, "host_key": ED25519},
        {"host": "a b", "port": 22, "host_key": ED25519},
        {"host": "h\n@cert-authority *", "port": 22, "host_key": ED25519},
        {"host": "", "port": 22, "host_key": ED25519},
        {"host": "h", "port": 0, "host_key": ED25519},
        {"host": "h", "port": 70000, "host_key": ED25519},
        {"host": "h", "port": 22, "host_key": f"{ED25519}\n@cert-authority * {P256}"},
        {"host": "h", "port": 22, "host_key": "ssh-ed25519 AAAA"},
    ],
)
def test_a_relay_that_lies_writes_no_known_hosts(user: CommandLine, said: dict) -> None:
    relay = ScriptedRelay()
    relay.script = lambda asked, sock: sock.sendall(
        answer(200, [{"name": "dev-1"}] if "/nodes" in asked.target else said)
    )
    env = {"CODEWIRE_RELAY_URL": relay.url, "CODEWIRE_RELAY_AUTH_TOKEN": "t"}
    env["CODEWIRE_RELAY_NETWORK"] = "proj"
    try:
        done = user.run("ssh", "dev-1", "--print", env=env)
        assert done.status == 1 and not done.out
        assert not known_hosts(user).exists()
    finally:
        relay.close()


def test_a_host_key_that_changes_is_believed_over_tls_only(ann: CommandLine, site: Site) -> None:
    from codewire.errors import RelayError
    from codewire.network.ssh import Door, remember

    enrol(ann, "dev-1")
    file = known_hosts(ann)
    ann.cw("ssh", "dev-1", "--print")
    file.write_text(f"# mine\nother {P256}\n{LINE}\n")
    serve_ssh(site, P256)
    error = ann.run("ssh", "dev-1").error
    assert "the SSH host key of [ssh.example]:2200 is not the one it was" in error
    assert str(file) in error
    assert LINE in file.read_text()
    door = Door("ssh.example", 2200, P256, "SHA256:x")
    with pytest.raises(RelayError):
        remember(str(file), door, is_vouched=False)
    assert remember(str(file), door, is_vouched=True)
    assert file.read_text() == f"# mine\nother {P256}\n[ssh.example]:2200 {P256}\n"
    assert not remember(str(file), door, is_vouched=False)


def run_with(ann: CommandLine, directory: Path, *words: str) -> Done:
    """Run cw as a process whose PATH is one directory."""
    env = {name: value for name, value in os.environ.items() if "CODEWIRE" not in name}
    env |= {"HOME": str(ann.home), "PATH": str(directory)}
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "cw.py"), *words],
        env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_it_becomes_ssh(ann: CommandLine, site: Site, tmp_path: Path) -> None:
    enrol(ann, "dev-1")
    programs = tmp_path / "bin"
    programs.mkdir()
    assert run_with(ann, programs, "ssh", "dev-1").error == (
        "there is no ssh on this machine: install OpenSSH's client (openssh-client)"
    )
    fake = programs / "ssh"
    # As ssh, it says what it was told and ends with what the command ended with.
    fake.write_text(
        f"#!{sys.executable}\n"
        "import json, signal, sys\n"
        "print(json.dumps([signal.getsignal(signal.SIGPIPE).name, *sys.argv[1:]]))\n"
        "sys.exit(7)\n"
    )
    assert run_with(ann, programs, "ssh", "dev-1").error == "ssh cannot be started: " + (
        "permission denied"
    )
    fake.chmod(0o755)
    done = run_with(ann, programs, "ssh", "dev-1", "--", "exit 7")
    assert done.status == 7
    assert json.loads(done.out)[-3:] == ["proj/dev-1@ssh.example", "--", "exit 7"]
    assert "the relay knows no SSH key of yours (cw ssh-key add)" in done.err
    (tmp_path / "k.pub").write_text(ED25519)
    ann.cw("ssh-key", "add", str(tmp_path / "k.pub"))
    assert run_with(ann, programs, "ssh", "dev-1").err == ""


def test_another_persons_node_is_told(
    ann: CommandLine, bob: CommandLine, url: str, tmp_path: Path
) -> None:
    enrol(ann, "dev-1")
    invite = ann.cw("network", "invite", "--json").json["token"]
    bob.cw("network", "join", invite, "--relay-url", url)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text("#!/bin/sh\n")
    (programs / "ssh").chmod(0o755)
    done = run_with(bob, programs, "ssh", "dev-1")
    assert done.err == ("[cw] dev-1 is oidc:ann's: only its own token, as password, lets you in\n")


def test_the_block_for_the_configuration_of_ssh(
    ann: CommandLine, site: Site, bob: CommandLine, url: str, tmp_path: Path
) -> None:
    assert ann.cw("ssh-config").out == ""
    enrol(ann, "dev-1")
    enrol(ann, "dev-2")
    invite = ann.cw("network", "invite", "--json").json["token"]
    bob.cw("network", "join", invite, "--relay-url", url)
    enrol(bob, "theirs")
    block = f"""\
Host dev-1.cw
    HostName ssh.example
    Port 2200
    User proj/dev-1
    UserKnownHostsFile {known_hosts(ann)}
    StrictHostKeyChecking yes
"""
    text = ann.cw("ssh-config").out
    assert text == block + "\n" + block.replace("dev-1", "dev-2")
    assert known_hosts(ann).read_text() == f"{LINE}\n"
    assert ann.cw("ssh-config", "dev-1").out == block
    one = ann.cw("ssh-config", "dev-1", "-J", "bastion", "-i", "/k/my key").out
    assert one == block + '    IdentityFile "/k/my key"\n    IdentitiesOnly yes\n' + (
        "    ProxyJump bastion\n"
    )
    hosts = ann.cw("ssh-config", "--all", "--json").json
    assert [host["Host"] for host in hosts] == ["dev-1.proj.cw", "dev-2.proj.cw"]
    assert ann.run("ssh-config", "dev-9").error == (
        'network "proj" has no node "dev-9": it has dev-1, dev-2, theirs'
    )


def test_ssh_reads_the_block_as_it_was_meant(ann: CommandLine, tmp_path: Path) -> None:
    """With a home whose path has blanks and percent signs."""
    home = tmp_path / "a home %h"
    ann.home.rename(home)
    ann.home, ann.login = home, home / ".config" / "cw" / "config.json"
    ann.config = home / ".codewire" / "config.toml"
    enrol(ann, "dev-1")
    file = tmp_path / "config"
    file.write_text(ann.cw("ssh-config").out)
    done = subprocess.run(
        ["ssh", "-G", "-F", str(file), "dev-1.cw"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert (said["hostname"], said["port"], said["user"]) == ("ssh.example", "2200", "proj/dev-1")
    assert said["stricthostkeychecking"] == "true"
    assert said["userknownhostsfile"] == str(known_hosts(ann))
    line = shlex.split(ann.cw("ssh", "dev-1", "--print").out)
    done = subprocess.run(
        [line[0], "-G", "-F", "none", *line[1:]], capture_output=True, text=True, timeout=60
    )
    assert f"userknownhostsfile {said['userknownhostsfile']}\n" in done.stdout


# Of nodes


def test_node_list_says_how_ssh_gets_there(ann: CommandLine, site: Site) -> None:
    enrol(ann, "dev-1")
    enrol(ann, "d2")
    assert ann.cw("node", "list", "--ssh").out == (
        "NAME   COMMAND\n"
        "d2     ssh -p 2200 proj/d2@ssh.example\n"
        "dev-1  ssh -p 2200 proj/dev-1@ssh.example\n"
        f"\nFor ~/.ssh/known_hosts:\n{LINE}\n"
    )
    found = ann.cw("node", "list", "--ssh", "--json").json
    assert found[1]["ssh"] == "ssh -p 2200 proj/dev-1@ssh.example"
    assert found[1]["known_hosts"] == LINE
    assert "ssh" not in ann.cw("node", "list", "--json").json[0]
    site.relay.service.ssh_host_key = ""
    assert ann.run("node", "list", "--ssh").error.endswith("serves no SSH")


def test_names_of_nodes_are_completed(ann: CommandLine) -> None:
    enrol(ann, "dev-1")
    ann.run("list", "dev-9")
    assert ann.cw("__complete", "ssh", "").out == "dev-1\n:4\n"
    assert ann.cw("__complete", "ssh-config", "").out == "dev-1\n:4\n"
    assert ann.cw("__complete", "ssh", "dev-1", "").out == ":4\n"
    assert ann.cw("__complete", "ssh", "dev-1", "--", "").out == ":0\n"
    assert ann.cw("__complete", "ssh-key", "add", "").out == ":0\n"


def test_the_code_for_a_phone(ann: CommandLine, site: Site) -> None:
    from codewire.term.qr import half_blocks

    assert ann.run("node", "qr").error == (
        "relay not configured (run 'cw login' and select a network)"
    )
    token = enrol(ann, "dev-1")
    uri = f"ssh://proj/dev-1:{token}@ssh.example:2200"
    done = ann.cw("node", "qr")
    assert done.out == ""
    assert done.err == f"SSH URI: {uri}\nHost key: {LINE} ({PRINT})\n\n{half_blocks(uri)}\n"
    assert ann.cw("node", "qr", "--port", "22", "--json").json == {
        "uri": f"ssh://proj/dev-1:{token}@ssh.example:22",
        "host": "ssh.example",
        "port": 22,
        "user": "proj/dev-1",
        "password": token,
        "known_hosts": f"ssh.example {ED25519}",
    }
    serve_ssh(site, ED25519, "[2001:db8::1]:22")
    assert f"ssh://proj/dev-1:{token}@[2001:db8::1]:22\n" in ann.cw("node", "qr").err
    assert "from 1 to 65535" in ann.run("node", "qr", "--port", "0").error


def test_a_relay_that_does_not_say_where_ssh_is_gets_a_guess(user: CommandLine) -> None:
    def said(config: str) -> str:
        user.write_config(config)
        return user.cw("node", "qr", env={"CODEWIRE_NODE_NAME": "dev-1"}).err

    config = 'relay_url = "http://127.0.0.1:1"\nrelay_node_token = "tok"\n'
    text = said(config)
    assert text.startswith("[cw] host and port are a guess: ")
    assert "\nSSH URI: ssh://dev-1:tok@127.0.0.1:2222\n" in text
    text = said(config + 'relay_node_network = "proj"\n')
    assert "\nSSH URI: ssh://proj/dev-1:tok@127.0.0.1:2222\n" in text
    assert "█" in text
    text = said(config + f'relay_node_network = "{"n" * 200}"\n')
    assert "[cw] too long for a QR code" in text


def test_a_token_that_is_worth_nothing_gets_no_code(ann: CommandLine, site: Site) -> None:
    enrol(ann, "dev-1")
    ann.cw("network", "revoke", "dev-1")
    done = ann.run("node", "qr")
    assert done.status == 1 and "does not accept this token" in done.err


# The relay's operator


def test_an_older_relays_host_key_comes_along(user: CommandLine, tmp_path: Path) -> None:
    older = tmp_path / "older"
    older.mkdir()
    with sqlite3.connect(older / "relay.db") as file:
        file.execute("create table networks (network_id text, created_at text)")
    file.close()
    (older / "ssh_host_ed25519").write_text(OLDER)
    new = tmp_path / "new"
    done = user.cw("relay", "import", str(older / "relay.db"), "--data-dir", str(new))
    assert "ssh_host_key             1\n" in done.out
    store = open_database("", str(new), Vault.open(str(new / "secret.key")))
    assert host_key(store, str(new)) == OLDER
    store.close()
