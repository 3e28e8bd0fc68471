"""What a runtime is made from: image, commands, variables, ports, mounts, limits. No files here.

Forms and error texts: spec/runtimes.md 1.5 and 6. Mappings come from codewire.yaml (yamlfile) and
from JSON (`--spec`); a Problem says which key is wrong and in which words.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PORT = 65535
# Where a port is published unless another address is given: nobody else on the network sees it.
LOOPBACK = "127.0.0.1"
# Far above any machine, and below what an engine's own integers hold.
MAX_AMOUNT = 1 << 40
# No variables, no other keys. Tuples here, no dataclasses: those take 7 ms of a command's start.
NONE: Mapping[str, Any] = MappingProxyType({})
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
AGENT_IDS = {"claude": "claude-code", "gemini": "gemini-cli"}
SHOWN_AGENTS = {canonical: short for short, canonical in AGENT_IDS.items()}
KEYS = (
    "preset", "image", "install", "startup", "secrets", "env", "ports", "mounts",
    "cpu", "memory", "disk", "agents",
    "agent", "install_agents", "include_org_secrets", "include_user_secrets",
)  # fmt: skip
JSON_KEYS = (
    *KEYS[:4], *KEYS[5:11], "agent", "secret_project", "include_org_secrets",
    "include_user_secrets",
)  # fmt: skip


class Problem(CodewireError):
    """A value that cannot be used: `key` names it as `ports[1].port`, "" for the whole."""

    def __init__(self, words: str, key: str = "") -> None:
        super().__init__(words)
        self.key = key


class Port(NamedTuple):
    """A port of the runtime, and the one of the host it is published at (0: the same)."""

    guest: int
    host: int = 0
    label: str = ""
    address: str = LOOPBACK

    @property
    def published(self) -> int:
        return self.host or self.guest


class Mount(NamedTuple):
    """A directory of the host that the runtime sees; `source` may be relative to the project."""

    source: str
    target: str = ""
    readonly: bool = True


class Spec(NamedTuple):
    """All of codewire.yaml. "" and 0 are unset; cpu in millicores, memory in MB, disk in GB."""

    preset: str = ""
    image: str = ""
    install: str = ""
    startup: str = ""
    env: Mapping[str, str] = NONE
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    cpu: int = 0
    memory: int = 0
    disk: int = 0
    tools: tuple[str, ...] = ()
    install_tools: bool | None = None
    secrets: str = ""
    org_secrets: bool | None = None
    user_secrets: bool | None = None

    @property
    def agent(self) -> str:
        return self.tools[0] if self.tools else ""

    def merged(self, **changes: Any) -> Spec:
        """Return this with what is set among the changes; variables are added."""
        env = {**self.env, **changes.pop("env", {})}
        return self._replace(env=env, **{key: value for key, value in changes.items() if value})


def canonical_agent(name: str) -> str:
    """Return an agent's full id."""
    return AGENT_IDS.get(name.strip(), name.strip())


def from_mapping(value: dict[str, Any], *, mounts_are_readonly: bool = True) -> Spec:
    """Return the spec that a mapping of plain values describes. Raises Problem.

    Unknown keys are the caller's to warn of. mounts_are_readonly is the default of a mount.
    """
    secrets, org, user = _secrets(value)
    tools, install_tools = _agents(value)
    return Spec(
        preset=_text(value, "preset"),
        image=_text(value, "image"),
        install=_text(value, "install"),
        startup=_text(value, "startup"),
        env=_env(value.get("env")),
        ports=tuple(_port(entry, f"ports[{at}]") for at, entry in enumerate(_list(value, "ports"))),
        mounts=tuple(
            _mount(entry, f"mounts[{at}]", mounts_are_readonly)
            for at, entry in enumerate(_list(value, "mounts"))
        ),
        cpu=_amount(value, "cpu"),
        memory=_amount(value, "memory"),
        disk=_amount(value, "disk"),
        tools=tools,
        install_tools=install_tools,
        secrets=secrets or _text(value, "secret_project"),
        org_secrets=org,
        user_secrets=user,
    )


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if isinstance(found, (dict, list)):
        raise Problem(f"{key} must be a text", key)
    text = str(found)
    if "\0" in text:
        raise Problem(f"{key} must not hold a NUL character", key)
    return text


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Problem(f"{key} must be a list", key)
    return found


