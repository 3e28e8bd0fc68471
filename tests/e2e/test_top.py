"""The overview in a real terminal (tmux), driven by keys; and screens as the last output."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.support import CW, Home, running_home, wait_until
from tests.tmux import HAS_TMUX, Tmux

pytestmark = pytest.mark.skipif(not HAS_TMUX, reason="tmux is not installed")

# Draws its dialog in the wrong order, as programs do that move the cursor.
DIALOG = """
import sys
sys.stdout.write("\\x1b[2J\\x1b[4;1H  2. No\\x1b[2;1HDo you want to proceed?")
sys.stdout.write("\\x1b[3;1H\\u276f 1. Yes")
sys.stdout.flush()
sys.stdin.readline()
sys.stdout.write("\\x1b[2J\\x1b[2;1Hsecond\\x1b[1;1Hfirst")
"""
SHOWN = "Do you want to proceed?\n❯ 1. Yes\n  2. No"


@pytest.fixture
def home() -> Iterator[Home]:
    """A node on the default runtime: nothing here depends on it."""
    with running_home() as found:
        yield found


@pytest.fixture
def tmux(home: Home) -> Iterator[Tmux]:
    made = Tmux(home)
    yield made
    made.close()


def test_the_overview_by_its_keys(home: Home, tmux: Tmux) -> None:
    shell = home.launch("sh", "-c", "PS1='$ ' exec sh -i", name="shell")
    asker = home.launch(sys.executable, "-c", DIALOG, name="asker", tags=["t"])
    home.launch("sleep", "600", name="sleeper")
    window = tmux.shell()
    window.type(f"{shlex.join(CW)} top; echo rc=$?\r")
    # Who is blocked is on top, and its screen below.
    window.expect("▸◐ asker")
    window.expect("❯ 1. Yes")
    assert window.show().split("\n")[1].startswith("▸◐ asker")
    # Filter, and a prompt to the one that is left.
    window.type("/shell\r")
    window.expect("filter: shell")
    wait_until(lambda: "asker" not in window.show(), 20, "the others are gone")
    window.type("pecho ty''ped\r")
    window.expect("shell: sent")
    wait_until(lambda: b"typed" in home.log(shell), 20, "the prompt's output")
    # Attach and return.
    window.type("\r")
    window.expect("Ctrl+B d")
    window.type("\x02d")
    window.expect("filter: shell")
    window.type("\x1b")
    wait_until(lambda: "filter: shell" not in window.show(), 20, "no filter")
    # The next blocked one; it ends while it is looked at.
    window.type("n")
    window.expect("▸◐ asker")
    home.cw("send", "--keys", "Enter", "asker")
    home.wait_finished(asker)
    window.expect("▸✓ asker")
    window.expect("first")
    # Another size, and another worker underneath.
    tmux.command("resize-window", "-t", window.name, "-x", "100", "-y", "30")
    wait_until(lambda: window.show().split("\n")[29].startswith("↑↓ select"), 20, "30 rows")
    home.kill_worker()
    home.launch("sleep", "600", name="later")
    window.expect("later")
    # A kill is asked about first.
    window.type("/sleeper\r")
    window.expect("▸○ sleeper")
    window.type("k")
    window.expect("kill sleeper and all it started? y/N")
    window.type("n")
    window.expect("not killed")
    window.type("ky")
    window.expect("kill sleeper and all it started? y/N")
    window.type("y")
    window.expect("▸✗ sleeper")
    window.type("q")
    window.expect("rc=0")
    window.expect_facts("alternate_on=0 cursor_flag=1 wrap_flag=1")


def test_who_moves_the_cursor_is_shown_by_its_screen(home: Home) -> None:
    asker = home.launch(sys.executable, "-c", DIALOG)
    # Its lines in no order, and a command's as they came.
    wait_until(lambda: b"Yes" in home.log(asker), 20, "the dialog")
    info = home.session(asker) | home.request({"type": "GetStatus", "id": asker})["info"]
    assert info["last_output_snippet"].strip("\n") == SHOWN
    assert "Do you want to proceed? ❯ 1. Yes 2. No" in info["last_event_preview"]
    home.cw("send", "--keys", "Enter", str(asker))
    home.wait_finished(asker)
    for answer in ({"type": "GetStatus", "id": asker}, {"type": "Wait", "id": asker}):
        found = home.request(answer)
        info = found["info"] if "info" in found else found["sessions"][0]
        assert info["last_output_snippet"].endswith("first\nsecond")
    assert home.session(asker)["last_output_snippet"].endswith("2. No\nfirst\nsecond")
    plain = home.launch("printf", "a\\r\\n\\033[31mb\\033[0m\\n")
    home.wait_finished(plain)
    info = home.request({"type": "GetStatus", "id": plain})["info"]
    assert info["last_output_snippet"] == "a\r\r\n\x1b[31mb\x1b[0m\r\n"
