"""Unix sockets: dialling, binding, and descriptors that ride along."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.errors import CodewireError, NodeUnreachable
from codewire.io import unix
from codewire.paths import DataDir


@pytest.fixture
def short_dir() -> Iterator[str]:
    """A short directory: socket paths are limited to 107 bytes, and tmp_path is long."""
    import shutil
    import tempfile

    path = tempfile.mkdtemp(prefix="cwu-", dir="/tmp")
    yield path
    shutil.rmtree(path)


def test_a_listener_is_private_and_answers(short_dir: str) -> None:
    data_dir = DataDir(short_dir)
    assert not unix.is_answering(data_dir.socket)
    mask = os.umask(0)
    try:
        listener, path = unix.listen_unix(data_dir)
        assert os.umask(0) == 0, "the umask is given back"
    finally:
        os.umask(mask)
    with listener:
        assert path == data_dir.socket
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert unix.is_answering(path)
        with unix.connect_unix(path) as sock:
            sock.sendall(b"x")
    assert not unix.is_answering(path)


def test_a_stale_socket_is_replaced(short_dir: str) -> None:
    data_dir = DataDir(short_dir)
    unix.listen_unix(data_dir)[0].close()
    assert os.path.exists(data_dir.socket)
    listener, _ = unix.listen_unix(data_dir)
    with listener:
        assert unix.is_answering(data_dir.socket)


def test_a_path_too_long_gets_a_short_one(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    private = Path(short_dir, "run")
    private.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(private))
    root = Path(short_dir, "x" * 120)
    root.mkdir()
    data_dir = DataDir(str(root))
    for _ in range(2):
        listener, path = unix.listen_unix(data_dir)
        with listener:
            assert Path(path).parent.parent == private
            assert os.readlink(data_dir.socket) == path
            assert data_dir.real_socket() == path
            assert unix.is_answering(data_dir.real_socket())
    other = DataDir(str(root) + "y")
    os.mkdir(other.root)
    listener, path_of_other = unix.listen_unix(other)
    listener.close()
    assert path_of_other != path, "two data directories, two sockets"


def test_somebody_elses_runtime_directory_is_refused(
    short_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = Path(short_dir, "run")
    private.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(private))
    root = Path(short_dir, "x" * 120)
    root.mkdir()
    listener, path = unix.listen_unix(DataDir(str(root)))
    listener.close()
    os.chmod(os.path.dirname(path), 0o777)
    with pytest.raises(CodewireError, match="CODEWIRE_DIR"):
        unix.listen_unix(DataDir(str(root)))


@pytest.mark.parametrize("kind", ["missing", "stale", "file", "too long"])
def test_nobody_there(short_dir: str, kind: str) -> None:
    path = os.path.join(short_dir, "sock" if kind != "too long" else "x" * 120)
    if kind == "stale":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.close()
    elif kind == "file":
        Path(path).touch()
    with pytest.raises(NodeUnreachable, match="connecting to local socket"):
        unix.connect_unix(path)


def test_descriptors_ride_along() -> None:
    ours, theirs = socket.socketpair()
    read_end, write_end = os.pipe()
    with ours, theirs:
        assert unix.send_with_fds(ours, b"hello", [read_end, write_end]) == 5
        data, fds = unix.receive_with_fds(theirs, 100)
        assert (data, len(fds)) == (b"hello", 2)
        os.write(fds[1], b"through")
        assert os.read(read_end, 100) == b"through"
        assert not any(os.get_inheritable(fd) for fd in fds)
        assert unix.send_with_fds(ours, b"plain", []) == 5
        assert unix.receive_with_fds(theirs, 100) == (b"plain", [])
        ours.close()
        assert unix.receive_with_fds(theirs, 100) == (b"", [])
    for fd in (read_end, write_end, *fds):
        os.close(fd)


def test_as_many_descriptors_as_the_kernel_passes() -> None:
    ours, theirs = socket.socketpair()
    null = os.open("/dev/null", os.O_RDONLY)
    with ours, theirs:
        unix.send_with_fds(ours, b"x", [null] * unix.MAX_FDS)
        _, fds = unix.receive_with_fds(theirs, 1)
        assert len(fds) == unix.MAX_FDS
    for fd in (null, *fds):
        os.close(fd)
