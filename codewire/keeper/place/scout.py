"""Looks at paths that may never answer (a dead NFS server), so that the keeper's loop cannot hang.

The look is made in a thread; one that hangs is left there, and nobody looks again until it has
returned. That thread does nothing but ask the file system.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable

# A file system that is well answers within this; the loop stands still for as long at most.
PATIENCE_SECONDS = 0.2
STACK_BYTES = 256 << 10


class Scout:
    """One look at a time."""

    def __init__(self, look: Callable[[], bool]) -> None:
        """`look` says whether all is well. It must change nothing; an error is a no."""
        self._look = look
        # Held while somebody is out.
        self._out = _thread.allocate_lock()
        self._found: bool | None = None

    def find(self) -> bool | None:
        """Return whether all is well, None when that cannot be known now."""
        if self._out.acquire(False):
            self._found = None
            before = _thread.stack_size(STACK_BYTES)
            try:
                _thread.start_new_thread(self._go, ())
            except (RuntimeError, MemoryError):
                self._out.release()
                return None
            finally:
                _thread.stack_size(before)
        if not self._out.acquire(True, PATIENCE_SECONDS):
            return None
        self._out.release()
        return self._found

    def is_out(self) -> bool:
        """Say whether a look has not come back."""
        return self._out.locked()

    def _go(self) -> None:
        try:
            self._found = self._look()
        except Exception:  # noqa: BLE001 - whoever looks with an error sees something wrong
            self._found = False
        finally:
            self._out.release()
