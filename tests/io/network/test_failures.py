"""Whatever goes wrong with a relay: one line that says what, from every command that asks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.io.network.commandline import CommandLine
from tests.io.network.people import session
from tests.io.network.scriptedrelay import ScriptedRelay, answer
from tests.io.network.test_login_modes import COMMANDS
from tests.io.relay.site import Site

NAMES = {
    "token": "CW-INV-x",
    "enrollment_token": "cw_enr_x",
    "who": "bob",
    "delegation": "x",
    "grant_id": "og_x",
}
# Of these commands what asks nobody: it changes or shows what this machine keeps.
LOCAL = ("network use", "network current", "network clear", "access accept", "access inspect")
LOCAL += ("access prune", "access drop")
# Not for a network: it needs none, or is somebody's own.
ANY_NETWORK = ("network create", "network list", "network join", "whoami")
# Of these a stranger is no refused member: there is nothing to leave, and a token is all it takes.
ANYBODYS = ("network leave", "network enroll redeem", "nodes --all")


def lines(*without: str) -> list[str]:
    """Return a command line of each command, in words and without JSON."""
    found = [line.replace(" --json", "").format(**NAMES) for line, _ in COMMANDS]
    found += ["whoami", "list dev-1", "launch dev-1:x -- true", "logs dev-1:3"]
    return [line for line in dict.fromkeys(found) if not line.startswith((*LOCAL, *without))]


@pytest.fixture
def older() -> Iterator[ScriptedRelay]:
    relay = ScriptedRelay()
    relay.script = answer(404, "404 page not found\n")
    yield relay
    relay.close()


def refuse(user: CommandLine, env: dict[str, str], words: str, *without: str) -> None:
    """Check that all commands fail, each with one line that has the words."""
    for line in lines(*without):
        error = user.run(*line.split(), env=env).error
        assert words in error, (line, error)
    assert not user.home.joinpath(".codewire", "codewire.sock").exists(), "a node was started"


def reaching(url: str, token: str = "", network: str = "proj") -> dict[str, str]:
    given = {"URL": url, "AUTH_TOKEN": token, "NETWORK": network}
    return {f"CODEWIRE_RELAY_{name}": value for name, value in given.items() if value}


def test_no_relay_is_configured(user: CommandLine) -> None:
    refuse(user, reaching(""), "relay not configured (set CODEWIRE_RELAY_URL", "whoami")


def test_nobody_is_logged_in(user: CommandLine, url: str) -> None:
    # An enrollment token is all it takes, and an invite is kept for the machine's node.
    without = ("network enroll redeem", "network join", "whoami")
    refuse(user, reaching(url), "relay user authentication not configured", *without)


def test_it_cannot_be_reached(user: CommandLine) -> None:
    words = "relay http://127.0.0.1:1 cannot be reached: connection refused"
    refuse(user, reaching("http://127.0.0.1:1", "t"), words)


def test_the_token_is_wrong(user: CommandLine, url: str) -> None:
    words = f"relay {url} does not accept this token"
    refuse(user, reaching(url, "wrong"), words, "network enroll redeem", "whoami")
    assert f"{url} does not accept this token" in user.run("whoami", env=reaching(url, "x")).error


def test_no_network_is_selected(user: CommandLine, url: str, site: Site) -> None:
    env = reaching(url, session(site, "ann"), "")
    for line in lines(*ANY_NETWORK, "network enroll redeem", "nodes --all", "kv "):
        error = user.run(*line.split(), env=env).error
        assert "no network" in error and "selected" in error, (line, error)


def test_one_is_no_member(user: CommandLine, url: str, site: Site) -> None:
    site.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    env = reaching(url, session(site, "stranger"))
    for line in lines(*ANY_NETWORK, *ANYBODYS):
        error = user.run(*line.split(), env=env).error
        known = ("you are not in network", "only an owner of network")
        assert any(words in error for words in known), (line, error)


def test_it_is_older(user: CommandLine, older: ScriptedRelay) -> None:
    words = f"relay {older.url} is older than what is asked of it, or none at all: it does not know"
    refuse(user, reaching(older.url, "t"), words)
