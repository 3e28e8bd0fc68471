"""People who logged in to a running relay."""

from __future__ import annotations

import time

from tests.io.relay.desk import Desk
from tests.io.relay.site import Site


class _At:
    """A site, as far as Desk.login looks at it."""

    def __init__(self, site: Site) -> None:
        self.store = site.store
        self.now = time.time_ns()


def session(site: Site, name: str, network: str = "", role: str = "member") -> str:
    """Return the token of a session of somebody who logged in with a browser."""
    token: str = Desk.login(_At(site), f"oidc:{name}", network, role)  # type: ignore[arg-type]
    return token
