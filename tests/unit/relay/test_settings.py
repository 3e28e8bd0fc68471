"""Where a relay's settings come from, and which it does not serve with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import ConfigError
from codewire.relay.settings import (
    Settings,
    check_settings,
    names_without_effect,
    read_settings,
    without_secrets,
)

GOOD = Settings(base_url="https://relay.example", data_dir="/d", secret_key_file="/d/k")


def read(flags: dict[str, Any] | None = None, **environ: str) -> Settings:
    return read_settings(flags or {}, environ, "/home/u/.codewire/relay")


def test_defaults() -> None:
    found = read()
    assert (found.listen, found.ssh_listen, found.auth_mode) == (":8080", "", "none")
    assert found.data_dir == "/home/u/.codewire/relay"
    assert found.secret_key_file == "/home/u/.codewire/relay/secret.key"


def test_flag_then_file_then_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" from-file\n")
    assert read({"--auth-token": "flag"}, CW_AUTH_TOKEN="env").auth_token == "flag"
    assert read({"--auth-token-file": str(path)}, CW_AUTH_TOKEN="env").auth_token == "from-file"
    assert read(CW_AUTH_TOKEN="env").auth_token == "env"
    assert read(CW_AUTH_TOKEN_FILE=str(path)).auth_token == "from-file"
    with pytest.raises(ConfigError, match="give one of them"):
        read({"--auth-token": "a", "--auth-token-file": str(path)})
    path.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read({"--auth-token-file": str(path)})
    with pytest.raises(ConfigError, match="reading /nowhere: no such file"):
        read({"--auth-token-file": "/nowhere"})


def test_names_of_the_environment() -> None:
    assert read(CW_BASE_URL="https://r/").base_url == "https://r"
    assert read(DATABASE_URL="postgres://x").database_url == "postgres://x"
    assert read(CW_DATABASE_URL="postgres://y", DATABASE_URL="postgres://x").database_url == (
        "postgres://y"
    )
    assert read(OIDC_CLIENT_SECRET="s").oidc_client_secret == "s"
    assert read(CW_ALLOWED_USERS="a, b,").allowed_users == ("a", "b")
    assert read({"--trusted-proxy": ["10.0.0.0/8"]}).trusted_proxy == ("10.0.0.0/8",)


def test_no_secret_is_handed_on() -> None:
    environ = {"CW_AUTH_TOKEN": "x", "DATABASE_URL": "x", "OIDC_CLIENT_SECRET": "x", "HOME": "/h"}
    environ |= {"NATS_CREDS": "x", "CW_BASE_URL": "u"}
    assert without_secrets(environ) == {"HOME": "/h", "CW_BASE_URL": "u"}


def test_what_has_no_effect_is_named() -> None:
    flags = {"--nats-url": "nats://x", "--task-events-stream": "T", "--listen": ":1"}
    assert names_without_effect(flags, {"NATS_CREDS": "f"}) == [
        "--nats-url",
        "--task-events-stream",
        "NATS_CREDS",
    ]


SHARED = {"database_url": "postgresql://h/d"}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"base_url": ""}, "--base-url is required"),
        ({"base_url": "ftp://x"}, "must be http://host or https://host"),
        ({"base_url": "https://"}, "must be http://host or https://host"),
        ({"base_url": "https://h:x"}, "must be http://host or https://host"),
        ({"base_url": "https://h:99999"}, "must be http://host or https://host"),
        ({"base_url": "https://h\nX: y"}, "must be http://host or https://host"),
        ({"auth_mode": "open"}, "--auth-mode must be one of"),
        ({"tls_key": "k"}, "--tls-cert is not"),
        ({"database_url": "mysql://x"}, "postgres:// or postgresql://"),
        ({"advertise_url": "https://a.example"}, "several relays on one --database-url"),
        ({**SHARED, "advertise_url": "http://a.example"}, "must be https, or http to a private"),
        ({**SHARED, "advertise_url": "http://8.8.8.8:8080"}, "must be https, or http to a private"),
        ({**SHARED, "advertise_url": "a.example"}, "must be http://host or https://host"),
        ({"trusted_proxy": ("10.0.0.300",)}, "--trusted-proxy: "),
        *(
            ({"ssh_public": text}, "--ssh-public .*must be host or host:port")
            for text in (":22", "h:x", "h:99999", "h h", "-o@h", "ssh://h", "h/x", "h\n", "[::1")
        ),
    ],
)
def test_what_is_refused(changed: dict[str, Any], text: str) -> None:
    check_settings(GOOD)
    with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
        check_settings(replace(GOOD, **changed))


@pytest.mark.parametrize(
    "url",
    ["https://a.example", "http://10.0.0.5:8080", "http://[fd00::1]:8080", "http://localhost:1"],
)
def test_where_other_relays_may_come(url: str) -> None:
    check_settings(replace(GOOD, **SHARED, advertise_url=url))


@pytest.mark.parametrize(
    ("public", "bound", "address"),
    [
        ("", 2222, ("relay.example", 2222)),
        ("ssh.example", 2222, ("ssh.example", 2222)),
        ("ssh.example:22", 2222, ("ssh.example", 22)),
        ("[2001:db8::1]:22", 0, ("2001:db8::1", 22)),
    ],
)
def test_where_ssh_is_found(public: str, bound: int, address: tuple[str, int]) -> None:
    settings = replace(GOOD, ssh_public=public)
    check_settings(settings)
    assert settings.ssh_address(bound) == address


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://relay.example", "relay.example", 443),
        ("http://[::1]:8080/cw", "::1", 8080),
        ("http://h", "h", 80),
    ],
)
def test_where_it_is_found(url: str, host: str, port: int) -> None:
    settings = replace(GOOD, base_url=url)
    assert (settings.host, settings.port) == (host, port)
