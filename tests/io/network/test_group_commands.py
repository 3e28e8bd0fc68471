"""Groups, access grants and keys of a network, against a relay that runs."""

from __future__ import annotations

import json
import stat
import time
from typing import Any

import pytest

from codewire.network.accepted import Accepted
from codewire.wire.timestamps import format_nanos
from tests.io.network.commandline import CommandLine
from tests.io.network.scriptedrelay import ScriptedRelay, answer
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import Site

POLICY = "messages=internal-only debug=observe-only"


def test_groups(ann: CommandLine, bob: CommandLine) -> None:
    made = ann.cw("group", "create", "mesh")
    assert made.out == f'Created group "mesh" in network "proj".\nPolicy: {POLICY}\n'
    assert ann.cw("group", "members", "mesh").out == 'Group "mesh" has no members\n'
    added = ann.cw("group", "add", "mesh", "dev-1:planner")
    assert added.out == 'Added dev-1:planner to group "mesh"\n'
    rows = [line.split()[:2] for line in ann.cw("group", "members", "mesh").out.splitlines()]
    assert rows == [["NODE", "SESSION"], ["dev-1", "planner"]]
    assert ann.cw("group", "policy", "mesh").out == f'Group "mesh" policy: {POLICY}\n'
    changed = ann.cw("group", "policy", "mesh", "--messages", "open")
    assert changed.out == 'Updated group "mesh" policy: messages=open debug=observe-only\n'
    # The other value stays.
    shown = ann.cw("group", "policy", "mesh", "--debug", "full", "--json").json
    assert (shown["messages_policy"], shown["debug_policy"]) == ("open", "full")
    assert shown["group_name"] == "mesh" and shown["updated_at"]
    (listed,) = ann.cw("group", "list", "--json").json
    assert listed["name"] == "mesh" and listed["policy"]["messages_policy"] == "open"
    rows = [line.split()[:3] for line in ann.cw("group", "list").out.splitlines()]
    assert rows == [["NAME", "MESSAGES", "DEBUG"], ["mesh", "open", "full"]]
    for wrong in ("planner", "dev-1:", ":planner", "dev-1:3", "a:b:c"):
        error = ann.run("group", "add", "mesh", wrong).error
        assert error.startswith("target must be <node>:<session>")
    assert ann.run("group", "create", "mesh").error == (
        "failed to create group: group already exists"
    )
    assert ann.run("group", "create", "a b").error.startswith("failed to create group: group name")
    assert ann.run("group", "policy", "mesh", "--debug", "all").status == 1
    removed = ann.cw("group", "remove", "mesh", "dev-1:planner")
    assert removed.out == 'Removed dev-1:planner from group "mesh"\n'
    assert ann.run("group", "remove", "mesh", "dev-1:planner").error.endswith("member not found")
    assert "owner access required" in bob.run("group", "list", "--network", "proj").error
    assert ann.cw("group", "delete", "mesh", "-j").json["status"] == "deleted"
    assert ann.cw("group", "list").out == "No groups\n"
    assert ann.run("group", "members", "mesh").error.endswith("group not found")


def grant(ann: CommandLine, *more: str) -> Any:
    return ann.cw("access", "grant", "dev-1:planner", "--to", "oidc:bob", "--json", *more).json


