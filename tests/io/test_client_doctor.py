"""What the doctor finds in a data directory, a configuration and a machine: one finding each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codewire.commands.context import Context
from codewire.commands.system import doctor as command
from codewire.commands.system.doctor import directory, machine, node, settings
from codewire.commands.system.doctor.finding import FAIL, OK, SKIP, WARN
from codewire.io.unix import claim_name, claim_of
from tests.kernel import needs_names

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIUdBzewG5Ur6oYuCZSKghDVjmzsSMwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjcwMTA3MzRaFw00NjExMjIwMTA3MzRaMAwx
CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARjjFWBKso7VWzZ
kP29Y+7hj2mJ0mJuTVztz+1/Yn2SYrvkUaCw7WBleZmvOsuEhyFc6U7SsbsOzIG5
pUe10vzCo1MwUTAdBgNVHQ4EFgQUhNMTL1qZdli0rxj+ue4gMIw+0WAwHwYDVR0j
BBgwFoAUhNMTL1qZdli0rxj+ue4gMIw+0WAwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiEA3lnd3v8IR+G7CE0ntC2OrjAqRLGPG4PxgbuzxRDscVYC
IGzCvxQFRyjV9b8r4aZmcdswzt5cP1J870ezFdU/HgFj
-----END CERTIFICATE-----
"""
# Of no use to anybody: made for this test.
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXXPKzQe2FE1g2DLg
AxFP+dj79L1nFgbnTh8BsNKqceahRANCAARjjFWBKso7VWzZkP29Y+7hj2mJ0mJu
TVztz+1/Yn2SYrvkUaCw7WBleZmvOsuEhyFc6U7SsbsOzIG5pUe10vzC
-----END PRIVATE KEY-----
"""

Finding = tuple[str, str, str]
Check = Callable[[Context], Iterator[Finding]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data"
    monkeypatch.setenv("CODEWIRE_DIR", str(root))
    for name in ("CODEWIRE_SERVER", "CODEWIRE_LISTEN", "CODEWIRE_NODE_NAME", "CW_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    return root


def found(check: Check) -> dict[str, tuple[str, str]]:
    return {name: (status, detail) for name, status, detail in check(Context({}))}


def made(root: Path, config: str = "") -> Path:
    root.mkdir(0o700)
    if config:
        (root / "config.toml").write_text(config)
    return root


# The data directory


def test_a_directory_in_order(root: Path) -> None:
    assert found(directory.data_dir)["data dir"][0] == SKIP
    made(root)
    findings = found(directory.data_dir)
    assert findings["data dir"] == (OK, str(root))
    assert findings["disk"][0] in (OK, WARN)
    assert found(directory.owners)["owners"][0] == OK
    assert found(directory.pid_file) == {}


def test_a_file_where_the_directory_should_be(root: Path) -> None:
    root.write_text("")
    assert found(directory.data_dir) == {
        "data dir": (FAIL, f"{root} is a file where the data directory should be: move it away")
    }


def test_a_directory_that_cannot_be_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "file").write_text("")
    monkeypatch.setenv("CODEWIRE_DIR", str(root.parent / "file" / "sub"))
    status, detail = found(directory.data_dir)["data dir"]
    assert status == FAIL
    monkeypatch.setenv("CODEWIRE_DIR", str(root.parent / "none" / "sub"))
    status, detail = found(directory.data_dir)["data dir"]
    assert (status, "makes both" in detail) == (WARN, True)
    os.symlink(root.parent / "nowhere", root)
    monkeypatch.setenv("CODEWIRE_DIR", str(root))
    status, detail = found(directory.data_dir)["data dir"]
    assert (status, "symbolic link" in detail) == (FAIL, True)


def raiser(error: OSError) -> Callable[[str], None]:
    def fail(_: str) -> None:
        raise error

    return fail


def test_a_directory_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(root).chmod(0o500)
    assert found(directory.data_dir)["data dir"][0] == FAIL
    root.chmod(0o755)
    with monkeypatch.context() as patch:
        # As of an ext4 that has met an error: access(2) says nothing of that.
        patch.setattr(directory, "_make_nameless", raiser(OSError(30, "Read-only file system")))
        status, detail = found(directory.data_dir)["data dir"]
        assert (status, "Read-only file system" in detail) == (FAIL, True)
    status, detail = found(directory.data_dir)["data dir"]
    assert (status, "chmod 700" in detail) == (WARN, True)


def test_what_belongs_to_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can give files away, so the directory's owner is who differs here."""
    made(root)
    (root / "sessions" / "1").mkdir(parents=True)
    (root / "sessions" / "1" / "output.log").write_text("")
    real = os.stat
    owner = os.getuid() + 1

    def stat_of_another(path: str, **options: object) -> os.stat_result:
        values = list(real(path, **options))  # type: ignore[arg-type]
        values[4] = owner
        return os.stat_result(values)

    with monkeypatch.context() as patch:
        patch.setattr(directory, "_owner", lambda path: stat_of_another(path))
        status, detail = found(directory.data_dir)["data dir"]
        assert (status, "belongs to" in detail) == (FAIL, True)
        status, detail = found(directory.owners)["owners"]
        assert status == FAIL
        assert detail.startswith("3 files belong to ") and "sessions/1/output.log" in detail
        assert f"chown -R {owner}:" in detail


