"""The real agent programs, each in a private HOME that points it at the scripted model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

KEY = "sk-test-0123456789012345678901234567890123456789"
# No telemetry, no updates, nothing but the model on loopback.
QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DO_NOT_TRACK": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "NO_UPDATE_NOTIFIER": "1",
}


class Installed(NamedTuple):
    """A program that is ready to be launched: its argv, environment and working directory."""

    name: str
    argv: list[str]
    env: dict[str, str]
    directory: str


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def prepare(name: str, programs: str, home: str, port: int) -> Installed:
    """Write a program's configuration into `home`; `programs` is npm's .bin directory."""
    work = Path(home, "w1")
    work.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    env = {**QUIET, "HOME": home, "PATH": f"{programs}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    env |= WRITERS[name](Path(home), url, str(work))
    argv = [os.path.join(programs, name), *ARGUMENTS.get(name, ())]
    return Installed(name, argv, env, str(work))


ARGUMENTS = {"opencode": ("--model", "mock/mock")}


def _claude(home: Path, url: str, work: str) -> dict[str, str]:
    trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    state = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "numStartups": 5,
        "autoUpdates": False,
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
        "projects": {work: trusted},
    }
    _write(home / ".claude.json", json.dumps(state))
    _write(home / ".claude" / "settings.json", json.dumps({"theme": "dark"}))
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY}


def _codex(home: Path, url: str, work: str) -> dict[str, str]:
    _write(
        home / ".codex" / "config.toml",
        f"""\
model = "mock"
model_provider = "mock"
check_for_update_on_startup = false
approval_policy = "on-request"
sandbox_mode = "read-only"
[model_providers.mock]
name = "mock"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "MOCK_KEY"
[projects."{work}"]
trust_level = "trusted"
[analytics]
enabled = false
[tui]
show_tooltips = false
""",
    )
    return {"MOCK_KEY": KEY}


def _gemini(home: Path, url: str, work: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "ui": {"hideTips": True},
        "ide": {"hasSeenNudge": True},
    }
    _write(home / ".gemini" / "settings.json", json.dumps(settings))
    return {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_MODEL": "gemini-2.5-pro"}


def _opencode(home: Path, url: str, work: str) -> dict[str, str]:
    config = {
        "autoupdate": False,
        "share": "disabled",
        "permission": {"bash": "ask", "edit": "ask"},
        "provider": {
            "mock": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Mock",
                "options": {"baseURL": f"{url}/v1", "apiKey": KEY},
                "models": {"mock": {"name": "Mock", "tool_call": True}},
            }
        },
    }
    _write(home / ".config" / "opencode" / "opencode.json", json.dumps(config))
    return {}


def _qwen(home: Path, url: str, work: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "ui": {"hideTips": True},
    }
    _write(home / ".qwen" / "settings.json", json.dumps(settings))
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "mock"}


WRITERS = {
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
    "qwen": _qwen,
}
NAMES = tuple(WRITERS)