def test_a_grant_is_given_kept_and_revoked(ann: CommandLine, bob: CommandLine) -> None:
    bob.cw("network", "join", ann.cw("network", "invite").out.strip())
    said = ann.cw("access", "grant", "dev-1:planner", "--to", "oidc:bob", "--for", "20m", "--read")
    lines = said.out.splitlines()
    assert lines[0] == "Granted read on dev-1:planner to oidc:bob for 20m."
    assert [line.partition(":")[0] for line in lines[1:]] == ["Grant ID", "Expires", "Token"]
    identity, token = lines[1].split()[-1], lines[3].split()[-1]
    both = grant(ann)
    assert both["delegation"].startswith("cwog1.") and both["verbs"] == ["msg.read", "msg.listen"]
    rows = [line.split() for line in ann.cw("access", "list").out.splitlines()]
    assert rows[0] == ["ID", "TARGET", "VERBS", "AUDIENCE", "STATUS"]
    assert rows[2] == [identity, "dev-1:planner", "read", "oidc:bob", "active"]
    # It is Bob's.
    assert "owner access required" in bob.run("access", "list", "--network", "proj").error
    assert len(bob.cw("access", "list", "--mine", "--network", "proj", "--json").json) == 2
    accepted = bob.cw("access", "accept", token)
    assert accepted.out.splitlines()[:2] == [
        "Accepted access grant for dev-1:planner.",
        f"Grant ID: {identity}",
    ]
    bob.cw("access", "accept", both["delegation"])
    path = bob.home / ".codewire" / "accepted_access_grants.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_text())["grants"]
    assert [one["grant_id"] for one in kept] == [identity, both["grant_id"]]
    assert kept[0]["token"] == token and kept[0]["audience_subject_id"] == "oidc:bob"
    listed = bob.cw("access", "list", "--accepted", "--node", "dev-1", "--session", "planner")
    assert len(listed.out.splitlines()) == 3 and token not in listed.out
    only = bob.cw("access", "list", "--accepted", "--verb", "listen", "--json").json
    assert [one["grant_id"] for one in only] == [both["grant_id"]] and "token" not in only[0]
    shown = bob.cw("access", "inspect", identity).out
    assert "Target:   dev-1:planner\n" in shown and "Verbs:    read\n" in shown
    # What is revoked is found when the relay is asked.
    assert ann.cw("access", "revoke", identity).out == f'Revoked access grant "{identity}"\n'
    pruned = bob.cw("access", "prune").out
    assert pruned == (
        "Pruned accepted grants: expired=0 revoked=1 missing=0 remaining=1\n"
        "Relay validation: enabled\n"
    )
    assert bob.run("access", "inspect", identity).error == (
        f'accepted access grant "{identity}" not found'
    )
    dropped = bob.cw("access", "drop", both["grant_id"]).out
    assert dropped == f'Dropped accepted access grant "{both["grant_id"]}"\n'
    assert bob.run("access", "drop", both["grant_id"]).error.endswith("not found")
    assert bob.cw("access", "list", "--accepted").out == "No accepted access grants\n"
    assert [one["id"] for one in ann.cw("access", "list", "--active", "--json").json] == [
        both["grant_id"]
    ]


def test_wrong_grants(ann: CommandLine) -> None:
    assert ann.run("access", "grant", "dev-1:p").error == "--to is required: whom to let in"
    for wrong in ("p", "dev-1:", "a:b:c"):
        assert ann.run("access", "grant", wrong, "--to", "admin").error.startswith("target must be")
    error = ann.run("access", "grant", "dev-1:p", "--to", "nobody").error
    assert error == 'failed to grant access: principal "nobody" not found'
    assert "ttl" in ann.run("access", "grant", "dev-1:p", "--to", "admin", "--for", "48h").error
    by_id = ann.cw("access", "grant", "dev-1:3", "--to", "admin", "--json").json
    assert by_id["session_id"] == 3
    for flags, words in (
        (("--mine", "--to", "x"), "--mine and --to exclude each other"),
        (("--accepted", "--active"), "--accepted cannot be combined with --active"),
        (("--verb", "read"), "--verb needs --accepted"),
        (("--session", "p"), "--session needs --accepted"),
    ):
        assert ann.run("access", "list", *flags).error == words
    assert "invalid observer delegation format" in ann.run("access", "accept", "cwog1.x").error
    assert ann.run("access", "revoke", "og_x").error.endswith("access grant not found")


def test_what_cannot_be_checked_is_kept(ann: CommandLine) -> None:
    """A relay that is away, broken, or another one says nothing about a grant."""
    made = ann.cw("access", "grant", "dev-1:p", "--to", "oidc:ann", "--json").json
    ann.cw("access", "accept", made["delegation"])
    elsewhere = ScriptedRelay()
    elsewhere.script = answer(404, "access grant not found\n")
    for flags in (
        ("--relay-url", "http://127.0.0.1:1", "--token", "t"),
        ("--relay-url", elsewhere.url, "--token", "t"),
    ):
        found = ann.cw("access", "prune", "--json", *flags).json
        assert (found["remaining"], found["relay_checked"]) == (1, False), flags
    assert not elsewhere.asked
    # Nobody is logged in.
    ann.login.unlink()
    assert ann.cw("access", "prune").out.endswith("Relay validation: skipped\n")
    # Who is in the network no more has no grant either.
    data = json.loads((ann.home / ".codewire" / "accepted_access_grants.json").read_text())
    data["grants"][0]["relay_url"] = elsewhere.url
    (ann.home / ".codewire" / "accepted_access_grants.json").write_text(json.dumps(data))
    ann.log_in(elsewhere.url, "t")
    elsewhere.script = answer(500, "internal error\n")
    assert ann.cw("access", "prune", "-j").json["remaining"] == 1
    elsewhere.script = answer(403, "membership required\n")
    assert ann.cw("access", "prune", "-j").json["removed_missing"] == 1
    elsewhere.close()


