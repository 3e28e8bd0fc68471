"""The relay's process: gets its settings through a pipe, serves until it is told to end.

Started by `cw relay serve` only, in its place (exec), after cw.py chose the runtime.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import asdict
from typing import Any

from codewire.errors import CodewireError
from codewire.io.logfile import write_stderr
from codewire.io.pipes import open_memory
from codewire.io.threads import spare_address_space
from codewire.io.wait import outlast_loop_errors, wait_readable
from codewire.relay.premises import lock, prepare
from codewire.relay.settings import Settings

log = logging.getLogger("codewire.relay")

MAX_SETTINGS = 1 << 20


def pass_settings(settings: Settings) -> int:
    """Return a descriptor that the next program reads the settings from.

    No list of processes and no environment shows them.
    """
    reader = open_memory("cw-relay-settings", 0)
    data = json.dumps(asdict(settings)).encode()
    os.write(reader, data)
    os.lseek(reader, 0, os.SEEK_SET)
    os.set_inheritable(reader, True)
    return reader


def _take_settings(fd: int) -> Settings:
    with open(fd, "rb") as file:
        values: dict[str, Any] = json.loads(file.read(MAX_SETTINGS))
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    return Settings(**values)


def main(argv: list[str]) -> int:
    """Run the relay; return its exit status."""
    _set_up_logging()
    try:
        return _serve(_take_settings(int(argv[0])))
    except CodewireError as error:
        _say(f"Error: {error}")
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"Error: {where}{error.strerror or error}")
        return 1


class _Lines(logging.Handler):
    """Writes to stderr what it takes at once: a log that nobody reads holds up nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted costs only itself
            text = f"{record.levelname} {record.msg!r}"
        _say(f"[relay] {text}")


def _say(text: str) -> None:
    write_stderr(text.encode("utf-8", "replace") + b"\n")


def _set_up_logging() -> None:
    level = logging.DEBUG if os.environ.get("CW_DEBUG") == "1" else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", handlers=[_Lines()], force=True)
    logging.raiseExceptions = False


def _serve(settings: Settings) -> int:
    outlast_loop_errors()
    spare_address_space()
    stop = _Stop()
    prepare(settings)
    lock(settings)
    from codewire.credentials.vault import Vault
    from codewire.relay.serve import Relay
    from codewire.relay.store.database import open_database

    store = open_database(
        settings.database_url, settings.data_dir, Vault.open(settings.secret_key_file)
    )
    try:
        if store.kind == "postgresql":
            log.info("using PostgreSQL store")
        if settings.auth_mode in ("none", "token") and not settings.auth_token:
            log.warning(
                "no --auth-token: nobody can create networks, invites or enrollments; set it"
            )
        relay = Relay(settings, store)
        relay.start()
        stop.wait()
        _say("[cw] relay shutting down...")
        if not relay.stop():
            log.warning("some connections did not end by themselves")
    finally:
        store.close()
    return 0


class _Stop:
    """SIGTERM and SIGINT, waited for by whichever runtime there is."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The handlers do nothing but exist: Python writes the number of each signal there.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Block until one of them comes."""
        wait_readable(self._reader)
