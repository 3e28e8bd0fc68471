"""Access grants that this user has accepted (spec/network-auth.md 9): kept until they end.

The files are upstream's. `relay_url` is ours: a grant is looked for where it is from, alone.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import ConfigError, CredentialError, RelayError, RelayRefused
from codewire.files import read_regular
from codewire.wire.timestamps import format_nanos, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from codewire.credentials.claims import ObserverClaims
    from codewire.network.configuration import Configuration
    from codewire.wire.peers import Locator

FILE, STATE_FILE = "accepted_access_grants.json", "accepted_access_grants_state.json"
MAX_BYTES = 16 << 20
# What became of a grant at its relay; UNKNOWN could not be found out.
GOOD, REVOKED, MISSING, UNKNOWN = "good", "revoked", "missing", "unknown"
# A relay's words for a grant that is not there for us any more.
GONE = ("access grant not found", "membership required")

Record = dict[str, Any]


class Pruned(NamedTuple):
    """What was removed and why, what is left, and whether a relay was asked."""

    removed_expired: int
    removed_revoked: int
    removed_missing: int
    remaining: int
    relay_checked: bool


class Accepted:
    """The grants in a data directory. One process at a time changes them."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._path = os.path.join(root, FILE)
        self._state_path = os.path.join(root, STATE_FILE)

    def accept(self, token: str, now: int, relay_url: str = "") -> Record:
        """Keep a grant, unverified: its node will look. Raises CredentialError, ConfigError."""
        from codewire.credentials.claims import ObserverClaims
        from codewire.credentials.envelope import peek

        record = _record(peek(token, ObserverClaims), token, now, relay_url)
        if parse_timestamp(record["expires_at"]) <= now:
            raise CredentialError(
                f"the grant has expired ({record['expires_at']}): ask for a new one"
            )
        with _Lock(self._root):
            kept = [one for one in self._load() if one["grant_id"] != record["grant_id"]]
            self._save([*(one for one in kept if not _is_over(one, now)), record])
        return record

    def all(self, now: int) -> list[Record]:
        """Return those that have not expired."""
        return [one for one in self._load() if not _is_over(one, now)]

    def drop(self, grant_id: str) -> bool:
        """Forget a grant; say whether it was there. Raises ConfigError."""
        with _Lock(self._root):
            before = self._load()
            after = [one for one in before if one["grant_id"] != grant_id]
            if len(after) < len(before):
                self._save(after)
        return len(after) < len(before)

    def prune(self, now: int, check: Callable[[Record], str] | None) -> Pruned:
        """Forget what is over; `check` says what became of a grant, None where nobody can.

        Blocks in `check`. Raises ConfigError.
        """
        verdicts = {one["grant_id"]: check(one) for one in self.all(now) if check is not None}
        with _Lock(self._root):
            before = self._load()
            alive = [one for one in before if not _is_over(one, now)]
            found = [verdicts.get(one["grant_id"], UNKNOWN) for one in alive]
            left = [
                one for one, verdict in zip(alive, found, strict=True) if verdict in (GOOD, UNKNOWN)
            ]
            if len(left) < len(before):
                self._save(left)
        is_checked = check is not None and UNKNOWN not in verdicts.values()
        return Pruned(
            len(before) - len(alive),
            found.count(REVOKED),
            found.count(MISSING),
            len(left),
            is_checked,
        )

    def last_event(self, network: str) -> str:
        """Return the id of the last event seen of a network, "" for none."""
        networks = self._load_state().get(network)
        found = networks.get("last_event_id") if isinstance(networks, dict) else ""
        return found if isinstance(found, str) and found.isascii() and found.isdigit() else ""

    def note_event(self, network: str, event_id: str) -> None:
        """Remember it. Raises ConfigError."""
        with _Lock(self._root):
            networks = {**self._load_state(), network: {"last_event_id": event_id}}
            _write(self._state_path, {"networks": networks})

    def _load(self) -> list[Record]:
        """Return what is kept; what is no grant is left out."""
        found = _read(self._path).get("grants")
        records = found if isinstance(found, list) else []
        return [one for one in records if isinstance(one, dict) and _is_whole(one)]

    def _save(self, records: list[Record]) -> None:
        _write(self._path, {"grants": records})

    def _load_state(self) -> dict[str, Any]:
        found = _read(self._state_path).get("networks")
        return found if isinstance(found, dict) else {}


