"""Checks of config.toml, and of what it makes the node show to other machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.commands.system.doctor.finding import FAIL, OK, SKIP, WARN
from codewire.errors import CodewireError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.commands.context import Context
    from codewire.commands.system.doctor.finding import Finding
    from codewire.config import Settings
    from codewire.paths import DataDir


def config(context: Context) -> Iterator[Finding]:
    """Can config.toml be used, and does every key in it mean something?"""
    from codewire.config import load_settings, similar_key
    from codewire.paths import data_dir

    path = data_dir().config
    try:
        settings = load_settings(path)
    except ConfigError as error:
        yield "config", FAIL, str(error)
        return
    for key in settings.unknown_keys:
        meant = similar_key(key)
        hint = f": did you mean {meant}?" if meant else " and changes nothing"
        yield "config", WARN, f"{path}: {key} is no known key{hint}"
    if not settings.unknown_keys:
        yield "config", OK, path if os.path.lexists(path) else "none: the defaults"
    yield from _certificate(data_dir(), settings)


def _certificate(paths: DataDir, settings: Settings) -> Iterator[Finding]:
    if not settings.tls_cert:
        if settings.tls_key:
            yield "certificate", FAIL, "node.tls_key is set, but node.tls_cert is not"
        return
    from codewire.client.local.exposure import certificate_end

    try:
        end, is_over = certificate_end(
            _absolute(paths, settings.tls_cert), _absolute(paths, settings.tls_key)
        )
    except CodewireError as error:
        yield "certificate", FAIL, str(error)
        return
    if is_over:
        yield "certificate", FAIL, f"{settings.tls_cert} has expired ({end})"
    else:
        yield "certificate", OK, f"{settings.tls_cert}{f', until {end}' if end else ''}"


def _absolute(paths: DataDir, path: str) -> str:
    """Return where the node looks for a file: relative to its data directory."""
    return path and os.path.join(paths.root, os.path.expanduser(path))


def listen(context: Context) -> Iterator[Finding]:
    """Can the node have the address it is told to listen at, and is what is said there secret?"""
    from codewire.client.local import exposure
    from codewire.config import load_settings
    from codewire.paths import data_dir

    if context.server:
        return
    try:
        settings = load_settings(data_dir().config)
    except ConfigError:
        return
    if not settings.listen:
        yield "listen", SKIP, "no other machine can reach the node"
        return
    try:
        user = exposure.port_user(settings.listen, data_dir().lock)
    except CodewireError as error:
        yield "listen", FAIL, str(error)
        return
    if user:
        yield "listen", FAIL, f"{settings.listen} is taken by {user}"
    else:
        yield "listen", OK, settings.listen
    if not settings.tls_cert and exposure.is_public(settings.listen):
        yield (
            "tls",
            WARN,
            f"{settings.listen} is not encrypted: the token and everything typed can be read on "
            "the way; set node.tls_cert and node.tls_key, or listen at 127.0.0.1 behind a TLS "
            "proxy or ssh",
        )
