"""What is configured of relays, in both releases' names, and changing it without a loss."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from codewire.errors import ConfigError
from codewire.network import configuration
from codewire.network.configfile import _changed, _parsed, edit
from codewire.network.configuration import Configuration, Given, load_configuration, save
from codewire.network.logins import forget_login, login_of, save_login


def load(tmp_path: Path, text: str = "", given: Given | None = None, **env: str) -> Configuration:
    path = tmp_path / "config.toml"
    path.write_text(text)
    environ = {"CW_CONFIG_DIR": str(tmp_path / "cw"), **env}
    return load_configuration(str(path), given, environ)


OLDER = 'relay_url = "https://r"\nrelay_network = "proj"\nrelay_token = "t"\n'
NEWER = (
    'relay_url = "https://r/"\nrelay_selected_network = "mine"\nrelay_node_token = "t"\n'
    'relay_node_network = "proj"\nrelay_invite_token = "i"\nrelay_auto_join_private = true\n'
)


def test_the_older_releases_names(tmp_path: Path) -> None:
    found = load(tmp_path, OLDER)
    assert (found.url, found.network, found.node_token) == ("https://r", "proj", "t")
    # The network that was selected was the one the node was in.
    assert found.node_network == "proj"


def test_the_newer_releases_names(tmp_path: Path) -> None:
    found = load(tmp_path, NEWER)
    wanted = ("https://r", "mine", "t", "proj", "i", True, "", "", False, "", "https://r")
    assert found == Configuration(*wanted)
    assert load(tmp_path, OLDER + 'relay_selected_network = "new"\n').network == "new"


def test_a_url_inside_the_nodes_table_counts(tmp_path: Path) -> None:
    assert load(tmp_path, '[node]\nrelay_url = "https://n"\n').url == "https://n"
    both = 'relay_url = "https://r"\n[node]\nrelay_url = "https://n"\n'
    assert load(tmp_path, both).url == "https://r"


def test_flags_win_over_variables_and_these_over_the_file(tmp_path: Path) -> None:
    env = {
        "CODEWIRE_RELAY_URL": "https://e",
        "CODEWIRE_RELAY_NETWORK": "env",
        "CODEWIRE_RELAY_NODE_TOKEN": "nt",
        "CODEWIRE_RELAY_TOKEN": "older",
        "CODEWIRE_RELAY_NODE_NETWORK": "nn",
        "CODEWIRE_RELAY_INVITE_TOKEN": "inv",
        "CODEWIRE_RELAY_AUTH_TOKEN": "ut",
    }
    found = load(tmp_path, NEWER + 'relay_session = "sess"\n', **env)
    assert found[:5] == ("https://e", "env", "nt", "nn", "inv")
    assert found.user_token == "ut"
    given = Given("https://f", "flag", "ft", "/ca", True)
    found = load(tmp_path, NEWER, given, **env)
    assert (found.url, found.network, found.user_token) == ("https://f", "flag", "ft")
    assert found.server == ("https://f", "/ca", True)
    assert load(tmp_path, NEWER, CODEWIRE_RELAY_TOKEN="older").node_token == "older"
    assert load(tmp_path, NEWER + 'relay_session = "sess"\n').user_token == "sess"
    assert load(tmp_path, NEWER, CODEWIRE_RELAY_URL="  ").url == "https://r"


def log_in(tmp_path: Path, server: str, token: str = "session") -> None:
    (tmp_path / "cw").mkdir(exist_ok=True)
    login = {"server_url": server, "session_token": token}
    (tmp_path / "cw" / "config.json").write_text(json.dumps(login))


@pytest.mark.parametrize("host", ["codewire.sh", "www.codewire.sh", "app.codewire.sh/x"])
def test_the_platforms_login_serves_its_own_relay(tmp_path: Path, host: str) -> None:
    log_in(tmp_path, f"https://{host}")
    found = load(tmp_path)
    assert (found.url, found.user_token) == ("https://relay.codewire.sh", "session")
    assert load(tmp_path, CODEWIRE_API_KEY="key").user_token == "key"


def test_a_login_to_a_relay_of_ones_own_needs_no_more(tmp_path: Path) -> None:
    log_in(tmp_path, "https://mine.example/")
    assert load(tmp_path)[:1] == ("https://mine.example",)
    assert load(tmp_path).user_token == "session"
    assert load(tmp_path, CODEWIRE_SERVER_URL="https://b", CODEWIRE_API_KEY="k").url == "https://b"


def test_a_stored_session_goes_to_its_server_and_the_configured_relay_alone(tmp_path: Path) -> None:
    log_in(tmp_path, "https://mine.example")
    # Who configures a relay, also by a variable, says that it is theirs.
    assert load(tmp_path, 'relay_url = "https://other"\n').user_token == "session"
    assert load(tmp_path, CODEWIRE_RELAY_URL="https://other").user_token == "session"
    for same in ("https://mine.example", "https://MINE.example:443/"):
        found = load(tmp_path, 'relay_url = "https://other"\n', Given(same))
        assert (found.user_token, found.is_elsewhere) == ("session", True)
    for other in (
        "https://evil.example",
        "http://mine.example",
        "https://mine.example:444",
        "https://mine.example/x",
        "https://mine.example.evil",
        "nonsense",
    ):
        for env in ({}, {"CODEWIRE_API_KEY": "key"}):
            found = load(tmp_path, "", Given(other), **env)
            assert found.user_token == "" and found.withheld_session and found.is_elsewhere
            with pytest.raises(ConfigError, match="your login is not for"):
                found.as_user()
        # An explicit token goes where one is told.
        assert load(tmp_path, "", Given(other, token="t")).user_token == "t"
        found = load(tmp_path, "", Given(other), CODEWIRE_RELAY_AUTH_TOKEN="t")
        assert (found.user_token, found.withheld_session) == ("t", "")
    # One that a config.toml has is for its relay alone.
    (tmp_path / "cw" / "config.json").unlink()
    text = 'relay_url = "https://r"\nrelay_session = "s"\n'
    assert load(tmp_path, text).user_token == "s"
    assert load(tmp_path, text, Given("https://other")).user_token == ""


def test_a_login_as_the_older_program_kept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    older = tmp_path / ".config" / "cs"
    older.mkdir(parents=True)
    text = json.dumps({"server_url": "https://a", "session_token": "s", "default_org": "acme"})
    (older / "config.json").write_text(text)
    assert login_of({}) == ("https://a", "s", False)
    path = save_login({}, "https://a", "new")
    assert path == str(tmp_path / ".config" / "cw" / "config.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    kept = {"server_url": "https://a", "session_token": "new", "default_org": "acme"}
    assert json.loads(Path(path).read_text()) == kept
    # An organization of another server means nothing.
    save_login({}, "https://b", "other")
    assert json.loads(Path(path).read_text()) == {
        "server_url": "https://b",
        "session_token": "other",
    }
    forget_login({})
    forget_login({})
    assert login_of({}) == ("", "", False) and not (older / "config.json").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"server_url": 7}', '{"session_token": "s"}', '{"server_url": "s"}']
)
def test_a_login_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cw").mkdir()
    (tmp_path / "cw" / "config.json").write_text(text)
    assert load(tmp_path).url == ""


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    nothing = load(tmp_path)
    with pytest.raises(
        ConfigError, match="^relay not configured .set CODEWIRE_RELAY_URL or log in to one"
    ):
        nothing.as_user()
    some = load(tmp_path, 'relay_url = "https://r"\n')
    with pytest.raises(
        ConfigError, match="^relay user authentication not configured .pass --token"
    ):
        some.as_user()
    with pytest.raises(ConfigError, match="node token is unavailable"):
        some.as_node()
    with pytest.raises(ConfigError, match="no network selected .pass --network"):
        some.required_network()
    assert some.as_anybody().server.url == "https://r"
    assert load(tmp_path, NEWER).as_node().server.url == "https://r"
    assert load(tmp_path, NEWER).required_network() == "mine"


def test_a_value_of_another_type_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="relay_url must be a string, got 7"):
        load(tmp_path, "relay_url = 7\n")


# Changing config.toml

TEXT = """\
# mine
relay_url = "https://r"   # the office's

