"""install.sh, from servers that tell the truth and from those that lie."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codewire import __version__
from tests.publishing import Keys, Server, build_pyz
from tests.support import REPOSITORY

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    keys = Keys("releases", "stranger")
    yield keys
    keys.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: Server, keys: Keys) -> Path:
    """What install.sh needs of a release, made by the same steps."""
    directory = tmp_path_factory.mktemp("made")
    build_pyz(directory / "cw.pyz")
    steps = f"""
import importlib.machinery, importlib.util, pathlib, sys
loader = importlib.machinery.SourceFileLoader("release", {str(REPOSITORY / "scripts/release")!r})
release = importlib.util.module_from_spec(importlib.util.spec_from_loader("release", loader))
loader.exec_module(release)
made, url, key = pathlib.Path(sys.argv[1]), sys.argv[2], "releases@example.org"
release.write_sums(made)
release.sign(made, key, 1600000000)
release.write_installer(made, url, key)
"""
    command = [sys.executable, "-B", "-c", steps, str(directory), server.url]
    subprocess.run(command, env=keys.env, check=True, timeout=60)
    server.publish(directory)
    return directory


@pytest.fixture
def published(made: Path, server: Server) -> Iterator[Server]:
    yield server
    server.cut.clear()
    server.files.clear()
    server.publish(made)


class Install:
    """Runs a copy of install.sh into a prefix, with a directory for temporary files of its own."""

    def __init__(self, script: Path, directory: Path) -> None:
        self.script = script
        self.prefix = directory / "prefix"
        self.cw = self.prefix / "bin" / "cw"
        # Too long for a socket in it.
        self.temporary = directory / ("t" * 100)
        self.temporary.mkdir()
        python = os.path.dirname(sys.executable)
        self.env = {
            "PATH": f"{python}:{os.environ['PATH']}",
            "HOME": str(directory),
            "TMPDIR": str(self.temporary),
        }

    def run(self, *args: str, code: int = 0, script: bytes | None = None) -> str:
        """Pipe the script into bash, as curl does; return what it says."""
        done = subprocess.run(
            ["bash", "-s", "--", "--prefix", str(self.prefix), *args],
            input=self.script.read_bytes() if script is None else script,
            env=self.env,
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == code, done.stderr.decode()
        assert list(self.temporary.iterdir()) == [], "something was left behind"
        return done.stderr.decode()

    def refuses(self, words: str, *args: str) -> None:
        """It ends with one line that has these words, and changes nothing."""
        before = self._state()
        said = self.run(*args, code=1)
        assert words in said.splitlines()[-1], said
        assert said.rstrip().endswith("; nothing was installed")
        assert self._state() == before

    def _state(self) -> list[tuple[str, bytes]]:
        return [(str(p), p.read_bytes() if p.is_file() else b"") for p in self.prefix.rglob("*")]


@pytest.fixture
def install(made: Path, tmp_path: Path) -> Install:
    return Install(made / "install.sh", tmp_path)


def test_the_latest_and_a_named_release(published: Server, install: Install) -> None:
    said = install.run()
    assert "signature of SHA256SUMS: good" in said
    assert f"cw {__version__} is installed: {install.cw}" in said
    assert f"{install.cw.parent} is not in PATH" in said
    assert version_of(install.cw) == f"cw version {__version__}"
    install.cw.write_text("an older one")
    install.env["PATH"] = f"{install.cw.parent}:{install.env['PATH']}"
    assert "PATH" not in install.run("--version", f"v{__version__}")
    assert version_of(install.cw) == f"cw version {__version__}"
    install.run(f"--version={__version__}")
    assert [p.name for p in install.cw.parent.iterdir()] == ["cw"]


def version_of(cw: Path) -> str:
    return (
        subprocess.run([cw, "--version"], capture_output=True, check=True).stdout.decode().strip()
    )


def latest(name: str) -> str:
    return f"/releases/latest/download/{name}"


def another_program(server: Server, keys: Keys) -> None:
    server.files[latest("cw.pyz")] += b"x"


def half_a_program(server: Server, keys: Keys) -> None:
    server.cut.add(latest("cw.pyz"))


def half_the_sums(server: Server, keys: Keys) -> None:
    server.cut.add(latest("SHA256SUMS"))


def sums_of_another_program(server: Server, keys: Keys) -> None:
    """Checksums that fit a changed program: only the signature tells."""
    another_program(server, keys)
    digest = hashlib.sha256(server.files[latest("cw.pyz")]).hexdigest()
    server.files[latest("SHA256SUMS")] = f"{digest}  cw.pyz\n".encode()


def a_strangers_signature(server: Server, keys: Keys) -> None:
    sums_of_another_program(server, keys)
    path = Path(keys.env["GNUPGHOME"], "sums")
    path.write_bytes(server.files[latest("SHA256SUMS")])
    options = ("--yes", "--armor", "-u", "stranger@example.org", "-o", f"{path}.asc")
    keys.gpg(*options, "--detach-sign", str(path))
    server.files[latest("SHA256SUMS.asc")] = Path(f"{path}.asc").read_bytes()


def no_signature(server: Server, keys: Keys) -> None:
    del server.files[latest("SHA256SUMS.asc")]


def sums_without_the_program(server: Server, keys: Keys) -> None:
    """Signed, but of something else: a name that only ends like the right one does not count."""
    path = Path(keys.env["GNUPGHOME"], "sums")
    digest = hashlib.sha256(server.files[latest("cw.pyz")]).hexdigest()
    path.write_text(f"{digest}  not-cw.pyz\n")
    options = ("--yes", "--armor", "-u", "releases@example.org", "-o", f"{path}.asc")
    keys.gpg(*options, "--detach-sign", str(path))
    server.files[latest("SHA256SUMS")] = path.read_bytes()
    server.files[latest("SHA256SUMS.asc")] = Path(f"{path}.asc").read_bytes()


LIES: list[tuple[Callable[[Server, Keys], None], str]] = [
    (another_program, "the checksum of cw.pyz is wrong"),
    (half_a_program, "cw.pyz cannot be downloaded"),
    (half_the_sums, "SHA256SUMS cannot be downloaded"),
    (sums_of_another_program, "the signature of SHA256SUMS is wrong"),
    (a_strangers_signature, "the signature of SHA256SUMS is wrong"),
    (no_signature, "no signature"),
    (sums_without_the_program, "does not name cw.pyz"),
]


@pytest.mark.parametrize("has_one", [True, False])
def test_servers_that_lie(
    published: Server, made: Path, keys: Keys, install: Install, has_one: bool
) -> None:
    if has_one:
        install.cw.parent.mkdir(parents=True)
        install.cw.write_text("the one before")
    for lie, words in LIES:
        lie(published, keys)
        install.refuses(words)
        published.cut.clear()
        published.files.clear()
        published.publish(made)


def test_what_cannot_be_installed(published: Server, install: Install, tmp_path: Path) -> None:
    install.refuses("SHA256SUMS cannot be downloaded", "--version", "v9.9.9")
    for name in ("SHA256SUMS", "SHA256SUMS.asc", "cw.pyz"):
        published.files[f"/releases/download/v9.9.9/{name}"] = published.files[latest(name)]
    install.refuses(f"says that it is v{__version__}", "--version", "v9.9.9")
    install.refuses("no version: ../x", "--version", "../x")
    install.refuses("unknown argument: --verison", "--verison", "v1")
    install.refuses("--version needs a value", "--version")
    (tmp_path / "file").write_text("")
    install.refuses("cannot be written", "--prefix", str(tmp_path / "file"))
    install.env["CODEWIRE_RELEASES"] = "http://127.0.0.1:1/none"
    install.refuses("cannot be downloaded")


def tools(directory: Path, *left_out: str) -> str:
    """Return a PATH with what install.sh uses, some of it left out."""
    directory.mkdir()
    names = "bash awk cut tail grep cat cp mv rm rmdir mkdir mktemp chmod dirname gpg"
    for name in (*names.split(), "curl", "wget", "sha256sum", "shasum", "python3", "env"):
        found = sys.executable if name == "python3" else shutil.which(name)
        if found and name not in left_out:
            (directory / name).write_text(f'#!/bin/bash\nexec "{found}" "$@"\n')
            (directory / name).chmod(0o755)
    return str(directory)


def test_with_fewer_tools(published: Server, install: Install, tmp_path: Path) -> None:
    install.env["PATH"] = tools(tmp_path / "a", "gpg")
    assert "gpg is not installed (checksums are)" in install.run()
    install.env["PATH"] = tools(tmp_path / "b", "sha256sum", "curl")
    if shutil.which("wget") and shutil.which("shasum"):
        assert "is installed" in install.run()
        published.cut.add(latest("cw.pyz"))
        install.refuses("cannot be downloaded")
        published.cut.clear()
    install.env["PATH"] = tools(tmp_path / "c", "sha256sum", "shasum")
    install.refuses("sha256sum or shasum is needed")
    install.env["PATH"] = tools(tmp_path / "d", "curl", "wget")
    install.refuses("curl or wget is needed")
    install.env["PATH"] = tools(tmp_path / "e", "python3")
    install.refuses("Python 3.10 or newer is needed")


def test_another_python_than_python3(published: Server, install: Install, tmp_path: Path) -> None:
    """Where python3 is too old, the program is made to run on the one that is not."""
    install.env["PATH"] = tools(tmp_path / "a", "python3")
    python = Path(install.env["PATH"], "python3.11")
    python.write_text(f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    old = python.with_name("python3")
    old.write_text("#!/bin/bash\nexit 1\n")
    old.chmod(0o755)
    install.run()
    assert install.cw.read_bytes().startswith(b"#!/usr/bin/env python3.11\nPK")
    done = subprocess.run([install.cw, "--version"], env=install.env, capture_output=True)
    assert done.stdout.decode().strip() == f"cw version {__version__}", done.stderr


def test_a_script_that_was_cut_does_nothing(published: Server, install: Install) -> None:
    whole = install.script.read_bytes()
    for size in range(0, len(whole), 611):
        subprocess.run(
            ["bash", "-s", "--", "--prefix", str(install.prefix)],
            input=whole[:size],
            env=install.env,
            capture_output=True,
            timeout=60,
        )
        assert not install.prefix.exists(), size
    assert list(install.temporary.iterdir()) == []


def test_the_copy_in_the_repository_asks_where_releases_are(tmp_path: Path) -> None:
    Install(REPOSITORY / "install.sh", tmp_path).refuses("set CODEWIRE_RELEASES")