@pytest.mark.parametrize(
    ("text", "words"), [("1", "is stale"), ("4194305", "is stale"), ("x", "no number"), ("", "no")]
)
def test_a_pid_file_that_lies(root: Path, text: str, words: str) -> None:
    made(root)
    (root / "codewire.pid").write_text(text)
    status, detail = found(directory.pid_file)["pid file"]
    assert (status, words in detail) == (WARN, True)


def test_a_pid_file_that_is_none(root: Path) -> None:
    made(root)
    os.mkfifo(root / "codewire.pid")
    assert found(directory.pid_file)["pid file"][0] == WARN


# The configuration


def test_a_configuration_in_order(root: Path) -> None:
    assert found(settings.config) == {"config": (OK, "none: the defaults")}
    assert found(settings.listen)["listen"][0] == SKIP
    made(root, "[node]\nname = 'x'\n")
    assert found(settings.config)["config"][0] == OK


def test_a_configuration_that_cannot_be_parsed(root: Path) -> None:
    made(root, "[node\n")
    status, detail = found(settings.config)["config"]
    assert (status, "config.toml" in detail) == (FAIL, True)
    assert found(settings.listen) == {}


def test_an_unknown_key(root: Path) -> None:
    made(root, "[node]\ngrace_second = 1\n")
    status, detail = found(settings.config)["config"]
    assert status == WARN
    assert "node.grace_second is no known key: did you mean node.grace_seconds?" in detail


def test_a_port_that_is_taken(root: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made(root, f"[node]\nlisten = '127.0.0.1:{port}'\n")
        status, detail = found(settings.listen)["listen"]
        assert status == FAIL
        assert f"127.0.0.1:{port} is taken by another program (pid {os.getpid()}, " in detail
    assert found(settings.listen)["listen"][0] == OK


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "192.0.2.1:0x5"])
def test_an_address_that_is_none(root: Path, address: str) -> None:
    made(root, f"[node]\nlisten = '{address}'\n")
    assert found(settings.listen)["listen"][0] == FAIL


def test_a_public_address_without_tls(root: Path) -> None:
    made(root, "[node]\nlisten = '0.0.0.0:0'\n")
    findings = found(settings.listen)
    assert (findings["listen"][0], findings["tls"][0]) == (OK, WARN)
    (root / "config.toml").write_text("[node]\nlisten = '127.0.0.1:0'\n")
    assert set(found(settings.listen)) == {"listen"}


def certificate(root: Path) -> None:
    """Write a self-signed certificate for x, of 2026 and good for twenty years, and its key."""
    (root / "c.pem").write_text(CERTIFICATE)
    (root / "k.pem").write_text(KEY)


