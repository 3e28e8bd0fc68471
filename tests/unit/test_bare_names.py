"""The list of tests that run without Linux-only calls names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_whole_nodes_are_there() -> None:
    listed = (ROOT / "tests" / "bare" / "whole_nodes.txt").read_text().splitlines()
    names = [line for line in listed if line and not line.startswith("#")]
    assert len(names) > 20
    for name in names:
        path, _, test = name.partition("::")
        text = (ROOT / path).read_text()
        assert re.search(rf"^def {test.partition('[')[0]}\b", text, re.MULTILINE), name
