"""The network commands against a relay that runs: what they do there, keep here, and print."""

from __future__ import annotations

from pathlib import Path

import pytest
import toml

from tests.io.network.commandline import CommandLine
from tests.io.network.people import session
from tests.io.network.scriptedrelay import ScriptedRelay, answer
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site

# Networks


def test_a_network_is_made_selected_and_left(url: str, ann: CommandLine, bob: CommandLine) -> None:
    assert ann.cw("network", "current").out == "proj\n"
    # The login says which relay; nothing else was kept.
    assert toml.loads(ann.config.read_text()) == {"relay_selected_network": "proj"}
    made = ann.cw("network", "create", "other", "--no-use")
    assert made.err == 'Network "other" created\n' and made.out == ""
    lines = ann.cw("network", "list").out.splitlines()
    assert lines[0].split() == ["CURRENT", "NAME", "NODES", "INVITES", "CREATED"]
    assert [line.split()[:2] for line in lines[1:]] == [["other", "0"], ["*", "proj"]]
    shown = ann.cw("network", "list", "--json").json
    assert [one["id"] for one in shown] == ["other", "proj"]
    assert shown[0]["node_count"] == shown[0]["invite_count"] == 0
    assert ann.cw("network", "use", "other").err == 'Selected network "other"\n'
    assert ann.cw("network", "current", "--json").json == {"network": "other", "relay_url": url}
    assert ann.cw("network", "clear").err == "Cleared selected network\n"
    assert ann.cw("network", "current").out == "none\n"
    assert bob.cw("network", "list").out == "No networks\n"
    assert bob.run("network", "create", "proj").error == (
        "failed to create network: network already claimed: somebody else has a network of that "
        "name; choose another"
    )
    again = ann.cw("network", "create", "--use", "proj", "--json").json
    assert again == {"network_id": "proj", "status": "created", "selected": True}


def test_an_invite_lets_somebody_in(url: str, ann: CommandLine, bob: CommandLine) -> None:
    invite = ann.cw("network", "invite", "--uses", "2", "--ttl", "30m", "--json").json
    assert invite["uses_remaining"] == 2 and invite["url"] == f"{url}/join?invite={invite['token']}"
    joined = bob.cw("network", "join", invite["url"])
    assert joined.err == 'Joined network "proj"\nStart node agent: cw node\n'
    assert toml.loads(bob.config.read_text()) == {
        "relay_url": url,
        "relay_selected_network": "proj",
    }
    rows = [line.split()[:2] for line in bob.cw("network", "members").out.splitlines()]
    assert rows == [["SUBJECT", "ROLE"], ["oidc:ann", "owner"], ["oidc:bob", "member"]]
    text = ann.cw("network", "invites", "list").out
    assert invite["token"] in text and "TOKEN" in text
    assert ann.cw("network", "invites", "delete", invite["token"]).err == "Invite deleted\n"
    assert ann.cw("network", "invites", "list", "-j").json == []
    assert bob.run("network", "join", invite["token"]).error == (
        "invite rejected (403): invalid or expired invite: ask for a new one"
    )
    assert bob.run("network", "invite").error == (
        'failed to create invite: owner access required: only an owner of network "proj" may do '
        "that"
    )
    for wrong in ("", "two words", "http://h/join?invite="):
        assert bob.run("network", "join", wrong).error.startswith("that is no invite")
    # A program gets the token alone, a person reads the rest.
    made = ann.cw("network", "invite")
    token = made.out.strip()
    assert token.startswith("CW-INV-") and f"cw network join --relay-url {url} {token}" in made.err
    assert ann.run("network", "invite", "--uses", "0").error == "--uses must be at least 1"
    assert "invalid ttl" in ann.run("network", "invite", "--ttl", "soon").error


def test_members_leave_and_are_removed(ann: CommandLine, bob: CommandLine) -> None:
    for _ in range(2):
        invite = ann.cw("network", "invite").out.strip()
        bob.cw("network", "join", invite)
        assert bob.cw("network", "leave").err == 'Left network "proj"\n'
        assert bob.cw("network", "current").out == "none\n"
    assert bob.run("network", "members", "--network", "proj").error == (
        'failed to list members: membership required: you are not in network "proj" (ask one of '
        "its owners for an invite)"
    )
    # Who is out already is out.
    assert bob.cw("network", "leave", "proj", "--json").json["status"] == "left"
    bob.cw("network", "join", ann.cw("network", "invite").out.strip())
    assert bob.run("network", "members", "remove", "oidc:ann").status == 1
    removed = ann.cw("network", "members", "remove", "oidc:bob")
    assert removed.err == 'Removed oidc:bob from network "proj"\n'
    assert "member not found" in ann.run("network", "members", "remove", "oidc:bob").error
    assert "the last owner" in ann.run("network", "leave").error
    assert ann.cw("network", "current").out == "proj\n"


