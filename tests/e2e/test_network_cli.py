"""Logging in and networks with real processes: docs/relay.md's first five minutes, typed."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path

from tests.remote import free_port
from tests.support import CW, REPOSITORY, Home, wait_until

MARK = "HTTP listening"


def typed(home: Home) -> list[str]:
    """Return the lines of the section, with a port of ours; pip has been there already."""
    text = (REPOSITORY / "docs" / "relay.md").read_text()
    (section,) = re.findall(r"## In five minutes\n(.*?)\n## ", text, re.DOTALL)
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", section, re.DOTALL)).splitlines()
    assert lines[0] == "pip install 'codewire[relay]'"
    port = free_port()
    return [line.replace("8080", str(port)) for line in lines[1:]]


def test_the_first_five_minutes(home: Home) -> None:
    """One shell types them; a second user comes in by what the last line shows."""
    sessions = home.cw("list", "--json").stdout
    program = Path(home.path, "bin", "cw")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(CW)} "$@"\n')
    program.chmod(0o755)
    shell = subprocess.Popen(
        ["bash"],
        env={**home.env, "PATH": f"{program.parent}:{home.env['PATH']}"},
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert shell.stdin is not None and shell.stdout is not None
    try:
        token, serve, *rest = [line for line in typed(home) if line]
        shell.stdin.write(f"{token}\n{serve}\nRELAY=$!\n")
        shell.stdin.flush()
        said = ""
        while MARK not in said:
            line = shell.stdout.readline()
            assert line, said
            said += line
        shell.stdin.write("\n".join(rest) + "\necho; echo end\n")
        shell.stdin.flush()
        said = "".join(iter(shell.stdout.readline, "end\n"))
        assert 'as admin\nNetwork "project-alpha" created and selected\n' in said, said
        assert re.search(r"^admin +owner ", said, re.MULTILINE)
        (join,) = re.findall(
            r"^  cw (network join --relay-url \S+ CW-INV-\S+)$", said, re.MULTILINE
        )
        kept = Path(home.path, ".config", "cw", "config.json")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        # A login is no matter of sessions.
        assert home.cw("list", "--json").stdout == sessions
        # Nobody is logged in there: the invite is for the machine's node.
        env = {"HOME": os.path.join(home.path, "other")}
        os.mkdir(env["HOME"])
        stored = home.cw(*join.split(), "--json", env=env)
        assert json.loads(stored.stdout)["status"] == "stored", stored
        # The relay ends, and that is said in one line.
        shell.stdin.write("kill $RELAY; wait $RELAY; echo ended\n")
        shell.stdin.flush()
        while "ended" not in shell.stdout.readline():
            pass
        gone = home.cw("network", "list")
        assert (gone.returncode, gone.stdout) == (1, "")
        assert gone.stderr.count("\n") == 1 and "cannot be reached" in gone.stderr
    finally:
        shell.stdin.close()
        wait_until(lambda: shell.poll() is not None, 20, "the shell ends")
        shell.stdout.close()
