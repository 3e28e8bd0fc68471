"""`cw` in this process, in a HOME of its own: what a command prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codewire import commands

VARIABLES = (
    "CODEWIRE_DIR", "CODEWIRE_SERVER", "CODEWIRE_RELAY_URL", "CODEWIRE_RELAY_NETWORK",
    "CODEWIRE_RELAY_AUTH_TOKEN", "CODEWIRE_RELAY_INVITE_TOKEN", "CODEWIRE_RELAY_NODE_TOKEN",
    "CODEWIRE_RELAY_NODE_NETWORK", "CODEWIRE_RELAY_TOKEN", "CODEWIRE_API_KEY",
    "CODEWIRE_SERVER_URL", "CODEWIRE_NODE_NAME", "CW_CONFIG_DIR", "CW_DEBUG",
)  # fmt: skip


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        assert (self.status, self.out) == (1, ""), self
        lines = [line for line in self.err.splitlines() if not line.startswith("[cw] ")]
        assert len(lines) == 1 and lines[0].startswith("Error: "), self
        return lines[0].removeprefix("Error: ")


class CommandLine:
    """A user of one machine: `cw(…)` must succeed, `run(…)` may not."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.config = home / ".codewire" / "config.toml"
        self.login = home / ".config" / "cw" / "config.json"
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> Done:
        with self._monkeypatch.context() as patch:
            for name in VARIABLES:
                patch.delenv(name, raising=False)
            patch.setenv("HOME", str(self.home))
            patch.setenv("HOSTNAME", "laptop")
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            self._capsys.readouterr()
            status = commands.main(list(argv))
            captured = self._capsys.readouterr()
        return Done(status, captured.out, captured.err)

    def cw(self, *argv: str, env: Mapping[str, str] | None = None) -> Done:
        done = self.run(*argv, env=env)
        assert done.status == 0, (argv, done)
        return done

    def write_config(self, text: str) -> None:
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(text)

    def log_in(self, server: str, token: str) -> None:
        """Keep a login without asking anybody."""
        self.login.parent.mkdir(parents=True, exist_ok=True)
        self.login.write_text(json.dumps({"server_url": server, "session_token": token}))
