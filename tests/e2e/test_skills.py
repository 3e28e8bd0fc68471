"""The skills for Claude Code: their commands run and print what they say; the installer."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.commands.table import TABLE, command_help
from tests.support import CW, REPOSITORY, Home

SKILLS = REPOSITORY / ".claude" / "skills"
NAMES = ["codewire", "codewire-dev"]

# Stands in for the agent: one task, a dialog first, or a prompt that answers.
CLAUDE = f"""#!/bin/sh
export BOX_LOG="$HOME/box"
case $1 in
    -p) echo "done: $2" ;;
    "") echo 'Plan() {{ echo "1. Read it. 2. Write it."; }}' >"$HOME/answers"
        exec bash --rcfile "$HOME/answers" -i ;;
    *) exec {sys.executable} {REPOSITORY}/tests/boxprogram.py menu ;;
esac
"""


@pytest.fixture
def home(home: Home) -> Iterator[Home]:
    programs = Path(home.path, "bin")
    programs.mkdir()
    for name, text in (("cw", f'#!/bin/sh\nexec {" ".join(CW)} "$@"\n'), ("claude", CLAUDE)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    home.env["PATH"] = f"{programs}:{Path(sys.executable).parent}:{home.env['PATH']}"
    yield home


def skill(name: str) -> str:
    return (SKILLS / name / "SKILL.md").read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", skill(name), re.DOTALL | re.MULTILINE)


def run_line_by_line(home: Home, block: str, directory: str) -> None:
    """Run a block in one shell; a line with `# prints: words` must print them."""
    marked = "".join(f"{line}\necho '<<<end>>>'\n" for line in block.splitlines())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", marked],
        env=home.env,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, f"{block}\n{said}"
    for line, output in zip(block.splitlines(), said.split("<<<end>>>\n"), strict=False):
        words = line.partition("# prints: ")[2]
        assert words in output, (line, output)


@pytest.mark.timeout(300)
def test_every_command_of_the_skill_runs(home: Home) -> None:
    assert len(blocks("codewire")) >= 6
    for block in blocks("codewire"):
        run_line_by_line(home, block, home.path)
    assert home.cw("stop", "--now").returncode == 0


@pytest.mark.timeout(300)
def test_every_command_of_the_developers_skill_runs(home: Home) -> None:
    # Its packages, and not another installation of them; where that is up to date.
    home.env["CW_VENV"] = sys.prefix
    for block in blocks("codewire-dev"):
        run_line_by_line(home, block, str(REPOSITORY))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_skill_names_is_there(name: str) -> None:
    text = skill(name)
    head = text.split("---\n")[1]
    assert f"name: {name}\n" in head
    assert len(re.search(r"description: (.*)", head)[1]) < 1024  # type: ignore[index]
    for word in re.findall(r"`(?:cw|cw\.py) ([a-z][a-z-]+)", text):
        assert word in TABLE, word
    for path in re.findall(r"`((?:docs|scripts|codewire|tests)/[\w./-]*)`", text):
        assert (REPOSITORY / path).exists(), path
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    others = {"--strict", "--norc", "--version"}
    helped = "".join(command_help(command) for command in TABLE)
    assert {option for option in options - others if option not in helped} == set()


def install(home: Home, *args: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        ["bash", *args], env=home.env, cwd=home.path, capture_output=True, timeout=60, **options
    )


def test_the_installer(home: Home) -> None:
    script = str(SKILLS / "install.sh")
    for args, target in ((), Path(home.path)), (("--project", "."), Path(home.path, "project")):
        target.mkdir(exist_ok=True)
        where = [args[0], str(target)] if args else []
        done = install(home, script, *where)
        assert done.returncode == 0, done.stderr
        installed = target / ".claude" / "skills"
        assert sorted(path.name for path in installed.iterdir()) == NAMES
        for name in NAMES:
            assert (installed / name / "SKILL.md").read_text() == skill(name)
    piped = {"input": Path(script).read_bytes()}
    refused = install(home, "-s", **piped)
    assert refused.returncode == 1
    assert b"set CODEWIRE_SOURCE" in refused.stderr
    home.env["CODEWIRE_SOURCE"] = f"file://{REPOSITORY}"
    Path(home.path, ".claude/skills/codewire/SKILL.md").write_text("an older one")
    assert install(home, "-s", **piped).returncode == 0
    assert Path(home.path, ".claude/skills/codewire/SKILL.md").read_text() == skill("codewire")
    home.env["CODEWIRE_SOURCE"] = f"file://{home.path}/nowhere"
    assert install(home, "-s", **piped).returncode == 1
    assert sorted(p.name for p in Path(home.path, ".claude/skills").iterdir()) == NAMES
