"""The store's tests once more under gevent, patched as a relay is."""

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
from codewire.io.wait import GEVENT
assert GEVENT, "not patched"
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
# What waits and what is shared; the other tables are no different.
FILES = ("test_trust.py", "test_postgresql.py")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_under_gevent() -> None:
    files = [str(HERE / name) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "CW_RUNTIME"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