def test_a_machine_becomes_a_node_by_a_token(
    site: Site, url: str, ann: CommandLine, user: CommandLine, tmp_path: Path
) -> None:
    made = ann.cw("network", "enroll", "create", "--node-name", "dev-1", "--json").json
    assert made["enrollment_token"].startswith("cw_enr_") and made["node_name"] == "dev-1"
    machine = CommandLine(tmp_path / "machine", user._monkeypatch, user._capsys)
    machine.write_config('# mine\n[node]\nlisten = ":9100"\n')
    done = machine.cw("network", "enroll", "redeem", "--relay-url", url, made["enrollment_token"])
    assert done.err == 'Node "dev-1" enrolled\nStart node agent: cw node\n'
    text = machine.config.read_text()
    kept = toml.loads(text)
    assert kept.pop("relay_node_token") and text.startswith("# mine\n")
    assert kept == {
        "relay_url": url,
        "relay_selected_network": "proj",
        "relay_node_network": "proj",
        "node": {"listen": ":9100", "name": "dev-1"},
    }
    assert machine.run("network", "enroll", "redeem", made["enrollment_token"]).error == (
        "enrollment redemption failed (403): invalid or expired enrollment token"
    )
    assert machine.config.read_text() == text
    # A token for any name takes this machine's.
    token = ann.cw("network", "enroll", "create").out.strip()
    other = CommandLine(tmp_path / "other", user._monkeypatch, user._capsys)
    said = other.cw("network", "enroll", "redeem", "--relay-url", url, token, "--json").json
    assert (said["node_name"], said["network_id"]) == ("laptop", "proj")
    assert "node_token" not in said
    listed = [line.split() for line in ann.cw("network", "nodes").out.splitlines()]
    assert listed == [
        ["NAME", "PEER", "URL", "STATUS"],
        ["dev-1", "-", "offline"],
        ["laptop", "-", "offline"],
    ]
    assert ann.cw("network", "revoke", "laptop").err == 'Node "laptop" revoked\n'
    assert ann.run("network", "revoke", "laptop").error == "failed to revoke node: node not found"
    assert len(ann.cw("network", "nodes", "--all", "--json").json) == 1
    # Enrolled, but nobody is logged in there: an invite would never be used.
    invite = ann.cw("network", "invite").out.strip()
    assert 'enrolled in network "proj" already' in machine.run("network", "join", invite).error
    assert "enrolled no more" in machine.cw("network", "leave").err
    assert toml.loads(machine.config.read_text()) == {
        "relay_url": url,
        "node": {"listen": ":9100", "name": "dev-1"},
    }
    kept_for_later = machine.cw("network", "join", invite, "-o", "json")
    assert kept_for_later.json == {"status": "stored", "relay_url": url}
    assert toml.loads(machine.config.read_text())["relay_invite_token"] == invite
    # It has not been used.
    assert ann.cw("network", "invites", "list", "--json").json[0]["uses_remaining"] == 1


# Where a login goes


