"""What a command line is called, through interpreters and runners."""

from __future__ import annotations

import subprocess

import pytest

from codewire.session.agentprocess import hint, program_names
from tests.processes import wait_until


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("claude", "claude"),
        ("/usr/local/bin/claude --continue", "claude"),
        ("node /usr/bin/gemini", "gemini"),
        ("node --no-warnings /opt/n/bin/codex.js", "codex"),
        ("/usr/bin/node /x/node_modules/@google/gemini-cli/bundle/gemini.js", "gemini"),
        ("node /x/node_modules/@anthropic-ai/claude-code/cli.js", "claude"),
        ("npx opencode@latest", "opencode"),
        ("python3 -m aider", "aider"),
        ("python3.12 /home/me/.local/bin/aider --model x", "aider"),
        ("uv run aider", "aider"),
        ("uv tool run aider", "aider"),
        ("env A=b FOO=bar qwen", "qwen"),
        ("npm exec gemini", "gemini"),
    ],
)
def test_agents_behind_wrappers(line: str, name: str) -> None:
    assert name in program_names(line.split())


@pytest.mark.parametrize("line", ["vim claude", "less gemini.txt", "cat codex", "grep claude x"])
def test_an_argument_is_not_the_program(line: str) -> None:
    assert len(program_names(line.split())) == 1


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"A": "b", "CW_AGENT": " Claude ", "Z": "z"}, "claude"),
        ({"CW_AGENT": "x=y"}, "x=y"),
        ({"NOT_CW_AGENT": "claude", "X": "CW_AGENT=claude"}, ""),
        ({"A": "b"}, ""),
    ],
)
def test_a_hint_is_a_variable_of_its_own(environment: dict[str, str], found: str) -> None:
    child = subprocess.Popen(["/bin/sleep", "100"], env=environment)
    try:
        wait_until(lambda: hint(child.pid) is not None, 30, "it has an environment")
        assert hint(child.pid) == found
    finally:
        child.kill()
        child.wait()
    assert hint(child.pid) is None and hint(0) is None
