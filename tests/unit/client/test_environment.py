"""What of this process's environment goes along with a launch."""

from __future__ import annotations

import pytest

from codewire import environment
from codewire.client.environment import OLDER, launch_fields, warn_of_older
from codewire.client.reach.remote import WebRoute
from codewire.client.reach.route import LocalRoute
from codewire.errors import UsageError
from codewire.paths import DataDir

LOCAL = LocalRoute(DataDir("/data"))
REMOTE = WebRoute("ws://x/ws")


def sent(environ: dict[str, str] | None, *named: str, clean: bool = False) -> dict[str, object]:
    told: list[str] = []
    fields = launch_fields(LOCAL, named, environ, clean, told.append)
    assert not told
    return fields


def test_a_local_launch_brings_the_whole_environment_and_says_how_much_of_it_is_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CODEWIRE_DIR", "/data")
    fields = sent({"A": "1", "TMUX": "x", "CW_SESSION_ID": "4", "CODEWIRE_DIR": "here"}, "A=2")
    env = fields["env"]
    assert isinstance(env, list) and fields["env_base"] == "none"
    count = fields["env_caller"]
    assert env[-1] == "A=2" and count == len(env) - 1
    assert set(env[:-1]) == {
        "A=1", "TERM=xterm-256color", "COLORTERM=truecolor", "CODEWIRE_DIR=/data",
    }  # fmt: skip
    assert fields["clean_env"] is None


def test_another_machine_gets_what_is_named_and_nothing_else() -> None:
    fields = launch_fields(REMOTE, ["A=2"], None, False, print)
    assert fields == {"env": ["A=2"], "clean_env": None}


def test_a_clean_one_is_the_seven_that_are_set() -> None:
    environ = {"HOME": "/h", "PATH": "/p", "KEY": "secret", "TERM": "strange"}
    assert sent(environ, clean=True)["env"] == ["HOME=/h", "PATH=/p", "TERM=xterm-256color"]


def test_a_value_that_is_no_text_is_left_out_and_named() -> None:
    told: list[str] = []
    fields = launch_fields(LOCAL, (), {"BAD": "\udcff", "GOOD": "ä"}, False, told.append)
    env = fields["env"]
    assert "GOOD=ä" in env and not any(entry.startswith("BAD") for entry in env)
    assert told == ["[cw] not valid UTF-8, so the session goes without: BAD"]


def test_a_huge_one_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="BIG.*--clean-env") as caught:
        sent({"BIG": "secret" * environment.MAX_BYTES})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("entry", ["A", "=b", "A=b\0"])
def test_an_entry_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        sent({}, entry)


@pytest.mark.parametrize(
    ("request_", "answer", "said"),
    [
        ({"env_base": "none"}, {}, [OLDER]),
        ({"env_base": "none"}, {"env_base": "node"}, []),
        ({}, {}, []),
    ],
)
def test_an_older_node_is_named(
    request_: dict[str, str], answer: dict[str, str], said: list[str]
) -> None:
    told: list[str] = []
    warn_of_older(request_, answer, told.append)
    assert told == said