def test_a_login_is_not_sent_to_somebody_elses_relay(
    site: Site, url: str, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.log_in("https://home.example", "sess_secret")
    for command in (
        ("network", "join", "CW-INV-x"),
        ("network", "list"),
        ("network", "create", "n"),
        ("group", "list", "--network", "n"),
        ("access", "list", "--network", "n"),
        ("network", "leave", "n"),
        ("kv", "get", "k", "--network", "n"),
        ("whoami",),
    ):
        error = user.run(*command, "--relay-url", url).error
        assert error.startswith(f"your login is not for {url}, so it is not sent there"), command
    assert not user.config.exists()
    # An explicit token goes where one says.
    made = user.cw("network", "create", "n", "--relay-url", url, "--token", ADMIN)
    assert "not selected: the relay in use is https://home.example" in made.err
    assert user.cw("network", "list", "--relay-url", url, "--token", ADMIN, "--json").json
    env = {"CODEWIRE_RELAY_AUTH_TOKEN": ADMIN}
    assert user.cw("network", "list", "--relay-url", url, "--json", env=env).json
    # Whoever configures a relay has said that it is theirs.
    denied = user.run("network", "list", env={"CODEWIRE_RELAY_URL": url}).error
    assert denied == (
        f"relay {url} does not accept this token: log in (cw login), or pass another --token"
    )


def test_on_a_terminal_one_is_asked(
    site: Site, url: str, ann: CommandLine, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    invite = ann.cw("network", "invite").out.strip()
    ann.log_in("https://home.example", session(site, "bob"))
    ann.config.unlink()
    answers = ["n\n", "y\n"]

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self, limit: int) -> str:
            return answers.pop(0)

    monkeypatch.setattr("sys.stdin", Terminal())
    join = ("network", "join", "--relay-url", url, invite)
    question = f"Your login is for https://home.example. Send it to {url}? [y/N] "
    denied = ann.run(*join)
    assert (denied.status, denied.err) == (1, f"{question}Error: nothing was sent\n")
    assert not ann.config.exists()
    joined = ann.cw(*join)
    assert joined.err.startswith(question) and 'Joined network "proj"' in joined.err
    assert toml.loads(ann.config.read_text())["relay_url"] == url


# What goes wrong


def test_every_failure_is_one_clear_line(site: Site, url: str, user: CommandLine) -> None:
    nothing = user.run("network", "list").error
    assert nothing.startswith("relay not configured (set CODEWIRE_RELAY_URL or log in to one")
    user.write_config(f'relay_url = "{url}"\n')
    assert user.run("group", "list").error.startswith("relay user authentication not configured")
    env = {"CODEWIRE_RELAY_AUTH_TOKEN": ADMIN}
    for command in (
        ("group", "list"),
        ("access", "list"),
        ("network", "members"),
        ("network", "invite"),
    ):
        assert user.run(*command, env=env).error.startswith("no network selected (pass --network")
    assert user.run("network", "list", "--relay-url", "relay", env=env).error == (
        "'relay' is not a URL of a relay, such as https://host"
    )
    away = user.run("network", "list", "--relay-url", "http://127.0.0.1:1", env=env).error
    assert away == "relay http://127.0.0.1:1 cannot be reached: connection refused"
    assert user.run("network", "list", "--server", "x").error == (
        "--server names a node; a relay is named by --relay-url"
    )
    assert user.run("network", "use", "a b").error.startswith("a network's name is 1 to 64 letters")
    assert user.run("network", "frobnicate").error == (
        'unknown command "frobnicate" for "cw network"'
    )
    for group in ("network", "group", "access", "network invites", "network enroll"):
        assert user.cw(*group.split()).out.startswith(user.cw("help", *group.split()).out[:40])
    user.write_config("relay_url = [\n")
    assert user.run("network", "use", "n").error.startswith("parsing ")
    assert user.config.read_text() == "relay_url = [\n"


OLDER = (
    "relay URL is older than what is asked of it, or none at all: it does not know GET "
    "/api/v1/networks/n/members"
)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(404, "404 page not found\n"), OLDER),
        (answer(405, "Method Not Allowed"), OLDER),
        (answer(302, b"", ("Location", "https://x")),
         "relay URL redirects elsewhere (302); use the final URL"),
        (answer(401, "unauthorized\n"),
         "relay URL does not accept this token: log in (cw login), or pass another --token"),
        (answer(403, "membership required\n"), "failed to list members: membership required: you "
         'are not in network "n" (ask one of its owners for an invite)'),
        (answer(429, "rate limit exceeded\n"),
         "relay URL was asked too often; try again in a minute"),
        (answer(500, "internal error\n"), "failed to list members: internal error"),
        (answer(502, "<html>Bad Gateway</html>"), "failed to list members: HTTP 502 from URL"),
        (answer(200, "{}\n"), "the relay's answer cannot be understood: no list"),
        (answer(200, "<html>"), "relay URL answered what is no JSON: Expecting value: line 1 "
         "column 1 (char 0)"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "relay URL does not speak HTTP as it should"),
        (b"", "relay URL cannot be reached"),
    ],
)  # fmt: skip
def test_what_a_relay_may_answer(user: CommandLine, said: bytes, words: str) -> None:
    relay = ScriptedRelay()
    relay.script = said
    flags = ("--relay-url", relay.url, "--token", "t", "--network", "n")
    try:
        error = user.run("network", "members", *flags).error.replace(relay.url, "URL")
        assert error.startswith(words)
        # Programs get the same, with a code.
        done = user.run("network", "members", *flags, "--json")
        assert (done.status, done.out) == (1, "")
    finally:
        relay.close()


def test_what_others_wrote_moves_no_cursor(user: CommandLine) -> None:
    relay = ScriptedRelay()
    evil = "x\x1b[2J\u009b1m"
    relay.script = answer(200, [{"subject": evil, "role": evil}])
    flags = ("--relay-url", relay.url, "--token", "t", "--network", "n")
    text = (
        user.cw("network", "members", *flags).out + user.cw("network", "members", *flags, "-j").out
    )
    relay.script = answer(200, {"delegation": evil, "grant_id": evil, "verbs": [evil]})
    text += user.cw("access", "grant", "d:s", "--to", "x", *flags).out
    relay.close()
    assert "\x1b" not in text and "\u009b" not in text
