"""A sign of life on a terminal while something takes longer than a second."""

from __future__ import annotations

import os
import sys
import threading

DELAY_SECONDS = 1.0
STEP_SECONDS = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "|/-\\"
ERASE_LINE = "\r\x1b[K"


class Spinner:
    """One line on stderr, gone when it stops. Where stderr is no terminal nothing is written."""

    def __init__(self, text: str, delay: float = DELAY_SECONDS) -> None:
        self._text = text
        self._delay = delay
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, unless nobody would see it."""
        if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            return
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and leave the line as it was. Idempotent."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        if self._is_over.wait(self._delay):
            return
        encoding = (sys.stderr.encoding or "").lower()
        frames = FRAMES if encoding.replace("-", "") == "utf8" else PLAIN_FRAMES
        count = 0
        while not self._is_over.wait(STEP_SECONDS):
            self._write(f"{ERASE_LINE}{frames[count % len(frames)]} {self._text}")
            count += 1
        self._write(ERASE_LINE)

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            # The terminal has gone; so has who would look.
            pass
