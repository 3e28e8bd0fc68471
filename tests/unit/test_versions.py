"""One version: where a file cannot read it, it says the same."""

from __future__ import annotations

from pathlib import Path

from codewire import __version__

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_image_says_the_version_it_has() -> None:
    assert f"\nARG VERSION={__version__}\n" in (REPOSITORY / "Dockerfile").read_text()


def test_the_changelog_has_it() -> None:
    assert f"\n## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()
