"""The fleet's JSON in every dialect, its names and settings; no socket."""

import json

import pytest

from codewire.errors import ConfigError, UsageError
from codewire.fleet import messages, settings, subjects
from codewire.fleet.asking import split_input
from codewire.fleet.messages import (
    BadMessage,
    Info,
    Request,
    read_heartbeat,
    read_info,
    read_request,
)


@pytest.mark.parametrize(
    "text, request_",
    [
        ('{"type":"Discover"}', Request("Discover")),
        (' {"type":"Discover","extra":[1]}\n', Request("Discover")),
        ('{"type":"ListSessions"}', Request("ListSessions")),
        ('{"type":"Launch","command":["sh","-c","echo hi; read x"],"working_dir":"."}',
         Request("Launch", command=("sh", "-c", "echo hi; read x"), working_dir=".")),
        ('{"type":"Launch","command":["true"]}', Request("Launch", command=("true",))),
        ('{"type":"Launch","command":["true"],"working_dir":null}',
         Request("Launch", command=("true",))),
        ('{"type":"Kill","id":4294967295}', Request("Kill", 4294967295)),
        ('{"type":"SendInput","id":1,"data":[104,195,169]}',
         Request("SendInput", 1, data=b"h\xc3\xa9")),
        ('{"type":"SendInput","id":1,"data":"aMOpbGxvCg=="}',
         Request("SendInput", 1, data=b"h\xc3\xa9llo\n")),
        ('{"type":"SendInput","id":2}', Request("SendInput", 2)),
    ],
)  # fmt: skip
def test_every_dialect_is_read(text, request_):
    assert read_request(text.encode()) == request_


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"{}", b"null", b'["Discover"]', b'{"type":1}', b'{"type":"discover"}',
     b'{"type":"Kill"}', b'{"type":"Kill","id":null}', b'{"type":"Kill","id":-1}',
     b'{"type":"Kill","id":4294967296}', b'{"type":"Kill","id":true}', b'{"type":"Kill","id":1.0}',
     b'{"type":"SendInput","id":1,"data":[256]}', b'{"type":"SendInput","id":1,"data":[true]}',
     b'{"type":"SendInput","id":1,"data":"*"}', b'{"type":"Launch","command":"true"}',
     b'{"type":"Launch","command":[1]}', b'{"type":"Launch","command":["a"],"working_dir":1}',
     b'{"type":"Discover"} x', b'{"type":"Discover","type":"Kill"}', b"[" * 100_000,
     b'{"type":"Discover","a":' + b"[" * 100_000, b"\xff\xfe", b"9" * 5000],
)  # fmt: skip
def test_what_is_no_request_is_told_why(data):
    with pytest.raises(BadMessage, match="^(invalid request: |unknown request type: )"):
        read_request(data)


@pytest.mark.parametrize("command", [[], [""], ["a\0b"]])
def test_commands_that_cannot_run(command):
    data = json.dumps({"type": "Launch", "command": command}).encode()
    with pytest.raises(BadMessage, match="^(command must not be empty|spawning process)"):
        read_request(data)


def test_replies_name_their_sender_twice():
    encoded = messages.encode(messages.reply("Launched", "o", id=1))
    assert encoded == b'{"type":"Launched","node":"o","daemon":"o","id":1}'


def session(number, status="running", prompt="p"):
    return messages.session_entry({"id": number, "status": status, "prompt": prompt})


def test_what_is_too_large_is_shortened_never_left_out():
    sessions = [session(n, "completed (0)", "x" * 4096) for n in range(1, 60)]
    sessions.append(session(60, "running", "y" * 100_000))
    whole = {"type": "NodeInfo", "name": "a", "sessions": sessions}
    data = messages.fit(whole, 4000)
    shown = json.loads(data)
    assert len(data) <= 4000 and shown["truncated"] is True
    ids = [entry["id"] for entry in shown["sessions"]]
    assert ids == sorted(ids) and 60 in ids and 59 in ids and 1 not in ids
    assert all(len(entry["prompt"]) <= 200 for entry in shown["sessions"])
    assert messages.fit({"type": "X", "sessions": []}, 10_000) == b'{"type":"X","sessions":[]}'


def info(kind="NodeInfo", **fields):
    value = {"type": kind, "name": "a", "external_url": None, "sessions": [], "uptime_secs": 1}
    return read_info(json.dumps({**value, **fields}).encode())