def find_accepted(
    accepted: Accepted, relay: Configuration, node: str, locator: Locator, verb: str
) -> Record | None:
    """Return the grant for a session of the selected network that holds longest, None without one.

    Each is looked up at the relay; what is over there is forgotten here, and what cannot be looked
    up counts. Blocks. Raises ConfigError.
    """
    from time import time_ns

    now = time_ns()
    for record in _candidates(accepted.all(now), relay, node, locator, verb):
        verdict = checked_at(relay, record, now)
        if verdict in (GOOD, UNKNOWN):
            return record
        accepted.drop(record["grant_id"])
    return None


def _candidates(
    records: list[Record], relay: Configuration, node: str, locator: Locator, verb: str
) -> list[Record]:
    """Return what fits, latest end first: a grant by name is for the name, one by id for the id."""
    place = (relay.network, node, locator.id, locator.name)
    found = [
        one
        for one in records
        if (one["network_id"], one["target_node"], one.get("session_id"),
            one.get("session_name") or "") == place
        and verb in one["verbs"]
        and _is_from(one, relay)
    ]  # fmt: skip
    return sorted(found, key=lambda one: parse_timestamp(one["expires_at"]), reverse=True)


def _is_from(record: Record, relay: Configuration) -> bool:
    """Say whether a grant may be this relay's; of some it is not known where they are from."""
    from codewire.network.exchange import is_same_url

    home = record.get("relay_url")
    return not isinstance(home, str) or is_same_url(home, relay.url)


def checked_at(relay: Configuration, record: Record, now: int) -> str:
    """Return what became of a grant, as far as its relay can be asked now."""
    if not _is_from(record, relay):
        return UNKNOWN
    try:
        return verdict_of(record, relay.as_user().grant, now)
    except (RelayError, ConfigError):
        return UNKNOWN


def verdict_of(record: Record, ask: Callable[[str, str], Any], now: int) -> str:
    """Return what became of a grant; `ask` is Relay.grant. Raises RelayUnreachable."""
    try:
        found = ask(record["network_id"], record["grant_id"])
    except RelayRefused as error:
        return MISSING if error.text in GONE else UNKNOWN
    is_over = bool(found.revoked_at) or (
        bool(found.expires_at) and parse_timestamp(found.expires_at) <= now
    )
    return REVOKED if is_over else GOOD


def _record(claims: ObserverClaims, token: str, now: int, relay_url: str) -> Record:
    record = {
        "token": token,
        "grant_id": claims.jti,
        "network_id": claims.network_id,
        "target_node": claims.target_node,
        "session_id": claims.session_id,
        "session_name": claims.session_name or None,
        "verbs": list(claims.verbs),
        "audience_subject_kind": claims.audience_subject_kind,
        "audience_subject_id": claims.audience_subject_id,
        "accepted_at": format_nanos(now),
        "expires_at": format_nanos(claims.expires_at),
        "relay_url": relay_url or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def _is_whole(record: Record) -> bool:
    texts = ("token", "grant_id", "network_id", "target_node", "expires_at")
    if not all(isinstance(record.get(name), str) for name in texts):
        return False
    try:
        parse_timestamp(record["expires_at"])
    except ValueError:
        return False
    return isinstance(record.get("verbs"), list)


def _is_over(record: Record, now: int) -> bool:
    return parse_timestamp(record["expires_at"]) <= now


def _read(path: str) -> dict[str, Any]:
    """Return a file's object, {} without one. Raises ConfigError for one that cannot be read."""
    try:
        found = json.loads(read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: move it away ({error})") from error
    return found if isinstance(found, dict) else {}


def _write(path: str, value: dict[str, Any]) -> None:
    from codewire.disk.filing import write_atomically

    try:
        write_atomically(path, json.dumps(value, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"writing {path}: {error.strerror}") from error


class _Lock:
    """One changer at a time: a lock on the directory."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._fd = -1

    def __enter__(self) -> None:
        import fcntl

        try:
            os.makedirs(self._root, 0o700, exist_ok=True)
            self._fd = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            raise ConfigError(f"{self._root}: {error.strerror}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        os.close(self._fd)
