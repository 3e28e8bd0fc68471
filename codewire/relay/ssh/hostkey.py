"""The SSH host key: one for all relays of a store, sealed in it; clients remember it for good."""

from __future__ import annotations

import os

from codewire.credentials.extras import needs_relay
from codewire.errors import ConfigError
from codewire.files import read_regular
from codewire.relay.store import people
from codewire.relay.store.database import Database

SECRET_NAME = "ssh-host-key"
# Where an older relay (codewire in Go) kept its own, in the same form (spec/relay.md 7).
FILE_NAME = "ssh_host_ed25519"
MAX_BYTES = 16384


def host_key(store: Database, data_dir: str) -> str:
    """Return the private host key (Ed25519, PKCS#8 PEM), the same to every relay of the store.

    At first it is that of an older relay in `data_dir`, else a new one. Blocks. Raises StoreError,
    and ConfigError for a file that is no such key.
    """
    kept = store.read(lambda tx: people.secret_get(tx, SECRET_NAME))
    if kept is None:
        fresh = _older(os.path.join(data_dir, FILE_NAME)) or _new()
        kept = store.write(lambda tx: people.secret_put_if_absent(tx, SECRET_NAME, fresh))
    return kept.decode()


def take_over(store: Database, directory: str) -> bool:
    """Have an older relay's key be the store's; say whether there is one in `directory`.

    It is the one that clients know, whatever a relay has made for itself meanwhile. Blocks. Raises
    StoreError, ConfigError.
    """
    older = _older(os.path.join(directory, FILE_NAME))
    if older:
        store.write(lambda tx: people.secret_put(tx, SECRET_NAME, older))
    return bool(older)


def public_line(pem: str) -> str:
    """Return the public half of a private key, as in "ssh-ed25519 AAAA…"."""
    with needs_relay("the SSH host key"):
        from cryptography.hazmat.primitives import serialization as forms
    public = forms.load_pem_private_key(pem.encode(), None).public_key()
    return public.public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH).decode()


def _new() -> bytes:
    with needs_relay("the SSH host key"):
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    return Ed25519PrivateKey.generate().private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )


def _older(path: str) -> bytes:
    """Return an older relay's key, b"" where there is none. Raises ConfigError."""
    try:
        data = read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"SSH host key {path}: {(error.strerror or '').lower()}") from error
    with needs_relay("the SSH host key"):
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    try:
        key = forms.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"SSH host key {path}: {_NOT_A_KEY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"SSH host key {path}: {_NOT_A_KEY}")
    return data


_NOT_A_KEY = (
    "not an Ed25519 key in PKCS#8 PEM without a passphrase: move it away, and the relay makes a "
    "new one"
)