def test_who_answers_twice_counts_once():
    ours = [info(kind, instance="i") for kind in messages.INFO_TYPES]
    assert len(messages.one_each(ours)) == 1
    assert len(messages.one_each([*ours, info(instance="j")])) == 2
    assert len(messages.one_each([info(), info()])) == 2
    assert len(messages.one_each([info(), info("DaemonInfo")])) == 1
    names = [each.name for each in messages.one_each([info(name="b"), info(name="a")])]
    assert names == ["a", "b"]


def test_infos_that_are_none():
    for value in ({"type": "Error"}, {"name": 1}, {"sessions": None}, {"uptime_secs": "1"},
                  {"uptime_secs": -1}, {"uptime_secs": True}):  # fmt: skip
        assert info(**value) is None
    assert read_info(b"x") is None
    assert info(external_url=3, sessions=[{"id": 1}, "x"]) == Info("a", "", (session_of_old(),), 1)


def session_of_old():
    return {"id": 1, "prompt": "", "working_dir": "", "created_at": "", "status": "",
            "attached": False}  # fmt: skip


def test_heartbeats_have_no_type():
    beat = b'{"name":"b","external_url":null,"sessions":[],"uptime_secs":30}'
    assert read_heartbeat(beat) == Info("b", "", (), 30)
    assert read_heartbeat(b"{}") is None and read_heartbeat(b"x") is None


@pytest.mark.parametrize("name", ["", "fleet", "a.b", "a b", "*", ">", "é", "a" * 65, "a\r\nPUB x"])
def test_names_that_nobody_can_have(name):
    with pytest.raises(UsageError):
        subjects.checked_name(name)


def test_targets():
    assert subjects.parse_target("gpu-box:42") == ("gpu-box", 42)
    assert subjects.parse_target("a:+1") == ("a", 1)
    for bad in ("a", "a:", "a:x", ":1", "a:-1", "a:4294967296", "a:1:2", "a.x:1"):
        with pytest.raises(UsageError):
            subjects.parse_target(bad)


def nats(tmp_path, text, **env):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return settings.load_nats(str(path), str(tmp_path), env)


def test_the_table_wins_whole_and_empty_is_not_set(tmp_path):
    env = {"CODEWIRE_NATS_URL": "nats://e:1", "CODEWIRE_NATS_TOKEN": "t", "CODEWIRE_NATS_CREDS": ""}
    assert nats(tmp_path, "", **env) == settings.Nats(("nats://e:1",), "t")
    assert nats(tmp_path, '[nats]\nurl = "h"\n', **env) == settings.Nats(("nats://h:4222",))
    assert nats(tmp_path, "", CODEWIRE_NATS_URL=" ") is None
    found = nats(tmp_path, '[nats]\nurl = "tls://[::1]:5, u:p%40@h"\ncreds_file = "c"\nca = "/a"\n')
    assert found == settings.Nats(
        ("tls://[::1]:5", "nats://h:4222"), "", str(tmp_path / "c"), "u", "p@", "/a"
    )
    assert "p@" not in found.public_urls()


@pytest.mark.parametrize(
    "text", ['[nats]\n', '[nats]\nurl = ""\n', '[nats]\nurl = 1\n', '[nats]\nurl = "http://h"\n',
             'nats = 1\n', '[nats]\nurl = "nats://u:pw@h:99999"\n', '[nats]\nurl = "ws://h,h"\n'],
)  # fmt: skip
def test_settings_that_cannot_be_used(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        nats(tmp_path, text)
    assert "pw" not in str(caught.value)


def test_allow(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("")
    assert settings.load_allow(str(path)) == frozenset(settings.DEFAULT_ALLOW)
    path.write_text('[fleet]\nallow = ["list"]\n')
    assert settings.load_allow(str(path)) == {"list"}
    for bad in ('"list"', '["run"]', "[1]"):
        path.write_text(f"[fleet]\nallow = {bad}\n")
        with pytest.raises(ConfigError):
            settings.load_allow(str(path))


def test_long_input_goes_in_pieces():
    pieces = split_input(bytes(range(256)) * 40, 1000)
    assert b"".join(pieces) == bytes(range(256)) * 40
    assert all(len(json.dumps(list(piece), separators=(",", ":"))) < 900 for piece in pieces)
    assert split_input(b"", 1000) == [b""]
