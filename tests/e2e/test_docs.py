"""The programs in docs/ run, and do what the text beside them shows."""

from __future__ import annotations

import re
import site
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


@pytest.fixture
def installed(home: Home) -> Home:
    """A home as README's first line leaves it: `~/.cw` has the package, and `cw` is on PATH."""
    venv = Path(home.path, ".cw")
    make = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
    subprocess.run(make, check=True, timeout=60)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text("\n".join([str(REPOSITORY), *site.getsitepackages()]))
    cw = Path(home.path, ".local", "bin", "cw")
    cw.parent.mkdir(parents=True)
    cw.write_text(f'#!/bin/sh\nexec {venv}/bin/python {REPOSITORY}/cw.py "$@"\n')
    cw.chmod(0o755)
    home.env["PATH"] = f"{cw.parent}:{home.env['PATH']}"
    home.start_node()
    return home


def typed(home: Home, command: str, code: int = 0) -> str:
    """Run what a document shows behind its `$`; return what comes on stdout."""
    done = subprocess.run(
        ["bash", "-c", command],
        env=home.env,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.smoke
def test_supervisor(installed: Home) -> None:
    program("python.md", "supervisor.py", installed)
    for command, code in (("~/.cw/bin/python supervisor.py", 1), ("cw kv list ci/", 0)):
        assert typed(installed, command, code) == shown("python.md", command)


def test_dispatcher(installed: Home) -> None:
    program("agents.md", "dispatcher.py", installed)
    launch = "cw launch dispatcher -- ~/.cw/bin/python dispatcher.py"
    assert shown("agents.md", launch) == ""
    typed(installed, launch)
    ask = 'cw request --raw --delivery inbox dispatcher "next task"'
    replies = [typed(installed, ask) for _ in range(3)]
    assert replies == ["fix the login bug\n", "write the changelog\n", "nothing left\n"]
    assert replies[0] == shown("agents.md", ask)


@pytest.mark.smoke
def test_every_command_in_the_documents_exists() -> None:
    from codewire.commands.table import TABLE

    for document in (REPOSITORY / "docs").glob("*.md"):
        for word in re.findall(r"^(?:\$ )?cw ([a-z][a-z-]*)", document.read_text(), re.MULTILINE):
            assert word in TABLE, (document.name, word)
