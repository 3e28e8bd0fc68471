"""Who may import whom: the floors of the architecture as rules over parsed sources.

Pure: handed {module name: source text}, it returns the violations in words. Imports inside
functions and under TYPE_CHECKING count like all others.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import NamedTuple

# A room imports its own modules and rooms on lower floors. base is the modules outside of rooms.
FLOORS = {
    "base": 0,
    "wire": 1,
    "term": 2,
    "agents": 2,
    "io": 3,
    "credentials": 3,
    "disk": 4,
    "keeper": 5,
    "output": 5,
    "terminal": 5,
    "web": 5,
    "session": 6,
    "network": 6,
    "mail": 7,
    "node": 8,
    "client": 8,
    "relay": 9,
    "fleet": 9,
    "notify": 9,
    "runtimes": 9,
    "mcp": 10,
    "commands": 11,
    "entry": 12,
}
BASE_MODULES = {
    "codewire",
    "codewire.archive",
    "codewire.errors",
    "codewire.config",
    "codewire.environment",
    "codewire.files",
    "codewire.paths",
    "codewire.tomlfile",
}
ENTRY_MODULES = {"cw", "codewire.__main__"}

# A terminal's screen is one more reader of what its program printed.
ALLOWED_SIDEWAYS = {("terminal", "output")}

# Lower floors that a room must not know all the same: clients know no session's insides, and
# commands talk to the node through client/ alone.
FORBIDDEN_ROOMS = {
    "client": {"session", "mail", "output", "terminal", "web", "keeper", "disk"},
    "mcp": {"session", "mail", "output", "terminal", "web", "keeper", "disk", "node"},
    "commands": {"io", "session", "mail", "output", "terminal", "web", "keeper", "disk", "node"},
    "web": {"disk"},
    "terminal": {"keeper"},
    "output": {"keeper"},
}
# Folders inside a room: who may import from whom; what is not here may not. The room's own files
# are the folder of its name.
INNER = {
    "client": {"client.reach"},
    "client.attaching": {"client", "client.reach"},
    "client.overview": {"client", "client.attaching"},
    # What this machine says of a node is asked on the way to it, and by `cw node --stdio`.
    "client.reach": {"client.local"},
    "client.local": {"client.reach"},
    "commands": {"commands.fleet", "commands.relays", "commands.runtime", "commands.system"},
    "commands.fleet": {"commands", "commands.sessions"},
    "commands.network": {"commands"},
    "commands.relays": {"commands", "commands.network"},
    "commands.nodes": {"commands", "commands.network", "commands.sessions"},
    "commands.runtime": {"commands", "commands.network"},
    "commands.sessions": {"commands", "commands.runtime"},
    "commands.system": {"commands"},
    "commands.system.doctor": {"commands", "commands.system"},
    "commands.talk": {"commands", "commands.network"},
    "keeper": {"keeper.place", "keeper.processes"},
    "keeper.place": {"keeper", "keeper.processes"},
    "keeper.processes": {"keeper", "keeper.place"},
    "keeper.workerside": {"keeper", "keeper.processes"},
    "node": {"node.handlers", "node.peers", "node.shells"},
    "node.handlers": {"node"},
    "node.peers": {"node", "node.handlers"},
    "relay": {
        "relay.http",
        "relay.http.routes",
        "relay.http.routes.login",
        "relay.providers",
        "relay.ssh",
        "relay.store",
        "relay.uplinks",
    },
    # A table of routes names the handlers; a handler's call knows whom it belongs to.
    "relay.http": {
        "relay",
        "relay.http.routes",
        "relay.http.routes.login",
        "relay.providers",
        "relay.store",
    },
    "relay.http.routes": {"relay.http", "relay.pages", "relay.store"},
    "relay.http.routes.login": {
        "relay.http",
        "relay.http.routes",
        "relay.pages",
        "relay.providers",
        "relay.store",
    },
    # Who logs in, how failures are counted, is the same for HTTP and SSH.
    "relay.ssh": {"relay", "relay.http", "relay.store", "relay.uplinks"},
    "relay.store": {"relay.store.engines"},
    "relay.store.engines": {"relay.store"},
    "relay.uplinks": {"relay.http", "relay.http.routes", "relay.store"},
    "session": {"session.records"},
    "wire.answers": {"wire"},
}
FORBIDDEN_MODULES = {
    "wire": {"os", "socket", "select", "selectors", "threading", "time", "fcntl", "subprocess"},
    "agents": {"os", "socket", "select", "selectors", "threading", "time", "fcntl", "subprocess"},
    "term": {"os", "socket", "select", "selectors", "threading", "time", "fcntl", "subprocess"},
    "commands": {"socket", "select", "selectors"},
}
CORE_REQUIREMENTS = {"gevent", "docopt", "toml"}
# Extras, imported on use by the rooms each is for.
EXTRAS = {
    "credentials": {"cryptography"},
    "relay": {"cryptography", "asyncssh", "psycopg", "psycopg_pool"},
    "fleet": {"nats"},
    "runtimes": {"yaml"},
}


class Import(NamedTuple):
    """One imported module as it is named in a source."""

    importer: str
    imported: str
    line: int


def violations(sources: dict[str, str]) -> list[str]:
    """Return every broken rule as `module:line: words`."""
    imports = [found for name, text in sources.items() for found in _imports(name, text, sources)]
    found = [f"{i.importer}:{i.line}: {words}" for i in imports if (words := _broken_rule(i))]
    return found + _inner_rule(imports, sources) + _gevent_rule(imports) + _circles(imports)


def room(module: str) -> str:
    """Return the room a module of ours is in, "" for other people's modules."""
    if module in BASE_MODULES:
        return "base"
    if module in ENTRY_MODULES:
        return "entry"
    parts = module.split(".")
    return parts[1] if parts[0] == "codewire" else ""


