"""What `cw relay serve` is told: flags, else their files, else the environment; checked once.

Secrets come in three ways: as a flag, from a file (`--auth-token-file`), from the environment. None
of them is handed on: the relay's process gets them through a pipe and drops what it inherited.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from codewire.errors import ConfigError
from codewire.files import read_regular
from codewire.relay.providers.github import API, WEB

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = ("none", "token", "github", "oidc")
MAX_SECRET_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Settings:
    """A relay's settings. Paths are absolute, `base_url` has no slash at its end."""

    base_url: str = ""
    listen: str = ":8080"
    # "": at the usual port if that can be had; "off": not at all.
    ssh_listen: str = ""
    ssh_public: str = ""
    data_dir: str = ""
    auth_mode: str = "none"
    auth_token: str = ""
    allowed_users: tuple[str, ...] = ()
    github_client_id: str = ""
    github_client_secret: str = ""
    github_url: str = WEB
    github_api_url: str = API
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_allowed_groups: tuple[str, ...] = ()
    database_url: str = ""
    secret_key_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    metrics_listen: str = ""
    # Where other relays of the same database reach this one; "": there are none.
    advertise_url: str = ""
    trusted_proxy: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Return the base URL's host."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """Return the base URL's port, its scheme's where it names none."""
        return urlsplit(self.base_url).port or (443 if self.is_encrypted else 80)

    def ssh_address(self, bound_port: int = 0) -> tuple[str, int]:
        """Return where clients come for SSH: --ssh-public, else the base URL's host and our port.

        A port of 0 is not known.
        """
        host, port = split_address(self.ssh_public)
        return host or self.host, port or bound_port

    @property
    def is_encrypted(self) -> bool:
        """Say whether clients come by https."""
        return self.base_url.startswith("https:")


class Variable(NamedTuple):
    """A setting's place in the environment besides CW_<NAME>."""

    name: str
    variable: str


SECRETS = frozenset(("auth_token", "github_client_secret", "oidc_client_secret", "database_url"))
ALSO = (
    Variable("database_url", "DATABASE_URL"),
    Variable("oidc_client_secret", "OIDC_CLIENT_SECRET"),
    Variable("github_client_secret", "GITHUB_CLIENT_SECRET"),
)
# Flags of earlier releases for a message bus that this relay does without.
WITHOUT_EFFECT = (
    "nats_url",
    "nats_creds",
    "nats_subject_root",
    "task_events_stream",
    "task_latest_bucket",
)


def read_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], default_dir: str
) -> Settings:
    """Return the settings of a command line. Raises ConfigError.

    `flags` are by their long names; None, "" and [] count as not given.
    """
    values: dict[str, Any] = {}
    for field in fields(Settings):
        found = _find(field.name, flags, environ)
        if found:
            values[field.name] = _words(found) if field.default == () else found
    data_dir = os.path.abspath(os.path.expanduser(values.get("data_dir") or default_dir))
    key_file = values.get("secret_key_file") or os.path.join(data_dir, "secret.key")
    settings = replace(
        Settings(**values),
        data_dir=data_dir,
        secret_key_file=os.path.abspath(os.path.expanduser(key_file)),
        base_url=values.get("base_url", "").rstrip("/"),
        advertise_url=values.get("advertise_url", "").rstrip("/"),
    )
    return settings


def check_settings(settings: Settings) -> None:
    """Raise ConfigError for settings that no relay can serve with."""
    if not settings.base_url:
        raise ConfigError("--base-url is required")
    _check_url(settings.base_url, "--base-url ")
    if settings.auth_mode not in MODES:
        raise ConfigError(f"--auth-mode must be one of {', '.join(MODES)}")
    if settings.auth_mode == "oidc" and not (settings.oidc_issuer and settings.oidc_client_id):
        raise ConfigError("--auth-mode oidc needs --oidc-issuer and --oidc-client-id")
    for url in (settings.oidc_issuer, settings.github_url, settings.github_api_url):
        if url:
            _check_url(url)
    if settings.ssh_public and not _is_address(settings.ssh_public):
        raise ConfigError(f"--ssh-public {settings.ssh_public!r}: must be host or host:port")
    _check_advertised(settings)
    if settings.tls_key and not settings.tls_cert:
        raise ConfigError("--tls-key is given, but --tls-cert is not")
    if settings.database_url and not settings.database_url.startswith(
        ("postgres://", "postgresql://")
    ):
        raise ConfigError("--database-url must begin with postgres:// or postgresql://")
    from codewire.relay.http.limits import Proxies

    try:
        Proxies(settings.trusted_proxy)
    except ValueError as error:
        raise ConfigError(f"--trusted-proxy: {error}") from error


def _check_url(url: str, name: str = "") -> None:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_usable = is_usable and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{name}{url!r}: must be http://host or https://host")


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`; 0 where no port is named. Raises ValueError.

    >>> split_address("[::1]:22")
    ('::1', 22)
    """
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or 0


def _check_advertised(settings: Settings) -> None:
    """What relays say to each other in the clear stays in a private network."""
    url = settings.advertise_url
    if not url:
        return
    _check_url(url, "--advertise-url ")
    if not settings.database_url:
        raise ConfigError("--advertise-url is for several relays on one --database-url")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_private(parts.hostname or ""):
        raise ConfigError(
            f"--advertise-url {url}: must be https, or http to a private address such as "
            "http://10.0.0.5:8080"
        )


def is_private(host: str) -> bool:
    """Say whether a host is an address of a private network, or this machine.

    >>> is_private("10.0.0.5"), is_private("8.8.8.8"), is_private("relay.example")
    (True, False, False)
    """
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    """Say whether a text is a host, or a host and a port, and nothing that urlsplit lets pass."""
    from codewire.network.ssh import is_host

    try:
        host, _ = split_address(text)
    except ValueError:
        return False
    return is_host(host) and is_host(text.strip("[").replace("]", ""))


def names_without_effect(flags: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Return the flags that were given and do nothing here."""
    named = [flag_of(name) for name in WITHOUT_EFFECT if flags.get(flag_of(name))]
    return named + [v for v in ("NATS_URL", "NATS_CREDS") if environ.get(v)]


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that may be handed on to other processes."""
    secret = {f"CW_{name.upper()}" for name in SECRETS}
    secret |= {also.variable for also in ALSO} | {"NATS_CREDS"}
    return {name: value for name, value in environ.items() if name not in secret}


def flag_of(name: str) -> str:
    """Return a setting's flag.

    >>> flag_of("auth_token")
    '--auth-token'
    """
    return "--" + name.replace("_", "-")


def _find(name: str, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    """Return a setting from where it is given first: flag, file, environment, its file."""
    given, path = flags.get(flag_of(name)), None
    if name in SECRETS:
        path = flags.get(flag_of(name) + "-file")
        if given and path:
            raise ConfigError(f"{flag_of(name)} and {flag_of(name)}-file: give one of them")
    if given:
        return given
    if path:
        return _read_secret(str(path))
    variable = f"CW_{name.upper()}"
    if environ.get(variable):
        return environ[variable]
    if name in SECRETS and environ.get(f"{variable}_FILE"):
        return _read_secret(environ[f"{variable}_FILE"])
    return next((environ[a.variable] for a in ALSO if a.name == name and a.variable in environ), "")


def _read_secret(path: str) -> str:
    try:
        text = read_regular(os.path.expanduser(path), MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"reading {path}: {cause.lower()}") from error
    if not text:
        raise ConfigError(f"{path} is empty")
    return text


def _words(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list) else str(value).split(",")
    return tuple(word.strip() for word in words if word.strip())
