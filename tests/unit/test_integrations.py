"""Hooks in other programs' settings: only ours come and go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codewire.client.local.integrations import MARK, PROGRAMS, plan
from codewire.errors import CodewireError

OWN = {
    "theme": "dark",
    "hooks": {
        "Stop": [{"hooks": [{"type": "command", "command": "mine"}]}],
        "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "check"}]}],
    },
    "last": [1, 2],
}


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_installed_once_and_taken_out_again(program: str) -> None:
    change = plan(program, uninstall=False)
    assert change.is_needed and change.before is None and "cw report" in change.diff()
    change.make()
    assert not plan(program, uninstall=False).is_needed
    plan(program, uninstall=True).make()
    assert not Path(change.path).exists()
    assert not plan(program, uninstall=True).is_needed


@pytest.mark.parametrize("program", ["claude", "gemini", "qwen"])
@pytest.mark.parametrize("indent", [2, 4, "\t"])
def test_the_users_settings_stay(program: str, indent: int | str, private_home: Path) -> None:
    path = private_home / f".{program}" / "settings.json"
    path.parent.mkdir()
    text = json.dumps(OWN, indent=indent) + "\n"
    path.write_text(text)
    path.chmod(0o640)
    plan(program, uninstall=False).make()
    settings = json.loads(path.read_text())
    assert list(settings) == list(OWN) and settings["last"] == OWN["last"]
    commands = [
        hook["command"]
        for entries in settings["hooks"].values()
        for entry in entries
        for hook in entry["hooks"]
    ]
    assert {"mine", "check"} <= set(commands)
    ours = [command for command in commands if command.endswith(MARK)]
    assert len(ours) >= 6
    assert all(command.startswith('[ -z "$CW_SESSION_ID" ] || ') for command in ours)
    plan(program, uninstall=True).make()
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o640


def test_codex_keeps_its_text_and_its_own_notify(private_home: Path) -> None:
    path = private_home / ".codex" / "config.toml"
    path.parent.mkdir()
    text = '# mine\nmodel = "x"\n\n[tui]\nnotifications = true\n'
    path.write_text(text)
    plan("codex", uninstall=False).make()
    assert path.read_text().endswith(text) and "notify = [" in path.read_text()
    plan("codex", uninstall=True).make()
    assert path.read_text() == text
    path.write_text('notify = ["mine"]\n')
    with pytest.raises(CodewireError, match="notify of its own"):
        plan("codex", uninstall=False)


@pytest.mark.parametrize("text", ["{", "[]", '{"hooks": []}', '{"hooks": {"Stop": 3}}', "// c\n{}"])
def test_settings_that_are_not_understood_stay(text: str, private_home: Path) -> None:
    path = private_home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(CodewireError, match="stays as it is"):
        plan("claude", uninstall=False)
    assert path.read_text() == text