def test_grants_that_are_over_go_and_damaged_ones_are_told(user: CommandLine) -> None:
    root = user.home / ".codewire"
    root.mkdir(parents=True)
    now = time.time_ns()
    whole = {
        "token": "t",
        "network_id": "n",
        "target_node": "d",
        "session_id": 3,
        "verbs": ["msg.read"],
    }
    records = [
        {**whole, "grant_id": "old", "expires_at": format_nanos(now - 1)},
        {**whole, "grant_id": "new", "expires_at": format_nanos(now + 10**12)},
        {**whole, "grant_id": "odd", "expires_at": "soon"},
        "no grant",
    ]
    path = root / "accepted_access_grants.json"
    path.write_text(json.dumps({"grants": records}))
    (row,) = user.cw("access", "list", "--accepted", "--json").json
    assert row["grant_id"] == "new"
    assert "d:3" in user.cw("access", "list", "--accepted").out
    path.write_text("{")
    error = user.run("access", "list", "--accepted").error
    assert error.startswith(f"{path} is damaged: move it away")
    assert path.read_text() == "{"


def test_watching(site: Site, ann: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is revoked is forgotten at once, also what was revoked while nobody watched."""
    grants = [
        ann.cw("access", "grant", "dev-1:p", "--to", "oidc:ann", "--json").json for _ in range(2)
    ]
    for one in grants:
        ann.cw("access", "accept", one["delegation"])
    first, second = (one["grant_id"] for one in grants)
    ann.cw("access", "revoke", first)
    from codewire.commands.network import accepting

    seen: list[str] = []
    say = accepting.showing.line

    def line(text: str) -> None:
        say(text)
        seen.append(text)
        if len(seen) == 1:
            site.ok("DELETE", f"/api/v1/access-grants/{second}?network_id=proj")
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(accepting.showing, "line", line)
    done = ann.run("access", "watch")
    assert done.status == 130
    assert done.out.splitlines() == [
        f"Removed accepted grant {one} after relay revocation" for one in (first, second)
    ]
    assert "Watching access invalidation events for proj\n" in done.err
    accepted = Accepted(str(ann.home / ".codewire"))
    assert accepted.all(time.time_ns()) == []
    # The first one was noted before the second one came.
    assert int(accepted.last_event("proj")) >= 1


def test_who_may_not_watch_is_told(ann: CommandLine, bob: CommandLine) -> None:
    done = bob.run("access", "watch", "--network", "proj")
    assert done.status == 1 and "failed to watch access events: membership required" in done.err


def test_keys_of_a_network(url: str, ann: CommandLine, bob: CommandLine) -> None:
    bob.cw("network", "join", ann.cw("network", "invite").out.strip())
    of = ("--network", "proj")
    assert ann.cw("kv", "set", "a/b", "grün", *of, "--ttl", "1h").err == "Set default/a/b\n"
    assert bob.cw("kv", "get", "a/b", *of).out == "grün\n"
    (entry,) = bob.cw("kv", "list", "a/", *of, "--json").json
    assert entry["key"] == "a/b" and entry["value"] == "grün" and entry["expires_at"]
    assert bob.cw("kv", "list", *of, "--ns", "other").out == "No keys found\n"
    assert bob.run("kv", "get", "none", *of).error.startswith("key default/none not found")
    assert "owner access required" in bob.run("kv", "delete", "a/b", *of).error
    assert ann.cw("kv", "delete", "a/b", *of).err == "Deleted default/a/b\n"
    assert ann.cw("kv", "delete", "a/b", *of).err == "default/a/b was not there\n"
    # A relay is the selected network's, too.
    assert ann.cw("kv", "set", "k", "v", "--relay-url", url, "--token", ADMIN).status == 0
    assert ann.cw("kv", "get", "k", *of).out == "v\n"
