"""config.toml: what is refused, in which words, and which of its keys mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.config import MAX_CONFIG_BYTES, load_settings, similar_key
from codewire.errors import ConfigError


def settings(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(str(path), {}).unknown_keys


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("", ()),
        ("[node]\nname = 'x'\ngrace_seconds = 5\n", ()),
        ("[node]\ngrace = 5\n", ("node.grace",)),
        ("grace_seconds = 5\n[node]\nlisten = ''\nLISTEN = ''\n", ("grace_seconds", "node.LISTEN")),
        ("[noed]\nlisten = ':1'\n", ("noed",)),
        # What the upstream program or an older one keeps here is no mistake.
        ("relay_url = 'x'\nrelay_node_token = 'y'\n[current_target]\nkind = 'local'\n", ()),
        ("[daemon]\nname = 'x'\n[nats]\nurl = 'x'\nwhatever = 1\n", ()),
        ("[current_target]\nkin = 'local'\n", ("current_target.kin",)),
    ],
)
def test_unknown_keys(tmp_path: Path, text: str, unknown: tuple[str, ...]) -> None:
    assert settings(tmp_path, text) == unknown


def test_many_unknown_keys_are_not_all_named(tmp_path: Path) -> None:
    assert len(settings(tmp_path, "".join(f"k{n} = 1\n" for n in range(1000)))) == 20


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("node.grace_second", "node.grace_seconds"),
        ("grace_seconds", "node.grace_seconds"),
        ("listen", "node.listen"),
        ("noed", "node"),
        ("nonsense", ""),
    ],
)
def test_what_was_meant(unknown: str, meant: str) -> None:
    assert similar_key(unknown) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\ngrace_seconds = 1e999\n", "0 to 3600 seconds"),
        ("[node]\nenv = 'mine'\n", 'node.env must be "caller" or "node", got \'mine\''),
        ("[node]\nenv = true\n", 'node.env must be "caller" or "node", got True'),
        ("[node]\ngrace_seconds = 3601\n", "0 to 3600 seconds"),
        ("[node]\nkeep_finished = -1\n", "whole number"),
        (f"[node]\nlog_max_bytes = {1 << 80}\n", "whole number"),
        ("node = 1\n", "must be a table"),
        ("[node\n", "parsing "),
        ("a = " + "[" * 5000, "parsing "),
        ("a = '\n", "parsing "),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(tmp_path, text)


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    assert settings(tmp_path, "[node]\r\nname = 'x'\r\nx = 1\r\n") == ("node.x",)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "config.toml")
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="Not a regular file"):
        load_settings(path, {})
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_settings(path, {})
    os.rmdir(path)
    with open(path, "wb") as file:
        file.truncate(MAX_CONFIG_BYTES + 1)
    with pytest.raises(ConfigError, match="too large"):
        load_settings(path, {})
