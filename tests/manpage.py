"""The manual page: `python -m tests.manpage` writes docs/cw.1 from the usage texts."""

from __future__ import annotations

from pathlib import Path

from codewire import __version__
from codewire.commands.manpage import page

PATH = Path(__file__).resolve().parent.parent / "docs/cw.1"


def main() -> None:
    """Write it."""
    PATH.write_text(page(__version__), encoding="utf-8")


if __name__ == "__main__":
    main()
