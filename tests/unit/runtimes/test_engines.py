"""What engines are told: argv for argv; names, images, mounts and what may not be mounted."""

import os

import pytest

from codewire.errors import CodewireError, UsageError
from codewire.runtimes import consent, hostlogins, names
from codewire.runtimes.docker import Docker, cpus
from codewire.runtimes.engine import IDLE_SCRIPT, Exec, Options, words
from codewire.runtimes.incus import Incus, remote_name
from codewire.runtimes.records import Instance
from codewire.runtimes.spec import Mount, Port

IMAGE = "docker.io/library/cwbase:latest"


def instance(repo="/home/a/My.Proj_1", **fields):
    fields = {"image": IMAGE, **fields}
    return Instance("my-proj-1", "docker", "cw-my-proj-1", repo, **fields)


def test_docker_create():
    argv = Docker().create_argv(instance(), Options(owner="o"))
    assert argv == [
        "docker", "create", "--name", "cw-my-proj-1", "--hostname", "cw-my-proj-1",
        "--entrypoint", "/bin/sh", "--workdir", "/workspace",
        "--mount", "type=bind,source=/home/a/My.Proj_1,target=/workspace",
        "--label", "codewire.instance=my-proj-1", "--label", "codewire.owner=o",
        IMAGE, "-lc", IDLE_SCRIPT,
    ]  # fmt: skip


def test_docker_create_with_everything():
    made = instance(
        '/a:b, c"d',
        env={"B": "1,2", "A": "x y"},
        cpu=1500,
        memory=512,
        ports=(Port(80, 8080), Port(90, address="::1")),
    )
    options = Options("1:2", [("/m", "/n", True)], [("B", "0"), ("T", "t")], "o")
    argv = Docker("podman").create_argv(made, options)
    text = " ".join(argv)
    assert argv[0] == "podman"
    assert 'type=bind,"source=/a:b, c""d",target=/workspace' in argv
    assert "type=bind,source=/m,target=/n,readonly" in argv
    assert "--user 1:2 --cpus 1.500 --memory 512m" in text
    assert "--publish 127.0.0.1:8080:80 --publish [::1]:90:90" in text
    assert "--env A=x y --env B=1,2 --env T=t" in text
    assert "x y" not in words(argv) and "A=…" in words(argv)


def test_docker_exec():
    run = Exec(["sh", "-c", "echo E >&2; exit 7"])
    assert Docker().exec_argv(instance(), run) == [
        "docker", "exec", "-i", "-w", "/workspace", "cw-my-proj-1", "sh", "-c",
        "echo E >&2; exit 7",
    ]  # fmt: skip
    run = Exec(["x"], "", [("TERM", "xterm")], True, True, "u")
    assert Docker().exec_argv(instance(), run) == [
        "docker", "exec", "-i", "-t", "-u", "u", "-e", "TERM=xterm", "cw-my-proj-1", "x",
    ]  # fmt: skip


def test_cpus():
    assert [cpus(n) for n in (1000, 1500, 2, 250)] == ["1", "1.500", "0.002", "0.250"]


def test_incus_set_up():
    made = instance(cpu=1001, memory=64, disk=3, env={"A": "b"}, ports=(Port(80, 8080),))
    steps = Incus().setup_argvs(made, Options(mounts=[("/m", "/n", True)], owner="o"))
    name = "cw-my-proj-1"
    assert steps == [
        ["config", "set", name, "limits.cpu", "2"],
        ["config", "set", name, "limits.memory", "64MiB"],
        ["config", "device", "override", name, "root", "size=3GiB"],
        ["config", "device", "add", name, "workspace", "disk", "source=/home/a/My.Proj_1",
         "path=/workspace", "shift=true"],
        ["config", "device", "add", name, "mount0", "disk", "source=/m", "path=/n", "shift=true",
         "readonly=true"],
        ["config", "device", "add", name, "port0", "proxy", "listen=tcp:127.0.0.1:8080",
         "connect=tcp:127.0.0.1:80"],
        ["config", "set", name, "environment.A", "b"],
        ["config", "set", name, "user.codewire.instance", "my-proj-1"],
        ["config", "set", name, "user.codewire.owner", "o"],
    ]  # fmt: skip
    assert remote_name("docker.io") == "cw-docker-io"