def test_certificates(root: Path) -> None:
    made(root, "[node]\ntls_cert = 'c.pem'\ntls_key = 'k.pem'\n")
    status, detail = found(settings.config)["certificate"]
    assert (status, "no such file" in detail) == (FAIL, True)
    (root / "c.pem").write_text("no certificate")
    assert found(settings.config)["certificate"][0] == FAIL
    certificate(root)
    status, detail = found(settings.config)["certificate"]
    assert (status, detail.startswith("c.pem, until ")) == (OK, True)
    (root / "config.toml").write_text("[node]\ntls_key = 'k.pem'\n")
    assert found(settings.config)["certificate"][0] == FAIL


def test_an_expired_certificate(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from codewire.client.local import exposure

    made(root, "[node]\ntls_cert = 'c.pem'\ntls_key = 'k.pem'\n")
    certificate(root)
    monkeypatch.setattr(exposure, "now", lambda: 4_000_000_000.0)
    status, detail = found(settings.config)["certificate"]
    assert (status, "has expired" in detail) == (FAIL, True)


# The machine


def test_gevent_that_is_asked_for_must_be_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_gevent", lambda: False)
    assert found(machine.python)["gevent"][0] == WARN
    monkeypatch.setenv("CW_RUNTIME", "gevent")
    assert found(machine.python)["gevent"][0] == FAIL
    monkeypatch.setenv("CW_RUNTIME", "threds")
    assert "is ignored" in found(machine.python)["gevent"][1]


def test_a_machine_without_pseudo_terminals(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[int, int]:
        raise FileNotFoundError(2, "No such file or directory", "/dev/ptmx")

    assert found(machine.limits)["terminals"][0] in (OK, WARN)
    monkeypatch.setattr(machine, "open_terminal", fail)
    status, detail = found(machine.limits)["terminals"]
    assert (status, "no pseudo-terminal can be opened" in detail) == (FAIL, True)


# All of them


def test_the_worst_comes_first_and_nothing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    held = threading.Event()

    def fine(context: Context) -> Iterator[Finding]:
        yield "fine", OK, ""
        yield "so so", WARN, ""

    def hung_up(context: Context) -> Iterator[Finding]:
        yield "before", SKIP, ""
        held.wait(60)
        yield "after", OK, ""

    def broken(context: Context) -> Iterator[Finding]:
        raise AssertionError
        yield "never", OK, ""

    monkeypatch.setattr(command, "CHECK_SECONDS", 0.2)
    findings = command.examine((fine, hung_up, broken), Context({}))
    held.set()
    assert [(name, status) for name, status, _ in findings] == [
        ("hung up", FAIL), ("so so", WARN), ("broken", WARN), ("fine", OK), ("before", SKIP),
    ]  # fmt: skip
    assert findings[2][2] == "cannot be checked: AssertionError"


@needs_names
def test_who_holds_the_lock_outside_of_the_directory(root: Path) -> None:
    made(root)
    assert "lock" not in found(node.node), "nobody"
    name = claim_of(str(root))
    held, _ = claim_name(name)
    assert held is not None
    with held:
        status, detail = found(node.node)["lock"]
        assert status == FAIL and f"@{name} is held by pid {os.getpid()}" in detail
    assert "lock" not in found(node.node)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="no file without a name can be made here")
def test_a_directory_that_only_seems_writable_is_a_failure(tmp_path: Path) -> None:
    """As on a file system that gave up after an error: access(2) allows what then fails."""
    gone = tmp_path / "gone"
    gone.mkdir(mode=0o700)
    fd = os.open(gone, os.O_RDONLY | os.O_DIRECTORY)
    try:
        gone.rmdir()
        root = f"/proc/self/fd/{fd}"
        assert os.access(root, os.W_OK | os.X_OK)
        status, words = directory._state(root, os.stat(root))
    finally:
        os.close(fd)
    assert (status, "cannot be written" in words) == (FAIL, True), words
