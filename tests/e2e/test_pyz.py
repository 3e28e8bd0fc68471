"""cw.pyz: the program in one file, on a Python with nothing installed and in an empty world."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publishing import build_pyz
from tests.support import REPOSITORY, Home

VENDORED = {"docopt/__init__.pyc", "toml/__init__.pyc"}
LICENSES = {"LICENSE", "LICENSE.docopt", "LICENSE.toml"}


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pyz(tmp_path_factory.mktemp("pyz") / "cw.pyz")


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python of this version with an empty site-packages."""
    path = tmp_path_factory.mktemp("bare") / "venv"
    make = [sys.executable, "-m", "venv", "--without-pip", str(path)]
    subprocess.run(make, check=True, timeout=60)
    return str(path / "bin" / "python")


@pytest.fixture
def empty_home(home: Home) -> Iterator[Home]:
    """A home whose environment is HOME and nothing else, as under `env -i HOME=…`."""
    home.env = {"HOME": home.path}
    yield home


def run(home: Home, *command: str) -> str:
    """Run a command in the home and return its stdout; it must succeed."""
    done = subprocess.run(
        command,
        env=home.env,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def main_job(home: Home, *cw: str) -> str:
    """Launch, list, read, wait and stop; return the runtime the node chose."""
    session = run(
        home, *cw, "launch", "--quiet", "--", "/bin/sh", "-c", "echo 'one'; echo 'two'"
    ).strip()
    assert session == "1"
    run(home, *cw, "wait", session)
    assert run(home, *cw, "logs", session).splitlines() == ["one", "two"]
    listed = json.loads(run(home, *cw, "list", "--json"))
    assert [(entry["id"], entry["status"]) for entry in listed] == [(1, "completed (0)")]
    runtime = json.loads(run(home, *cw, "node", "status", "--json"))["runtime"]
    run(home, *cw, "stop")
    assert not home.processes(), "cw stop left something behind"
    assert isinstance(runtime, str)
    return runtime


@pytest.mark.smoke
def test_main_job_on_a_bare_python(pyz: Path, bare_python: str, empty_home: Home) -> None:
    assert main_job(empty_home, bare_python, "-I", "-S", str(pyz)) == "threads"


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
def test_an_installed_gevent_is_used(pyz: Path, empty_home: Home) -> None:
    assert main_job(empty_home, sys.executable, str(pyz)) == "gevent"


def test_reads_the_configuration_with_its_own_toml(
    pyz: Path, bare_python: str, empty_home: Home
) -> None:
    Path(empty_home.data_dir).mkdir()
    Path(empty_home.data_dir, "config.toml").write_text("[node]\nname = 7\n")
    done = subprocess.run(
        [bare_python, str(pyz), "node"], env=empty_home.env, capture_output=True, timeout=20
    )
    assert done.returncode == 1
    assert b"node.name must be a string" in done.stderr


def test_holds_compiled_files_and_licenses(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = set(archive.namelist())
        kinds = {info.compress_type for info in archive.infolist()}
    assert names >= VENDORED | LICENSES | {"codewire/__init__.pyc", "cw.pyc", "__main__.pyc"}
    assert not [name for name in names if name.startswith(("tests/", "gevent/"))]
    sources = {
        p for p in (REPOSITORY / "codewire").rglob("*") if p.is_file() and p.suffix != ".pyc"
    }
    assert names >= {p.relative_to(REPOSITORY).as_posix() for p in sources}
    assert kinds == {zipfile.ZIP_STORED}


def test_other_pythons_run_the_sources(
    pyz: Path, bare_python: str, tmp_path: Path, empty_home: Home
) -> None:
    """Compiled files of another version (here: with a magic number of none) are passed over."""
    foreign = tmp_path / "cw.pyz"
    with zipfile.ZipFile(pyz) as archive, zipfile.ZipFile(foreign, "w") as copy:
        for info in archive.infolist():
            data = archive.read(info)
            copy.writestr(info, b"\0\0\r\n" + data[4:] if info.filename.endswith(".pyc") else data)
    version = run(empty_home, bare_python, str(foreign), "--version")
    assert version == run(empty_home, bare_python, str(pyz), "--version")
    assert version.startswith("cw version ")


def test_is_executable_by_itself(pyz: Path, home: Home) -> None:
    assert run(home, str(pyz), "--version").startswith("cw version ")


@pytest.mark.smoke
def test_equal_sources_make_equal_archives(pyz: Path, tmp_path: Path) -> None:
    assert build_pyz(tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()


@pytest.mark.parametrize("has_pip", [False, True])
def test_what_cannot_be_had_is_said_in_one_line(
    bare_python: str, tmp_path: Path, has_pip: bool
) -> None:
    """On a Python with nothing installed; the second one's pip reaches no index."""
    if has_pip:
        (tmp_path / "pip.py").write_text("import sys\nsys.exit('ERROR: no route to the index')\n")
    done = subprocess.run(
        [bare_python, str(REPOSITORY / "scripts" / "build-pyz"), str(tmp_path / "cw.pyz")],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    words = b"no route to the index" if has_pip else b"has no pip"
    assert words in done.stderr
    assert done.stderr.startswith(b"build-pyz: docopt-ng ")
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "cw.pyz").exists()