@pytest.mark.parametrize(
    "image, expanded",
    [
        ("base", "ghcr.io/codewiresh/base:latest"),
        ("full:1", "ghcr.io/codewiresh/full:1"),
        ("base@sha256:ab", "ghcr.io/codewiresh/base@sha256:ab"),
        ("python", "docker.io/library/python:latest"),
        ("python:3.12", "docker.io/library/python:3.12"),
        ("user/x", "docker.io/user/x:latest"),
        ("user/x:t@sha256:ab", "docker.io/user/x:t@sha256:ab"),
        ("ghcr.io/a/b", "ghcr.io/a/b"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("images:debian/12", "images:debian/12"),
    ],
)
def test_images_are_expanded(image, expanded):
    assert names.expand_image(image) == expanded


@pytest.mark.parametrize(
    "path, name",
    [("/a/My.Proj_1", "my-proj-1"), ("/a/--x--", "x"), ("/a/日本 b", "b"), ("/a/b/", "b")],
)
def test_a_name_is_made_from_the_directory(path, name):
    assert names.derive_name(path) == name


@pytest.mark.parametrize("path", ["/", "/日本", "/a/---"])
def test_a_directory_without_letters_needs_a_name(path):
    with pytest.raises(CodewireError, match="could not derive"):
        names.derive_name(path)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a:b", "日本", "local", "a" * 61, "a\n"])
def test_bad_names_are_refused(name):
    with pytest.raises(CodewireError):
        names.check_name(name)


def test_mounts_outside_the_project_need_a_word(tmp_path):
    project, other = tmp_path / "p", tmp_path / "o"
    (project / "in").mkdir(parents=True)
    other.mkdir()
    (project / "link").symlink_to(other)
    resolve = consent.resolve_mounts
    assert resolve([Mount("in")], str(project), []) == [
        (str(project / "in"), str(project / "in"), True)
    ]
    for source in ("../o", "link", str(other)):
        with pytest.raises(CodewireError, match=f"--allow-mount {other}"):
            resolve([Mount(source)], str(project), [])
    assert resolve([Mount("link", "/x", False)], str(project), [str(other)]) == [
        (str(other), "/x", False)
    ]
    with pytest.raises(CodewireError, match="no such file"):
        resolve([Mount("nothing")], str(project), [])
    with pytest.raises(CodewireError, match="absolute"):
        resolve([Mount("in", "x")], str(project), [])


def test_engine_sockets_are_never_mounted(tmp_path, monkeypatch):
    socket = tmp_path / "my" / "docker.sock"
    socket.parent.mkdir()
    socket.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/my/other.sock")
    (tmp_path / "my" / "other.sock").touch()
    for source in (socket, tmp_path / "my" / "other.sock", tmp_path / "my", tmp_path):
        with pytest.raises(CodewireError, match="cannot be mounted"):
            consent.resolve_mounts([Mount(str(source))], "/", [str(source)])


def test_logins_only_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GH_TOKEN", "t")
    for name in ("SSH_AUTH_SOCK", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ssh").mkdir()
    assert hostlogins.collect([]) == hostlogins.Logins([], [])
    assert hostlogins.collect(["ssh", "gh", "claude"]) == hostlogins.Logins(
        [(os.path.realpath(tmp_path / ".ssh"), "/home/codewire/.ssh", True)], [("GH_TOKEN", "t")]
    )
    with pytest.raises(UsageError, match='unknown --with "all"'):
        hostlogins.collect(["all"])
