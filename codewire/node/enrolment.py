"""How a node comes into a relay's network: by an invite, or by its user's own token.

A selected network and a token of its user are consent to enrol (spec/relay.md 9).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from codewire.errors import ConfigError
from codewire.network import configuration

if TYPE_CHECKING:
    from codewire.config import Settings
    from codewire.network.answers import Registration
    from codewire.network.configuration import Configuration

log = logging.getLogger(__name__)

# Redeemed at once.
ENROLMENT_TTL = "10m"


def is_possible(relay: Configuration) -> bool:
    """Say whether this node has a token, or may have one."""
    has_consent = bool(relay.network and relay.user_token)
    return bool(relay.url and (relay.node_token or relay.invite_token or has_consent))


def enrol(relay: Configuration, settings: Settings, path: str) -> Configuration:
    """Return the configuration with this node's token; a new one is kept in config.toml.

    Blocks. Raises RelayError and its kin.
    """
    if relay.node_token:
        return relay
    found = _register(relay, settings)
    log.info("enrolled as %s in network %s of %s", found.node_name, found.network_id, relay.url)
    changes: dict[tuple[str, ...], str | bool] = {
        configuration.URL: relay.url,
        configuration.NODE_TOKEN: found.node_token,
        configuration.NODE_NETWORK: found.network_id,
        configuration.INVITE_TOKEN: "",
    }
    try:
        configuration.save(path, changes)
    except ConfigError as error:
        log.error("the node's relay token is lost when the node ends: %s", error)
    return relay._replace(
        node_token=found.node_token, node_network=found.network_id, invite_token=""
    )


def _register(relay: Configuration, settings: Settings) -> Registration:
    anybody, name = relay.as_anybody(), settings.node_name
    if relay.invite_token:
        return anybody.join(name, relay.invite_token)
    made = relay.as_user().create_enrollment(
        relay.required_network(), node_name=name, ttl=ENROLMENT_TTL
    )
    return anybody.redeem_enrollment(made.token, node_name=name, peer_url=settings.external_url)
