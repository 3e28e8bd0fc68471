"""Docker played by tests/fakedocker.py, for tests that run cw against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import end_processes, pids_with_environment
from tests.support import Home

FAKE = Path(__file__).resolve().parent / "fakedocker.py"


class Engine:
    """The engine's directory, and what it was told."""

    def __init__(self, home: Home) -> None:
        self.directory = Path(home.path, "engine")
        self.directory.mkdir()
        binaries = Path(home.path, "bin")
        binaries.mkdir()
        program = binaries / "docker"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {FAKE} "$@"\n')
        program.chmod(0o755)
        home.env["FAKE_DOCKER"] = str(self.directory)
        home.env["PATH"] = f"{binaries}:{os.path.dirname(sys.executable)}:{home.env['PATH']}"
        bare = self.directory / "bin-without-python"
        bare.mkdir()
        for name in ("sh", "cat", "mkdir", "mv", "id", "pwd", "sleep"):
            (bare / name).symlink_to(f"/bin/{name}" if name != "id" else "/usr/bin/id")
        self.project = Path(home.path, "My.Proj_1")
        self.project.mkdir()

    def argvs(self, verb: str = "") -> list[list[str]]:
        log = self.directory / "log"
        found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [argv for argv in found if argv[0] == (verb or argv[0])]

    def containers(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads((self.directory / "state.json").read_text())
        return found

    def fail(self, *lines: str) -> None:
        (self.directory / "fail").write_text("".join(line + "\n" for line in lines))


@contextmanager
def played_engine(home: Home) -> Iterator[Engine]:
    engine = Engine(home)
    yield engine
    # Nodes inside: processes of this machine, known by what only they were given.
    for name in engine.containers() if (engine.directory / "state.json").exists() else ():
        inside = str(engine.directory / f"home-{name}")
        end_processes(pids_with_environment(f"HOME={inside}"))


def create(home: Home, engine: Engine, *args: str) -> subprocess.CompletedProcess[str]:
    return home.cw(
        "local", "create", "--backend", "docker", *args, cwd=str(engine.project),
        env={"PWD": str(engine.project)},
    )  # fmt: skip
