"""TLS on the relay's own port: a given certificate, or one of its own.

Peers of the mesh speak TLS to a relay whose URL says http, and check no certificate then
(spec/peer.md 5.2): for them the relay makes one and keeps it.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from codewire.credentials.extras import needs_relay
from codewire.errors import ConfigError
from codewire.files import open_regular

if TYPE_CHECKING:
    import ssl

    from codewire.relay.settings import Settings

log = logging.getLogger(__name__)

NAME = "tls.pem"
DAYS = 3650


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what TLS needs; None where a proxy in front has it. Raises ConfigError."""
    from codewire.io.tls import server_context

    if settings.tls_cert:
        return server_context(settings.tls_cert, settings.tls_key)
    if settings.is_encrypted:
        return None
    ensure_certificate(settings)
    return server_context(os.path.join(settings.data_dir, NAME), "")


def ensure_certificate(settings: Settings) -> None:
    """Make the relay's own certificate where it needs one and has none. Raises ConfigError."""
    path = os.path.join(settings.data_dir, NAME)
    if settings.tls_cert or settings.is_encrypted or os.path.exists(path):
        return
    try:
        with needs_relay("a relay"):
            data = make_certificate(settings.host)
        _write(path, data)
    except OSError as error:
        raise ConfigError(f"writing {path}: {(error.strerror or str(error)).lower()}") from error


def make_certificate(host: str) -> bytes:
    """Return a certificate that vouches for nothing, and its key, as PEM."""
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64] or "codewire")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + secret


def _write(path: str, data: bytes) -> None:
    """Write the file as a whole, readable by its owner alone."""
    temporary = f"{path}.{os.getpid()}"
    with open(open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
