"""codewire.yaml, read: errors name file, line and key; scalars keep their text (spec 6).

YAML 1.1 takes `8080:80` for a number to the base 60 and `yes` for true; here a scalar is what is
written, and its meaning is decided by the key. PyYAML (extra `yaml`) finds the nodes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ConfigError
from codewire.files import read_regular
from codewire.runtimes.spec import JSON_KEYS, KEYS, Problem, Spec, from_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

# A project's file is a page. Aliases may name a node again and again: so many are looked at.
MAX_BYTES = 1 << 20
MAX_NODES = 10_000
NULLS = ("", "~", "null", "Null", "NULL")
NEEDS_YAML = "codewire.yaml needs PyYAML: pip install 'codewire[yaml]'"


def yaml_library() -> Any:
    """Return the yaml module. Raises CodewireError naming the pip command."""
    try:
        import yaml
    except ImportError:
        raise CodewireError(NEEDS_YAML) from None
    return yaml


def read_spec(path: str, warn: Callable[[str], None]) -> Spec:
    """Return what a codewire.yaml says. Raises ConfigError, FileNotFoundError.

    Unknown keys are named in `warn`, each with its line.
    """
    yaml = yaml_library()
    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ConfigError(f"parse {path}: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"parse {_place(path, error)}") from None
    if node is None:
        return Spec()
    reading = _Reading(yaml)
    try:
        value = reading.value(node, "")
    except Problem as error:
        raise ConfigError(f"parse {path}:{reading.line(error.key)}: {error}") from None
    except RecursionError:
        raise ConfigError(f"parse {path}: nested too deeply") from None
    if not isinstance(value, dict):
        raise ConfigError(f"parse {path}: expected a mapping of keys such as image and install")
    for key in value:
        if key not in KEYS:
            warn(f"{path}:{reading.line(key)}: unknown key {key!r}{_similar(key, KEYS)}")
    try:
        return from_mapping(value)
    except Problem as error:
        raise ConfigError(f"parse {path}:{reading.line(error.key)}: {error}") from None


def read_json_spec(text: str, warn: Callable[[str], None]) -> Spec:
    """Return what `--spec` says (spec 1.5). Raises ConfigError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"parse spec: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError("parse spec: expected a JSON object")
    for key in value:
        if key not in JSON_KEYS:
            warn(f"spec: unknown key {key!r}{_similar(key, JSON_KEYS)}")
    try:
        return from_mapping(value, mounts_are_readonly=False)
    except Problem as error:
        raise ConfigError(f"parse spec: {error}") from None


def read_text(path: str) -> str:
    """Return a file's text. Raises FileNotFoundError, ConfigError."""
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"parse {path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"reading {path}: {error.strerror}") from None


def _similar(key: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, known, 1, 0.75)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _place(path: str, error: Any) -> str:
    """Word PyYAML's error in one line, with the place if it has one."""
    mark = getattr(error, "problem_mark", None)
    words = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{path}:{mark.line + 1}: {words}" if mark else f"{path}: {words}"


class _Reading:
    """One document's nodes as plain values: mappings, lists, texts, None; and where they stood."""

    def __init__(self, yaml: Any) -> None:
        self._yaml = yaml
        self._lines: dict[str, int] = {}
        self._count = 0

    def line(self, key: str) -> int:
        """Return the line of a key, or of the nearest one above it."""
        while key and key not in self._lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self._lines.get(key, 1)

    def value(self, node: Any, key: str) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise Problem("too many values", key)
        self._lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(child, f"{key}[{at}]") for at, child in enumerate(node.value)]
        return None if node.style is None and node.value in NULLS else str(node.value)

    def _mapping(self, node: Any, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, child in node.value:
            if not isinstance(name_node, self._yaml.ScalarNode):
                raise Problem("a key must be a text", key)
            name = str(name_node.value)
            path = f"{key}.{name}" if key else name
            self._lines[path] = name_node.start_mark.line + 1
            if name in found:
                raise Problem(f"{path} stands there twice", path)
            found[name] = self.value(child, path)
        return found
