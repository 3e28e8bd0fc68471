"""Records of runtimes, and the edits of TOML files that people write."""

import os
import stat
import threading

import pytest
import toml

from codewire.errors import CodewireError, ConfigError
from codewire.runtimes import records
from codewire.runtimes.records import Instance
from codewire.runtimes.spec import Mount, Port
from codewire.tomlfile import set_keys


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    return tmp_path


def instance(name="p2", **fields):
    return Instance(name, "docker", f"cw-{name}", f"/src/{name}", **fields)


def test_a_record_is_kept_whole_and_private(directory):
    made = instance(
        env={"NUM": "5"},
        ports=(Port(3000, 0, "Web"), Port(80, 8080, address="0.0.0.0")),
        mounts=(Mount("/a", "/b", False),),
        cpu=1500,
    )
    records.add(made)
    found = records.load()["p2"]
    assert (found.env, found.ports, found.mounts, found.cpu) == (
        made.env, made.ports, made.mounts, 1500,
    )  # fmt: skip
    path = directory / "local_instances.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    table = toml.loads(path.read_text())["instances"]["p2"]
    assert (table["memory"], table["firecracker_pid"], table["runtime_name"]) == (0, 0, "cw-p2")


def test_records_of_either_release_are_read(directory):
    (directory / "local_instances.toml").write_text(
        '[instances.a]\nname = "a"\nbackend = "docker"\nruntime_name = "cw-a"\nrepo_path = "/r"\n'
        'cpu = 0\nfirecracker_socket = "/x"\n[[instances.a.ports]]\nPort = 3000\nLabel = ""\n'
        "[[instances.a.ports]]\nport = 0\nhost_port = 1\nguest_port = 2\n"
    )
    found = records.load()["a"]
    assert found.ports == (Port(3000), Port(2, 1))
    records.update("a", image="x")
    assert (
        toml.loads((directory / "local_instances.toml").read_text())["instances"]["a"][
            "firecracker_socket"
        ]
        == "/x"
    )


def test_parallel_adds_keep_every_record():
    threads = [
        threading.Thread(target=records.add, args=(instance(f"n{number}"),)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(records.load()) == [f"n{number}" for number in range(8)]
    with pytest.raises(CodewireError, match='"n3" already exists'):
        records.add(instance("n3"))


@pytest.mark.parametrize(
    "text",
    ["[[[", "instances = 3", "[instances]\na = 1", '[instances.a]\nbackend = 3',
     "[instances.a]\ncpu = -1", "[instances.a]\nports = [3]"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_a_clear_error_and_stays(directory, text):
    path = directory / "local_instances.toml"
    path.write_text(text)
    for attempt in (records.load, lambda: records.add(instance()), lambda: records.remove("a")):
        with pytest.raises(ConfigError, match="local_instances.toml"):
            attempt()
    assert path.read_text() == text


def test_which_instance_is_meant(directory, monkeypatch):
    with pytest.raises(CodewireError, match="^no local instances found$"):
        records.resolve(None)
    project = directory / "p"
    project.mkdir()
    records.add(Instance("a", "docker", "cw-a", str(project)))
    records.add(instance("b"))
    assert records.resolve("a").name == records.resolve("cw-a").name == "a"
    with pytest.raises(CodewireError, match="^local instance not found: x$"):
        records.resolve("x")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PWD", str(project))
    assert records.resolve(None).name == "a"
    records.add(Instance("c", "docker", "cw-c", str(project)))
    with pytest.raises(CodewireError, match="multiple local instances match this repo: a, c"):
        records.resolve(None)
    monkeypatch.chdir("/")
    with pytest.raises(CodewireError, match="no local instance associated with this directory"):
        records.resolve(None)


@pytest.mark.parametrize(
    "before, after",
    [
        ("", '[current_target]\nname = "x"\n'),
        ("# mine\na = 1 # one\n", '# mine\na = 1 # one\n\n[current_target]\nname = "x"\n'),
        (
            '[current_target] # t\nkind = "env"\nname = "y"\n\n[node]\nname = "n"\n',
            '[current_target] # t\nkind = "env"\nname = "x"\n\n[node]\nname = "n"\n',
        ),
        ('[node]\nname = "n"\n', '[node]\nname = "n"\n\n[current_target]\nname = "x"\n'),
    ],
)
def test_an_edit_leaves_what_a_person_wrote(directory, before, after):
    path = str(directory / "config.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before)
    set_keys(path, "current_target", {"name": "x"})
    with open(path, encoding="utf-8") as file:
        assert file.read() == after


@pytest.mark.parametrize(
    "before",
    ['current_target.name = "y"\n', '"relay_url" = """\na\n"""\n', '[ current_target ]\nname="y"\n',
     'x = [\n  "[current_target]",\n]\n'],
)  # fmt: skip
def test_an_edit_never_changes_the_meaning_of_the_rest(directory, before):
    path = str(directory / "config.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before)
    wanted = toml.loads(before)
    wanted.setdefault("current_target", {})["name"] = 'q"\\\x7f'
    set_keys(path, "current_target", {"name": 'q"\\\x7f'})
    assert toml.load(path) == wanted
    set_keys(path, "", {"relay_url": "u", "gone": None})
    assert toml.load(path) == {**wanted, "relay_url": "u"}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_damaged_file_is_not_written_over(directory):
    path = directory / "config.toml"
    path.write_text("[[")
    with pytest.raises(ConfigError):
        set_keys(str(path), "t", {"a": 1})
    assert path.read_text() == "[["
