"""The store's tests once more on PostgreSQL and under gevent, each in a process of its own.

A server takes seconds to make: so all that needs one is together, whoever shares out the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

RUN = """
import sys
import cw
cw.patch_relay()
from codewire.io.wait import RUNTIME
assert RUNTIME == sys.argv[1], RUNTIME
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
TABLES = ("test_tables", "test_trust", "test_people")
# Under gevent, what waits and what is shared; the other tables are no different.
ELSEWHERE = [
    (
        "threads",
        "postgresql",
        (
            *TABLES,
            "test_importing",
            "postgresql_cases",
            "../relay/test_golden",
            "../relay/test_siblings",
            "../relay/test_passing",
        ),
    ),
    (
        "gevent",
        "postgresql",
        ("test_trust", "postgresql_cases", "../relay/test_siblings", "../relay/test_passing"),
    ),
    ("gevent", "sqlite", ("test_trust", "test_tables")),
]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("runtime", "engine", "names"), ELSEWHERE)
def test_elsewhere(runtime: str, engine: str, names: tuple[str, ...]) -> None:
    files = [str(HERE / f"{name}.py") for name in names]
    done = subprocess.run(
        [sys.executable, "-c", RUN, runtime, "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env={**os.environ, "CW_RUNTIME": runtime, "CW_STORE_ENGINE": engine},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
