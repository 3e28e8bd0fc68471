"""What is in deploy/ can be read by what it is for, on the documented ports, without a secret."""

from __future__ import annotations

import configparser
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STACKS = (DEPLOY / "compose", DEPLOY / "compose" / "fleet")
SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|DATABASE_URL)$")


def read_stack(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "docker-compose.yml").read_text())


def published(stack: dict[str, Any]) -> set[str]:
    return {port for service in stack["services"].values() for port in service.get("ports", ())}


def local(*ports: int) -> set[str]:
    return {f"127.0.0.1:{port}:{port}" for port in ports}


def test_the_stacks_have_the_documented_ports_and_on_this_machine_only() -> None:
    relay, fleet = (read_stack(folder) for folder in STACKS)
    assert published(relay) == local(8080, 9443, 9100)
    assert published(fleet) == local(4222, 8222, 9443, 9100)


@pytest.mark.parametrize("folder", STACKS, ids=["relay", "fleet"])
def test_no_stack_puts_a_secret_into_what_docker_inspect_shows(folder: Path) -> None:
    names = [n for s in read_stack(folder)["services"].values() for n in s.get("environment", {})]
    assert names
    assert not [name for name in names if SECRET.search(name)]


@pytest.mark.parametrize("folder", STACKS, ids=["relay", "fleet"])
def test_the_example_environment_says_every_default(folder: Path) -> None:
    text = (folder / "docker-compose.yml").read_text()
    defaults = dict(re.findall(r"\$\{(CW_\w+):-([^}]*)\}", text))
    lines = (folder / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and line[0] != "#")
    assert example.pop("COMPOSE_PROJECT_NAME")
    assert example == defaults


def test_the_image_is_built_from_all_that_setup_reads() -> None:
    """A file that setup.cfg names and .dockerignore leaves out fails every build."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    files = "\n".join(dict(setup["options.data_files"]).values()).split()
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert files
    assert not [name for name in files if f"!{name}" not in ignored]


@pytest.mark.parametrize(
    "unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda p: p.stem
)
def test_units_start_cw(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    assert parser["Service"]["ExecStart"].startswith("/usr/local/bin/cw ")
    assert parser["Install"]["WantedBy"]


def test_the_relays_settings_are_ones_it_knows() -> None:
    """In the unit's environment, the stack and the chart: a misspelt one would be silent."""
    from codewire.relay.settings import SECRETS, Settings

    known = {f"CW_{name.upper()}" for name in Settings.__dataclass_fields__}
    known |= {f"CW_{name.upper()}_FILE" for name in SECRETS}
    texts = [
        (DEPLOY / "systemd" / "codewire-relay.env").read_text(),
        (DEPLOY / "systemd" / "codewire-relay.service").read_text().split("[Service]")[1],
        (DEPLOY / "charts/codewire-relay/templates/deployment.yaml").read_text(),
    ]
    named = {name for text in texts for name in re.findall(r"(CW_[A-Z_]+)(?:=|\n)", text)}
    named |= set(read_stack(STACKS[0])["services"]["relay"]["environment"])
    assert len(named) > 8
    assert named <= known


def test_values_and_cloud_init_are_yaml_and_the_feature_is_json() -> None:
    values = yaml.safe_load((DEPLOY / "charts/codewire-relay/values.yaml").read_text())
    assert values["relay"]["token"] == values["database"]["url"] == ""
    cloud = (DEPLOY / "incus" / "cloud-init.yaml").read_text()
    assert cloud.startswith("#cloud-config\n")
    assert yaml.safe_load(cloud)["runcmd"]
    feature = json.loads((DEPLOY / "devcontainer/codewire/devcontainer-feature.json").read_text())
    assert feature["id"] == "codewire"


def test_the_scripts_can_be_executed() -> None:
    scripts = [*DEPLOY.rglob("*.sh"), DEPLOY / "incus" / "bake"]
    scripts += [ROOT / "scripts" / "test-deploy", ROOT / "scripts" / "run-relay-kind-e2e.sh"]
    assert not [str(path) for path in scripts if not os.access(path, os.X_OK)]