# A seed of mine.
relay_network = "proj"
unknown = [1, 2]

# This node.
[node]
  name = "dev-1"  # short
  relay_network = "untouched"
"""


def test_a_key_is_changed_and_all_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    save(str(path), {configuration.NETWORK: "new", configuration.AUTO_JOIN: True})
    assert path.read_text() == TEXT.replace(
        'relay_network = "proj"\nunknown = [1, 2]\n',
        'unknown = [1, 2]\nrelay_selected_network = "new"\nrelay_auto_join_private = true\n',
    )
    save(str(path), {configuration.NETWORK: "", configuration.AUTO_JOIN: ""})
    assert path.read_text() == TEXT.replace('relay_network = "proj"\nunknown', "unknown")


def test_the_file_is_made_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    save(str(path), {configuration.NODE_TOKEN: 'a"b\\é\U0001f600'})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert toml.loads(path.read_text()) == {"relay_node_token": 'a"b\\é\U0001f600'}


def test_a_link_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text(TEXT)
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    save(str(link), {configuration.URL: "https://s"})
    assert link.is_symlink()
    assert 'relay_url = "https://s"' in real.read_text()


@pytest.mark.parametrize("text", ["a = ", "[node", "a = 1\na = 2\n"])
def test_what_cannot_be_parsed_is_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="parsing"):
        save(str(path), {configuration.URL: "https://s"})
    assert path.read_text() == text


def test_what_is_right_already_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    before = os.stat(path)
    edit(str(path), {"relay_url": "https://r", "none": None})
    after = os.stat(path)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_text_over_many_lines_costs_comments_and_no_value(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = 'note = """\n[not a table]\nrelay_url = "x"\n"""\n'
    text += 'relay_url = """\nhttps://r"""\n[node]\nname = "n"\n'
    path.write_text(text)
    edit(str(path), {"relay_url": "https://s"})
    assert toml.loads(path.read_text()) == {**toml.loads(text), "relay_url": "https://s"}


def test_several_who_change_it_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "config.toml")
    threads = [
        threading.Thread(target=edit, args=(path, {f"key_{number}": f"{number}"}))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert toml.loads(Path(path).read_text()) == {f"key_{n}": f"{n}" for n in range(12)}


NAMES = st.sampled_from(["relay_url", "relay_network", "other"])
VALUES = st.none() | st.booleans() | st.sampled_from(["", "https://x", 'a"b', "#"])
LINES = st.lists(
    st.sampled_from(
        ["", "# note", "a = 1", 'b = "[x]"', 'relay_url = "u" # c', "relay_network='n'"]
    ),
    unique_by=lambda line: line.partition("=")[0].strip() or object(),
)
TABLES = st.sampled_from(["", "[node]\nname = 'n'\nrelay_url = 'in'\n", "[[x]]\ny = 1\n"])


@given(LINES, TABLES, st.dictionaries(NAMES, VALUES, max_size=3), st.booleans())
def test_a_changed_text_means_what_was_asked(
    lines: list[str], tables: str, changes: dict[str, Any], ends: bool
) -> None:
    text = "\n".join(lines) + ("\n" if ends or tables else "") + tables
    wanted = {**toml.loads(text), **changes}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    assert _parsed(_changed(text, changes)) == wanted
