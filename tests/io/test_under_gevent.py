"""The I/O tests once more, in a process that cw.py's worker patch has made cooperative."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What a worker runs. The clients' files stay out: a client is never patched.
TWICE = ["test_log", "test_drain", "test_input", "test_unix", "test_ptys", "test_ladder"]
TWICE += ["test_streams", "test_websockets", "test_display"]
TWICE += ["test_streams", "test_websockets", "test_wait", "test_program", "test_opening"]
TWICE += ["test_reading", "test_turning_away", "test_drain_shortage"]
TWICE += ["test_streams", "test_websockets", "test_restoring"]
TWICE += ["test_streams", "test_websockets", "test_keeper_faults"]
TWICE += ["test_watchdog", "test_web", "test_web_streams"]
TWICE += ["test_lookout"]

RUN = """
import sys
import cw
getattr(cw, sys.argv.pop(1))()
from codewire.io.wait import GEVENT
assert GEVENT, "not patched"
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


# A whole file of tests each; those in it have the usual time.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", TWICE)
def test_under_gevent(name: str) -> None:
    run_under_gevent("patch_worker", f"{name}.py")


def run_under_gevent(patch: str, *files: str) -> None:
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    paths = [str(HERE / file) for file in files]
    environment = {key: value for key, value in os.environ.items() if key != "CW_RUNTIME"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, patch, "-q", "-p", "no:cacheprovider", *paths],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


# A relay is patched otherwise; its tests on a running one, in one process.
@pytest.mark.timeout(400)
def test_a_relay_under_gevent() -> None:
    run_under_gevent("patch_relay", "relay/test_uplinks.py", "relay/test_coordinator.py")