def _env(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Problem("env must be a mapping of names to values", "env")
    found = {str(key): _text({"env": entry}, "env") for key, entry in value.items()}
    for key in found:
        check_variable(key)
    return found


def check_variable(key: str) -> None:
    """Raise Problem for what is no name of an environment variable."""
    if not VARIABLE.fullmatch(key):
        raise Problem(f"env: {key!r} is no name of a variable", f"env.{key}")


def _amount(value: dict[str, Any], key: str) -> int:
    found = value.get(key)
    return 0 if found is None or found == "" else whole(found, key, MAX_AMOUNT)


def whole(value: Any, key: str, most: int) -> int:
    """Return a whole number from 0 to `most`, also from its digits. Raises Problem."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise Problem(f"{key} must be a whole number, got {value!r}", key)
    if int(text) > most:
        raise Problem(f"{key} must be at most {most}, got {text}", key)
    return int(text)


def flag(value: Any, key: str) -> bool | None:
    """Return yes or no, None for absent. Raises Problem."""
    if value is None or isinstance(value, bool):
        return value
    if str(value) in ("true", "True", "TRUE"):
        return True
    if str(value) in ("false", "False", "FALSE"):
        return False
    raise Problem(f"{key} must be true or false, got {value!r}", key)


def _port(value: Any, key: str) -> Port:
    if isinstance(value, dict):
        return _port_of_mapping(value, key)
    if isinstance(value, (list, type(None))):
        raise Problem(f"parse port: expected PORT, HOST:PORT or a mapping, got {value!r}", key)
    return parse_port(str(value), key)


def parse_port(text: str, key: str = "") -> Port:
    """Return the port of `PORT`, `HOST_PORT:PORT` or `ADDRESS:HOST_PORT:PORT`. Raises Problem."""
    parts = text.strip().rsplit(":", 2)
    numbers = parts[-2:]
    if not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in numbers):
        raise Problem(f'parse port "{text}": expected PORT or HOST:PORT', key)
    ports = [_number(int(part), text, key) for part in numbers]
    address = _address(parts[0].strip("[]"), text, key) if len(parts) == 3 else LOOPBACK
    return Port(ports[-1], ports[0] if len(ports) == 2 else 0, address=address)


def _address(address: str, text: object, key: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Problem(f'parse port "{text}": {address!r} is no address', key) from None


def _number(port: int, text: object, key: str) -> int:
    if not 0 < port <= MAX_PORT:
        raise Problem(f'parse port "{text}": a port is 1 to {MAX_PORT}', key)
    return port


def _port_of_mapping(value: dict[str, Any], key: str) -> Port:
    plain = value.get("port")
    pairs = [(value.get(h), value.get(g)) for h, g in (("host_port", "guest_port"),
                                                       ("published", "target"))]  # fmt: skip
    host, guest = next((pair for pair in pairs if pair != (None, None)), (None, None))
    label = _text(value, "label")
    address = _address(_text(value, "address") or LOOPBACK, value, key)
    if plain is not None:
        if (host, guest) != (None, None):
            raise Problem("parse port: use either port or host_port/guest_port", key)
        return Port(_number(whole(plain, "port", MAX_PORT), plain, key), 0, label, address)
    ports = [whole(part or 0, "parse port", MAX_PORT) for part in (host, guest)]
    if not all(ports):
        raise Problem("parse port: host_port and guest_port must both be greater than zero", key)
    return Port(ports[1], ports[0], label, address)


def _mount(value: Any, key: str, is_readonly: bool) -> Mount:
    if not isinstance(value, dict):
        value = {"source": None if isinstance(value, list) else value}
    source = _text(value, "source")
    if not source:
        raise Problem("parse mount: source is required", key)
    chosen = flag(value.get("readonly"), "readonly")
    return Mount(source, _text(value, "target"), is_readonly if chosen is None else chosen)


def _secrets(value: dict[str, Any]) -> tuple[str, bool | None, bool | None]:
    found = value.get("secrets")
    org = flag(value.get("include_org_secrets"), "include_org_secrets")
    user = flag(value.get("include_user_secrets"), "include_user_secrets")
    if isinstance(found, list):
        raise Problem("parse secrets: expected string or mapping", "secrets")
    if not isinstance(found, dict):
        return _text(value, "secrets"), org, user
    own_org, own_user = (flag(found.get(key), f"secrets.{key}") for key in ("org", "user"))
    return (
        _text(found, "project"),
        org if own_org is None else own_org,
        user if own_user is None else own_user,
    )


def _agents(value: dict[str, Any]) -> tuple[tuple[str, ...], bool | None]:
    found = value.get("agents")
    install = flag(value.get("install_agents"), "install_agents")
    names: Any = found
    if isinstance(found, dict):
        install = flag(found.get("install"), "agents.install")
        names = found.get("tools")
    if names is None:
        names = value.get("agent") or []
    if isinstance(names, (bool, int, float)):
        raise Problem("parse agents: expected string, list, or mapping", "agents")
    if isinstance(names, str):
        if names.strip().isdigit():
            raise Problem("parse agents: expected string, list, or mapping", "agents")
        names = [names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Problem("parse agents: expected string, list, or mapping", "agents")
    return tuple(canonical_agent(name) for name in names if name.strip()), install
