"""Which HTTP proxy stands between a client and a host, by the usual environment variables.

HTTPS_PROXY for wss and https, HTTP_PROXY for ws and http, else ALL_PROXY; NO_PROXY lists
exceptions. Lower case wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import NodeRefused

if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxy(NamedTuple):
    """A proxy to ask for a tunnel. `authorization` is the field's value, "" for none."""

    host: str
    port: int
    authorization: str


def proxy_for(host: str, port: int, is_secure: bool, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy to use, None to connect directly; this machine is always direct.

    Raises NodeRefused for a proxy URL that cannot be used.
    """
    names = ("https_proxy" if is_secure else "http_proxy", "all_proxy")
    url = next((value for name in names if (value := _variable(environ, name))), "")
    if not url or host == "localhost" or host.startswith("127.") or host == "::1":
        return None
    if _is_exempt(host.lower(), port, _variable(environ, "no_proxy")):
        return None
    return _parse(url)


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_exempt(host: str, port: int, exceptions: str) -> bool:
    """Say whether NO_PROXY names the host: itself, a domain above it, or `*`."""
    for entry in exceptions.lower().replace(" ", ",").split(","):
        name, colon, wanted = entry.rpartition(":")
        if not (colon and wanted.isdigit() and ":" not in name):
            name, wanted = entry, ""
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        if wanted and int(wanted) != port:
            continue
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False


def _parse(url: str) -> Proxy:
    scheme, separator, rest = url.rpartition("://")
    if separator and scheme.lower() != "http":
        raise NodeRefused(f"{scheme} proxies are not supported, only http ones")
    userinfo, _, authority = rest.partition("/")[0].rpartition("@")
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, "80"
    if not host or not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise NodeRefused("the proxy's URL in the environment has no valid host and port")
    authorization = ""
    if userinfo:
        from binascii import b2a_base64
        from urllib.parse import unquote

        secret = unquote(userinfo).encode()
        authorization = "Basic " + b2a_base64(secret, newline=False).decode()
    return Proxy(host.strip("[]"), int(port), authorization)
