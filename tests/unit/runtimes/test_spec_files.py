"""codewire.yaml: every form that is read, every error with its place, what is written."""

import pytest

from codewire.errors import CodewireError, ConfigError
from codewire.runtimes.spec import Mount, Port, Spec, parse_port
from codewire.runtimes.yamlfile import read_json_spec, read_spec
from codewire.runtimes.yamlwriting import spec_text, write_spec


def read(tmp_path, text, warnings=None):
    path = tmp_path / "codewire.yaml"
    path.write_text(text, encoding="utf-8")
    said = [] if warnings is None else warnings
    spec = read_spec(str(path), said.append)
    if warnings is None:
        assert said == []
    return spec


@pytest.mark.parametrize(
    "text, ports",
    [
        ("[8080]", (Port(8080),)),
        ('["8080"]', (Port(8080),)),
        ("[8080:80]", (Port(80, 8080),)),
        ('["0.0.0.0:8080:80"]', (Port(80, 8080, address="0.0.0.0"),)),
        ('["[::1]:8080:80"]', (Port(80, 8080, address="::1"),)),
        ("[{port: 80, label: web}]", (Port(80, 0, "web"),)),
        ("[{host_port: 8080, guest_port: 80}]", (Port(80, 8080),)),
        ("[{published: 8080, target: 80, label: x}]", (Port(80, 8080, "x"),)),
    ],
)
def test_every_form_of_a_port_is_read(tmp_path, text, ports):
    assert read(tmp_path, f"ports: {text}\n").ports == ports


def test_scalars_keep_their_text(tmp_path):
    spec = read(tmp_path, "env: {A: 1.50, B: yes, C: null, D: 0x10, E: '~', F: 2020-01-01}\n")
    assert spec.env == {"A": "1.50", "B": "yes", "C": "", "D": "0x10", "E": "~", "F": "2020-01-01"}


def test_mounts_are_read_only_unless_the_file_says_so(tmp_path):
    spec = read(tmp_path, "mounts: [/a, {source: b, target: /c, readonly: false}]\n")
    assert spec.mounts == (Mount("/a", "", True), Mount("b", "/c", False))
    assert read_json_spec('{"mounts": [{"source": "/a"}]}', print).mounts == (
        Mount("/a", "", False),
    )


@pytest.mark.parametrize(
    "text, tools, install",
    [
        ("agents: claude", ("claude-code",), None),
        ("agents: [gemini, codex, other]", ("gemini-cli", "codex", "other"), None),
        ("agents: {install: false, tools: [aider]}", ("aider",), False),
        ("agent: claude-code\ninstall_agents: true", ("claude-code",), True),
    ],
)
def test_every_form_of_agents_is_read(tmp_path, text, tools, install):
    spec = read(tmp_path, text + "\n")
    assert (spec.tools, spec.install_tools) == (tools, install)


def test_every_form_of_secrets_is_read(tmp_path):
    assert read(tmp_path, "secrets: proj\n").secrets == "proj"
    spec = read(tmp_path, "secrets: {org: false, user: true, project: p}\n")
    assert (spec.org_secrets, spec.user_secrets, spec.secrets) == (False, True, "p")
    spec = read(tmp_path, "include_org_secrets: false\n")
    assert (spec.org_secrets, spec.user_secrets) == (False, None)


@pytest.mark.parametrize(
    "text, words",
    [
        ("image: a\nports: [x]", ':2: parse port "x": expected PORT or HOST:PORT'),
        ("ports:\n  - 80\n  - 0", ':3: parse port "0": a port is 1 to 65535'),
        ("ports: [{port: 1, host_port: 2}]", "use either port or host_port/guest_port"),
        ("ports: [{host_port: 2}]", "host_port and guest_port must both be greater than zero"),
        ("mounts: [{target: /x}]", "parse mount: source is required"),
        ("agents: 3", "parse agents: expected string, list, or mapping"),
        ("secrets: [a]", "parse secrets: expected string or mapping"),
        ("cpu: 1.5", ":1: cpu must be a whole number, got '1.5'"),
        ("cpu: -1", "cpu must be a whole number"),
        ("memory: 99999999999999999999999", "memory must be a whole number"),
        ("image: a\nimage: b", ":2: image stands there twice"),
        ("- a", "expected a mapping"),
        ("env: {'A B': x}", "env: 'A B' is no name of a variable"),
        ("image: [", "codewire.yaml:2: "),
        ("a: &a [*a]", "nested too deeply"),
    ],
)
def test_errors_name_file_line_and_key(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text + "\n", [])
    assert str(caught.value).startswith("parse ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_cannot_fill_the_memory(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="too many values"):
        read(tmp_path, "\n".join(lines), [])


def test_unknown_keys_are_warned_of_with_a_guess(tmp_path):
    warnings = []
    assert read(tmp_path, "image: a\nimag: b\n", warnings).image == "a"
    assert len(warnings) == 1 and warnings[0].endswith(
        "codewire.yaml:2: unknown key 'imag' (did you mean 'image'?)"
    )


def test_what_is_written_is_read_back(tmp_path):
    spec = Spec(
        image="python:3.12",
        install="pip install -r a.txt\nmake\n",
        startup="npm start",
        env={"A": "yes", "B": "1.50", "C": "x: #y", "D": "a\nb", "E": "ü\u2028", "F": ""},
        ports=(Port(80), Port(80, 8080, "web: #1")),
        mounts=(Mount("/a b", "/c", False),),
        cpu=500,
        tools=("codex",),
        install_tools=True,
        org_secrets=False,
        user_secrets=True,
    )
    path = str(tmp_path / "out.yaml")
    write_spec(path, spec, replaces=False)
    assert read_spec(path, print) == spec
    keys = [line.split(":")[0] for line in spec_text(spec).splitlines() if line[0] not in " -"]
    assert keys == ["image", "install", "startup", "secrets", "env", "ports", "mounts", "cpu",
                    "agents"]  # fmt: skip
    with pytest.raises(CodewireError, match="already exists"):
        write_spec(path, spec, replaces=False)


def test_a_port_on_the_command_line():
    assert parse_port("0.0.0.0:1:2") == Port(2, 1, address="0.0.0.0")
    for bad in ("", ":", "1:2:3:4x", "a:1:2", "70000", "-1"):
        with pytest.raises(CodewireError):
            parse_port(bad)


def test_the_schema_for_editors_knows_the_keys_and_what_is_written():
    import json
    from pathlib import Path

    import jsonschema
    import yaml

    from codewire.runtimes.spec import KEYS

    path = Path(__file__).resolve().parents[3] / "docs" / "codewire.schema.json"
    schema = json.loads(path.read_text())
    assert set(schema["properties"]) == set(KEYS)
    spec = Spec(image="a", env={"A": "1"}, ports=(Port(80, 8080, "web"),), mounts=(Mount("/a"),),
                cpu=1, tools=("codex",))  # fmt: skip
    jsonschema.validate(yaml.safe_load(spec_text(spec)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"imag": "x"}, schema)
