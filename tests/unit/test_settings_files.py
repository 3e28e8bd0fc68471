"""config.toml and the token: what stands there instead is an error in words, never a hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.config import MAX_CONFIG_BYTES, read_toml
from codewire.errors import ConfigError
from codewire.node.token import LENGTH, ensure_token, read_token

KINDS = ["directory", "fifo", "circle", "huge"]


def place(path: Path, kind: str) -> Path:
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to(path)
    else:
        path.write_bytes(b"#" * (MAX_CONFIG_BYTES + 1))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_no_config_file(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match="reading .*config.toml: "):
        read_toml(str(place(tmp_path / "config.toml", kind)))


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"[", b"x = ", b"[[x]]\n[x]", b"x = " + b"[" * 5000, b"a.b = 1\na = 2", b'x = "\\q"'],
)
def test_no_toml(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="config.toml: "):
        read_toml(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_where_the_token_should_be(tmp_path: Path, kind: str) -> None:
    path = place(tmp_path / "token", kind)
    assert read_token(str(path)) == ""
    ensure_token(str(path))
    token = read_token(str(path))
    assert len(token) == LENGTH and path.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.glob("token.corrupt.*"))) == 1
    ensure_token(str(path))
    assert read_token(str(path)) == token
