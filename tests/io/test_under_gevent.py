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

# What a worker runs. The clients' files stay out: a client is never patched. A process for each
# group: starting one costs a second of processor time, and the groups take about as long.
TWICE = [
    "test_ladder test_process_table test_input test_log test_lookout test_opening",
    "test_websockets test_wait test_unix test_restoring test_shells",
    "peers/test_rpc peers/test_revoked",
    "test_web test_drain test_streams test_watchdog",
    "test_web_streams test_display test_program test_portable test_hanging_disk",
    "test_drain_shortage test_keeper_faults test_reading test_turning_away test_ptys",
]

RUN = """
import sys
import cw
getattr(cw, sys.argv.pop(1))()
from codewire.io.wait import GEVENT
assert GEVENT, "not patched"
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


# Whole files of tests each; those in them have the usual time.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("names", TWICE)
@pytest.mark.long
def test_under_gevent(names: str) -> None:
    run_under_gevent("patch_worker", names)


# A relay is patched otherwise.
@pytest.mark.timeout(400)
@pytest.mark.long
def test_a_relay_under_gevent() -> None:
    run_under_gevent("patch_relay", "relay/test_uplinks relay/test_coordinator")


def run_under_gevent(patch: str, names: str) -> None:
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "CW_RUNTIME"}
    files = [str(HERE / f"{name}.py") for name in names.split()]
    done = subprocess.run(
        [sys.executable, "-c", RUN, patch, "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
