"""A release: made twice from one commit, and what is in it. Installing one: test_installer.py."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire import __version__
from tests.publishing import Keys
from tests.support import REPOSITORY

pytestmark = pytest.mark.timeout(600)

WHEEL, SDIST = f"codewire-{__version__}-py3-none-any.whl", f"codewire-{__version__}.tar.gz"
FILES = {WHEEL, SDIST, "cw.pyz", "SHA256SUMS", "SHA256SUMS.asc"}
FILES |= {"codewire.rb", "install.sh", "GPG_PUBLIC_KEY.asc"}
URL = "https://releases.example.org/codewire"
COMMIT_TIME = "1600000000 +0000"


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    keys = Keys("releases", "stranger")
    yield keys
    keys.close()


def clone(path: Path) -> Path:
    """Make a repository of the files as they are now, in one commit of always the same time."""
    names = git(REPOSITORY, "ls-files", "-co", "--exclude-standard").splitlines()
    for name in filter(os.path.isfile, (os.path.join(REPOSITORY, n) for n in names)):
        target = path / os.path.relpath(name, REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    git(path, "init", "-q")
    git(path, "add", "-A", "-f")
    git(path, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "All")
    return path


def git(directory: Path, *args: str) -> str:
    times = {"GIT_AUTHOR_DATE": COMMIT_TIME, "GIT_COMMITTER_DATE": COMMIT_TIME}
    done = subprocess.run(
        ["git", *args], cwd=directory, env={**os.environ, **times}, capture_output=True, check=True
    )
    return done.stdout.decode()


def release(tree: Path, keys: Keys) -> Path:
    command = [sys.executable, str(tree / "scripts" / "release"), "--url", URL]
    done = subprocess.run(
        [*command, "--key", "releases@example.org"], env=keys.env, capture_output=True, timeout=400
    )
    assert done.returncode == 0, done.stderr.decode()
    return tree / "dist" / "release"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("clone"))


@pytest.mark.long
def test_a_release(tree: Path, keys: Keys, tmp_path: Path) -> None:
    """Made twice, in two places; one test, because making it takes the time of many."""
    made = release(tree, keys)
    assert {path.name for path in made.iterdir()} == FILES
    again = release(clone(tmp_path / "elsewhere"), keys)
    for path in made.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    check_wheel(made / WHEEL)
    check_source_distribution(made / SDIST)
    check_formula(made)
    check_sums(made, keys)


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        metadata = wheel.read(f"codewire-{__version__}.dist-info/METADATA").decode()
    assert {"cw.py", "codewire/py.typed", "codewire/agents/claude.toml"} <= set(names)
    for target in re.findall(r"\]\(([^)]*)\)", metadata):
        assert target.startswith(("https://", "#")), f"a link that leads nowhere: {target}"


def check_source_distribution(path: Path) -> None:
    with tarfile.open(path) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    assert not [name for name in inside if name.startswith(("build", ".venv"))]
    tracked = set(git(REPOSITORY, "ls-files", "-co", "--exclude-standard").splitlines())
    missing = {name for name in tracked - inside if (REPOSITORY / name).is_file()}
    assert missing <= {".gitignore"}, "a source distribution has all of it"


def check_formula(made: Path) -> None:
    text = (made / "codewire.rb").read_text()
    digest = hashlib.sha256((made / "cw.pyz").read_bytes()).hexdigest()
    assert f'sha256 "{digest}"' in text
    assert f'/download/v{__version__}/cw.pyz"' in text
    # What CI installs; without it this is not checked.
    if shutil.which("ruby"):
        subprocess.run(["ruby", "-c", str(made / "codewire.rb")], check=True, capture_output=True)


def check_sums(made: Path, keys: Keys) -> None:
    """As people do it by hand, with sha256sum and gpg."""
    names = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(names, cwd=made, check=True, capture_output=True, timeout=60)
    assert len((made / "SHA256SUMS").read_text().splitlines()) == 3
    keys.gpg("--verify", str(made / "SHA256SUMS.asc"), str(made / "SHA256SUMS"))


def test_what_is_not_committed_is_not_released(tree: Path, tmp_path: Path) -> None:
    extra = tree / "codewire" / "extra.py"
    extra.write_text("")
    command = [sys.executable, str(tree / "scripts" / "release"), "--url", URL, "--unsigned"]
    command += ["--output", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, timeout=60)
    extra.unlink()
    assert done.returncode == 1
    assert b"not everything is committed" in done.stderr
    assert b"codewire/extra.py" in done.stderr
    assert not (tmp_path / "none").exists()


def test_an_installation_takes_and_leaves_nothing_in_the_tree(tree: Path, tmp_path: Path) -> None:
    """So it works from a read-only mount, and twice: what was deleted meanwhile is gone."""
    stale = tree / "build" / "lib" / "codewire" / "gone.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("left by setuptools when this module was still there\n")
    before = sorted(tree.rglob("*"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    command = [*pip, "--wheel-dir", str(tmp_path), str(tree)]
    done = subprocess.run(command, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(tree.rglob("*")) == before
    shutil.rmtree(tree / "build")
    with zipfile.ZipFile(tmp_path / WHEEL) as wheel:
        assert "codewire/gone.py" not in wheel.namelist()


def test_make(tree: Path, tmp_path: Path) -> None:
    """`make install` and `make test-manual`; the others are scripts that CI runs."""
    make = ["make", "-s", f"PYTHON={sys.executable}"]
    place = [f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    subprocess.run([*make, "install", *place], cwd=tree, check=True, capture_output=True)
    assert version_of(tmp_path / "usr" / "bin" / "cw") == f"cw version {__version__}"
    done = subprocess.run([*make, "test-manual"], cwd=tree, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for target in ("test", "test-all", "lint", "uninstall", "clean"):
        subprocess.run([*make, "-n", target], cwd=tree, check=True, capture_output=True)


def version_of(cw: Path) -> str:
    return (
        subprocess.run([cw, "--version"], capture_output=True, check=True).stdout.decode().strip()
    )
