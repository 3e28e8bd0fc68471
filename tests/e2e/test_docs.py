"""The programs in docs/ run, and do what the text beside them shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, Home


def program(document: str, name: str, home: Home) -> str:
    """Write a program out of a document into the home and return its path."""
    text = (REPOSITORY / "docs" / document).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (source,) = [block for block in blocks if block.startswith(f"# {name}\n")]
    path = Path(home.path, name)
    path.write_text(source)
    return str(path)


def shown(document: str, command: str) -> str:
    """Return what a document shows as the output of a command."""
    text = (REPOSITORY / "docs" / document).read_text()
    found = re.search(re.escape(f"$ {command}\n") + r"(.*?)(?=\$ |```)", text, re.DOTALL)
    assert found is not None, command
    return found[1]


@pytest.mark.smoke
def test_supervisor(home: Home) -> None:
    home.start_node()
    done = subprocess.run(
        [sys.executable, program("python.md", "supervisor.py", home)],
        env={**home.env, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == shown("python.md", "python3 supervisor.py"), done.stderr
    assert done.returncode == 1
    assert home.cw("kv", "list", "ci/").stdout == shown("python.md", "cw kv list ci/")


def test_dispatcher(home: Home) -> None:
    home.start_node()
    path = program("agents.md", "dispatcher.py", home)
    env = [f"PYTHONPATH={REPOSITORY}"]
    home.launch(sys.executable, path, name="dispatcher", env=env)
    command = ("request", "--raw", "--delivery", "inbox", "dispatcher", "next task")
    replies = [home.cw(*command).stdout for _ in range(3)]
    assert replies == ["fix the login bug\n", "write the changelog\n", "nothing left\n"]
    assert replies[0] == shown(
        "agents.md", 'cw request --raw --delivery inbox dispatcher "next task"'
    )


@pytest.mark.smoke
def test_every_command_in_the_documents_exists() -> None:
    from codewire.commands.table import TABLE

    for document in (REPOSITORY / "docs").glob("*.md"):
        for word in re.findall(r"^(?:\$ )?cw ([a-z][a-z-]*)", document.read_text(), re.MULTILINE):
            assert word in TABLE, (document.name, word)
