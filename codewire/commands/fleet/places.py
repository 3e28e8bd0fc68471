"""Routes to nodes of the fleet: discovered over NATS, reached by their WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from codewire.client.reach.remote import WebRoute
from codewire.client.reach.servers import load_servers, websocket_url
from codewire.errors import CodewireError, UsageError
from codewire.fleet.settings import is_configured, load_nats
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.client.reach.route import Route
    from codewire.client.reach.servers import Options, Server
    from codewire.fleet.settings import Nats

# A name that no other place knows is looked for so long.
LOOKUP_SECONDS = 2.0


def find_by_name(name: str, options: Options) -> Route | None:
    """Return the way to the node of that name, None without a fleet or such a node."""
    paths = data_dir()
    # The first half of a tag, too: never a node.
    if name == "group" or not is_configured(paths.config):
        return None
    from codewire.fleet.subjects import name_problem

    nats = load_nats(paths.config, paths.root)
    if nats is None or name_problem(name):
        return None
    return find_route(nats, name, options.token)


def words() -> str:
    """Return what to say of a name that was looked for in vain, "" without a fleet."""
    return "no node of the fleet has that name" if is_configured(data_dir().config) else ""


def fleet_route(nats: Nats, name: str, token: str | None) -> WebRoute:
    """Return the way to a node of the fleet. Raises CodewireError where there is none."""
    route = find_route(nats, name, token)
    if route is None:
        raise CodewireError(f"node '{name}' not found in fleet")
    return route


def find_route(nats: Nats, name: str, token: str | None) -> WebRoute | None:
    """Return the way to a node of the fleet, None if none of that name answers.

    Raises CodewireError for one that cannot be reached.
    """
    from codewire.fleet.asking import discover

    found = [info for info in discover(nats, LOOKUP_SECONDS, name) if info.name == name]
    found.sort(key=lambda each: each.is_joining)
    info = next((each for each in found if not each.is_duplicate), None)
    if info is None:
        return None
    if not info.external_url:
        raise CodewireError(f"node '{name}' has no external_url configured")
    url = websocket_url(info.external_url)
    saved = saved_for(name, url)
    if not (token or (saved and saved.token)):
        raise UsageError(
            f"no auth token for '{name}'. "
            f"Add one with: cw server add {name} {info.external_url} --token <token>"
        )
    ca, insecure = (saved.ca, saved.insecure) if saved else ("", False)
    return WebRoute(
        url,
        token or (saved.token if saved else ""),
        ca=ca,
        insecure=insecure,
        name=name,
        token_in_query=True,
    )


def saved_for(name: str, url: str) -> Server | None:
    """Return the saved server whose token this node may get, None without one.

    Any publisher can claim a name: the token goes to the saved host only, encrypted if it was.
    """
    servers = load_servers(data_dir().servers)
    exact = next((each for each in servers.values() if websocket_url(each.url) == url), None)
    server = exact or servers.get(name)
    if server is None or exact is not None:
        return exact
    claimed, known = urlsplit(url), urlsplit(websocket_url(server.url))
    if claimed.hostname != known.hostname or (known.scheme, claimed.scheme) == ("wss", "ws"):
        raise UsageError(
            f"the fleet says that node '{name}' is at {claimed.scheme}://{claimed.hostname}, but "
            f"its token is saved for {known.scheme}://{known.hostname}: if it has moved, run "
            f"'cw server add {name} <url> --token <token>'"
        )
    return server