def _broken_rule(found: Import) -> str:
    ours, theirs = room(found.importer), room(found.imported)
    top = found.imported.split(".")[0]
    if ours not in FLOORS:
        return f"unknown room {ours!r}: give it a floor"
    if not theirs:
        if top in FORBIDDEN_MODULES.get(ours, ()):
            return f"{ours} must not import {top}"
        known = CORE_REQUIREMENTS | EXTRAS.get(ours, set())
        if top not in sys.stdlib_module_names and top not in known:
            return f"{top} is no core requirement"
        return ""
    if theirs == ours:
        return ""
    if theirs in FORBIDDEN_ROOMS.get(ours, ()):
        return f"{ours} must not import {theirs}"
    if theirs not in FLOORS:
        return f"unknown room {theirs!r}: give it a floor"
    if FLOORS[theirs] > FLOORS[ours]:
        return f"upward import: {ours} -> {theirs}"
    if FLOORS[theirs] == FLOORS[ours] and (ours, theirs) not in ALLOWED_SIDEWAYS:
        return f"sideways import: {ours} -> {theirs}"
    return ""


def folder(module: str, sources: dict[str, str]) -> str:
    """Return the folder a module of ours is in: `client.reach` for what is in client/reach/."""
    is_package = any(name.startswith(f"{module}.") for name in sources)
    return ".".join(module.split(".")[1 : None if is_package else -1])


def _inner_rule(imports: list[Import], sources: dict[str, str]) -> list[str]:
    """Inside a room, a folder imports from those that INNER names for it."""
    found = []
    for each in imports:
        ours, theirs = folder(each.importer, sources), folder(each.imported, sources)
        is_inside = room(each.importer) == room(each.imported) not in ("", "base", "entry")
        if is_inside and ours != theirs and theirs not in INNER.get(ours, ()):
            found.append(f"{each.importer}:{each.line}: inside: {ours} -> {theirs}")
    return found


def _gevent_rule(imports: list[Import]) -> list[str]:
    """Two files may name gevent: cw.py, which patches, and one in io/, which waits."""
    users = sorted({i.importer for i in imports if i.imported.split(".")[0] == "gevent"})
    strangers = [name for name in users if name != "cw" and room(name) != "io"]
    waiters = [name for name in users if room(name) == "io"]
    found = [f"{name}: gevent belongs to cw.py and one file in io/" for name in strangers]
    if len(waiters) > 1:
        found.append(f"gevent is named in more than one file of io/: {', '.join(waiters)}")
    return found


def _circles(imports: list[Import]) -> list[str]:
    edges: dict[str, set[str]] = {}
    for found in imports:
        if room(found.imported):
            edges.setdefault(found.importer, set()).add(found.imported)
    return [f"circle: {' -> '.join(path)}" for path in _cycles(edges)]


def _cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return one path for each back edge of a depth-first walk."""
    cycles: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            cycles.append([*path[path.index(module) :], module])
        elif module not in done:
            for imported in sorted(edges.get(module, ())):
                walk(imported, [*path, module])
            done.add(module)

    for module in sorted(edges):
        walk(module, [])
    return cycles


def _imports(importer: str, text: str, sources: dict[str, str]) -> Iterator[Import]:
    tree = ast.parse(text, importer)
    for node in ast.walk(tree):
        for name in _imported_names(node, importer, sources):
            yield Import(importer, name, getattr(node, "lineno", 0))


def _imported_names(node: ast.AST, importer: str, sources: dict[str, str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, importer, sources)
        # `from package import module` imports the module, `from module import name` the module.
        names = [f"{base}.{alias.name}" for alias in node.names]
        return sorted({name if name in sources else base for name in names})
    if isinstance(node, ast.Call) and _called_name(node) in ("import_module", "__import__"):
        literals = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
        return [value for value in literals if isinstance(value, str)]
    return []


def _absolute(node: ast.ImportFrom, importer: str, sources: dict[str, str]) -> str:
    if not node.level:
        return node.module or ""
    is_package = any(name.startswith(f"{importer}.") for name in sources)
    parts = importer.split(".")[: None if is_package else -1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _called_name(node: ast.Call) -> str:
    function = node.func
    return str(getattr(function, "attr", "") or getattr(function, "id", ""))
