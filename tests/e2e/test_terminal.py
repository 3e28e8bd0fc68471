"""Attach in a real terminal (tmux): as though the program ran there, and no trace is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.wire.frames import CONTROL
from tests.support import CW, Home, wait_until
from tests.tmux import HAS_TMUX, Tmux, Window

pytestmark = pytest.mark.skipif(not HAS_TMUX, reason="tmux is not installed")

TEXT = "".join(f"line {n} wörd 日本語 {'x' * (n % 50)}\ttab\n" for n in range(1, 301))
MENU = """
import curses, locale
locale.setlocale(locale.LC_ALL, "")
def menu(screen):
    curses.curs_set(0)
    curses.use_default_colors()
    at = 0
    while True:
        screen.erase()
        screen.border()
        screen.addstr(1, 2, "Menu", curses.A_BOLD)
        for n, word in enumerate(["Open", "Save as", "日本", "Quit"]):
            screen.addstr(3 + n, 4, word.ljust(12), curses.A_REVERSE if n == at else 0)
        screen.refresh()
        if screen.getch() == ord("j"):
            at = (at + 1) % 4
curses.wrapper(menu)
"""
PROMPT = """
import readline
while True:
    print("got", input(">>> "))
"""
# What must be as before when a client has gone: asked of the terminal itself.
FACTS = (
    "alternate_on",
    "cursor_flag",
    "keypad_cursor_flag",
    "keypad_flag",
    "mouse_any_flag",
    "mouse_sgr_flag",
    "insert_flag",
    "wrap_flag",
    "origin_flag",
    "scroll_region_upper",
    "scroll_region_lower",
)


class Stage:
    """A home, terminals, and files programs show."""

    def __init__(self, runtime: str) -> None:
        self.home = Home(runtime)
        self.tmux = Tmux(self.home)
        self.home.env["TERM"] = "tmux-256color"
        for name, content in (("text", TEXT), ("menu.py", MENU), ("prompt.py", PROMPT)):
            Path(self.home.path, name).write_text(content)

    def path(self, name: str) -> str:
        return os.path.join(self.home.path, name)

    def launch(self, *command: str) -> None:
        self.home.launch(*command, env=["TERM=tmux-256color", "PS1=$ "])


@pytest.fixture(params=["gevent", "threads"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(request.param)
    try:
        stage.home.start_node()
        yield stage
    finally:
        stage.tmux.close()
        stage.home.close()


# Keys in the order they are pressed, each with what it shows: the next is not pressed before that.
# What comes between two prompts the kernel echoes as well. "" is for programs that take it anyway.
Keys = list[tuple[str, str]]
Program = tuple[list[str], str, Keys]


def keys(*words: str) -> Keys:
    return [(word, "") for word in words]


def programs(stage: Stage) -> dict[str, Program]:
    """Return command, what shows that it is there, and keys to press, by name."""
    text = stage.path("text")
    return {
        "vim": (
            ["vim", "-n", "-u", "NONE", text],
            "line 23",
            keys("20jddihi\x1b", "5", "\x04", "zt"),
        ),
        "less": (["less", text], "line 23", keys("  b/line 77", "\r", "jjk")),
        "menu": ([sys.executable, stage.path("menu.py")], "Menu", keys("jj")),
        "prompt": (
            [sys.executable, stage.path("prompt.py")],
            ">>>",
            [
                ("one", ">>> one\n"),
                ("\r", "got one\n>>>\n"),
                ("two three", ">>> two three\n"),
                ("\x01", ""),
                ("X", ">>> Xtwo three\n"),
            ],
        ),
    }


def press(window: Window, pressed: Keys) -> None:
    for key, effect in pressed:
        window.type(key)
        if effect:
            window.expect(effect)
        window.settled(0.1)


@pytest.mark.parametrize("name", ["vim", "less", "menu", "prompt"])
def test_it_looks_as_if_it_ran_here(stage: Stage, name: str) -> None:
    command, sign, pressed = programs(stage)[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    direct = stage.tmux.run(*command)
    direct.expect(sign)
    stage.launch(*command)
    attached = stage.tmux.cw("attach", "1", "--no-bar")
    attached.expect(sign)
    for window in (direct, attached):
        press(window, pressed)
    if name != "prompt":
        # Before a prompt the attached terminal also shows the notice of cw.
        attached.expect_same(direct)
    # Leave it, and come back from a terminal of another size.
    attached.type("\x02d")
    attached.expect("[cw] detached from session 1")
    other = stage.tmux.cw("attach", "1", "--no-bar", rows=30, cols=100)
    if name == "prompt":
        other.expect(pressed[-1][1])
        return
    other.expect(direct.show().split("\n")[2].strip()[:8])
    directly = stage.tmux.run(*command, rows=30, cols=100)
    directly.expect(sign)
    if name == "menu":
        directly.type("jj")
        other.expect_same(directly)


def test_a_larger_terminal_is_used_to_its_last_row(stage: Stage) -> None:
    # vim keeps its 24 rows as a scroll region that a real terminal forgets when it is resized.
    if shutil.which("vim") is None:
        pytest.skip("vim is not installed")
    command = ["vim", "-n", "-u", "NONE", stage.path("text")]
    stage.launch(*command)
    stage.home.cw("wait", "1", "--for", "line 23")
    stage.launch("bash", "-c", f"vim -n -u NONE -c q {stage.path('text')}; echo left; exec cat")
    stage.home.cw("wait", "2", "--for", "left")
    attached = stage.tmux.cw("attach", "1", "--no-bar", rows=36)
    direct = stage.tmux.run(*command, rows=36)
    for window in (attached, direct):
        window.expect("line 35")
        # The message of vim's start is gone once the size has changed: ask for it again.
        window.type("G:f\r")
    attached.expect_same(direct)
    for session, sign in (("1", "line 300"), ("2", "left")):
        window = stage.tmux.cw("attach", session, "--no-bar", rows=36)
        window.expect(sign)
        window.settled()
        assert window.facts("scroll_region_upper", "scroll_region_lower") == direct.facts(
            "scroll_region_upper", "scroll_region_lower"
        )


BAR = """
for i in $(seq 1 40); do
    printf "\\rprogress %3d%% [%-40s]" $((i * 5 / 2)) "$(seq -s= $i | tr -d 0-9)"
done
printf "\\ndone\\n\\033[1Aalmost \\033[2Gx\\033[Kk\\n"; exec sleep 1000
"""


def others(stage: Stage) -> dict[str, Program]:
    """Return more programs, as `programs` does; those that are not installed are left out."""
    # bash -c drops PS1 from its environment.
    shell = ["env", "PS1=$ ", "bash", "--norc", "-i"]
    vim = f"vim -nu NONE {stage.path('text')}"
    found = {
        "progress": (["bash", "-c", BAR], "axk", keys()),
        "vim left": (
            shell,
            "$",
            [("ls", "$ ls\n"), ("\r", "text"), (vim, vim), ("\r", "line 23"), (":q!\r", vim)],
        ),
        "shell": (
            shell,
            "$",
            [
                ("seq 50", "$ seq 50\n"),
                ("\r", "\n50\n$\n"),
                ("a" * 100, "a" * 78),
                *keys("\x01", "X"),
            ],
        ),
        "htop": (["htop", "-d", "100", "--readonly"], "PID", keys("\x1b[B")),
    }
    found = {**programs(stage), **found}
    return {name: entry for name, entry in found.items() if shutil.which(entry[0][0])}


def record(stage: Stage, command: list[str], sign: str, pressed: Keys) -> str:
    """Return the path of a file with the bytes a terminal got from a program, keys pressed."""
    recording = stage.path("recording")
    window = stage.tmux.run("bash", "-c", 'read -rs; exec "$@"', "-", *command)
    writer = f"cat >{recording}; mv {recording} {recording}.whole"
    stage.tmux.command("pipe-pane", "-t", window.name, writer)
    window.type("\r")
    window.expect(sign)
    press(window, pressed)
    window.settled()
    stage.tmux.command("pipe-pane", "-t", window.name)
    wait_until(lambda: os.path.exists(f"{recording}.whole"), 30, "all of it is written down")
    return f"{recording}.whole"


@pytest.mark.parametrize(
    "name", ["vim", "less", "menu", "prompt", "progress", "vim left", "shell", "htop"]
)
def test_the_screen_is_what_the_terminal_shows(stage: Stage, name: str) -> None:
    if name not in others(stage):
        pytest.skip(f"{name} is not installed")
    # The very bytes one terminal got go to another and through the node's emulator: cat keeps them
    # as they are. Only these: the program itself goes on, htop with a new picture now and then.
    recording = record(stage, *others(stage)[name])
    replay = f"stty raw -echo; cat {recording}; "
    window = stage.tmux.run("bash", "-c", replay + r"printf '\033]2;replayed\007'; exec sleep 1000")
    window.expect_facts("pane_title=replayed")
    shown = [line.rstrip() for line in window.show().rstrip("\n").split("\n")]
    stage.launch("bash", "-c", f"{replay} exec sleep 1000")
    size = os.path.getsize(recording)
    wait_until(lambda: len(stage.home.log(1)) == size, 30, "it is replayed")
    screen = stage.home.cw("screen", "1").stdout.rstrip("\n").split("\n")
    assert screen == shown
    # And as plain text its log holds nothing that moves a cursor.
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", stage.home.cw("logs", "1").stdout)


DIRTY = (
    "printf '\\033[?1049h\\033[?25l\\033[?1h\\033=\\033[?1003h\\033[?1006h\\033[4h\\033[?7l"
    "\\033[2;9r\\033[31m\\033(0DIRTY'; exec sleep 1000"
)


def attach_from_shell(stage: Stage, shell: Window) -> int:
    """Attach to a DIRTY session from a shell; return the client's pid once all is dirty."""
    stage.launch("bash", "-c", DIRTY)
    wait_until(lambda: b"DIRTY" in stage.home.log(1), 30, "the program runs")
    client = stage.path("client.pid")
    shell.type(f"sh -c 'echo $$ >{client}; exec \"$@\"' - {' '.join(CW)} attach 1\r")
    shell.expect_facts("alternate_on=1 cursor_flag=0 mouse_any_flag=1 wrap_flag=0")
    return int(Path(client).read_text())


@pytest.mark.parametrize("way", ["chord", "TERM", "HUP", "session", "worker"])
def test_the_terminal_is_left_as_it_was(stage: Stage, way: str) -> None:
    shell = stage.tmux.shell()
    shell.expect_prompt()
    before = shell.facts(*FACTS)
    client = attach_from_shell(stage, shell)
    end(stage, shell, way, client)
    shell.expect_facts("alternate_on=0")
    shell.expect_prompt()
    assert shell.facts(*FACTS) == before
    assert "stty" not in shell.show()
    shell.type("echo sa''ne; stty -a\r")
    for word in ("\nsane", " icanon", " echo "):
        shell.expect(word)


def end(stage: Stage, shell: Window, way: str, client: int) -> None:
    if way == "chord":
        shell.type("\x02d")
    elif way in ("TERM", "HUP"):
        os.kill(client, signal.Signals[f"SIG{way}"])
    else:
        if way == "worker":
            stage.home.kill_worker()
        stage.home.request({"type": "Kill", "id": 1})


def test_reset_repairs_what_a_killed_client_left(stage: Stage) -> None:
    shell = stage.tmux.shell()
    shell.expect_prompt()
    before = shell.facts(*FACTS)
    os.kill(attach_from_shell(stage, shell), signal.SIGKILL)
    shell.type(f"\n{' '.join(CW)} reset\n")
    shell.expect_facts(before)
    shell.type("stty -a\r")
    shell.expect(" icanon")


def test_history_is_the_last_lines_from_a_whole_one(stage: Stage) -> None:
    stage.launch("bash", "-c", "seq 5000; exec cat")
    wait_until(lambda: b"\n5000\r\n" in stage.home.log(1), 30, "it has counted")
    with stage.home.connect() as usual, stage.home.connect() as three, stage.home.connect() as go:
        usual.send_control({"type": "Attach", "id": 1, "history": "terminal"})
        three.send_control({"type": "Attach", "id": 1, "history": "terminal", "history_lines": 3})
        go.send_control({"type": "Attach", "id": 1})
        for connection, first in ((usual, b"3001\r\n"), (three, b"4998\r\n"), (go, b"1\r\n")):
            assert connection.receive_control()["type"] == "Attached"
            while (frame := connection.receive()) is not None and frame[0] == CONTROL:
                continue
            assert frame is not None
            assert frame[1].startswith(first)


def test_the_size_is_that_of_who_acted_last(stage: Stage) -> None:
    stage.launch("bash", "-c", "while sleep 0.05; do stty size; done")

    def size(wanted: str) -> None:
        wait_until(lambda: stage.home.log(1).endswith(f"{wanted}\r\n".encode()), 30, wanted)

    size("24 80")
    small = stage.tmux.cw("attach", "1", "--no-bar", rows=20, cols=60)
    size("20 60")
    large = stage.tmux.cw("attach", "1", "--no-bar", rows=40, cols=120)
    size("40 120")
    small.type("x")
    size("20 60")
    large.type("x")
    size("40 120")
    large.type("\x02d")
    size("20 60")
    small.type("\x02d")
    wait_until(lambda: not stage.home.session(1)["attached"], 30, "both have left")
    size("20 60")


def test_watching_several_keeps_the_terminal_in_order(stage: Stage) -> None:
    draw = "stty -echo; printf '\\033[?1049h\\033[2J\\033[c\\033[?25hone\\n10%%\\r20%%\\n'; cat"
    stage.launch("sh", "-c", draw)  # without echo: the node's answer to it is not asked for here
    stage.launch("sh", "-c", "echo two; exec cat")
    for session, last in ((1, b"20%\r\n"), (2, b"two\r\n")):
        wait_until(lambda n=session, t=last: t in stage.home.log(n), 30, "it has printed")
    watcher = stage.tmux.cw("watch", "1", "2")
    for line in ("[1] one", "[1] 20%", "[2] two"):
        watcher.expect(line)
    assert watcher.facts("alternate_on") == "alternate_on=0"
    assert "10%" not in watcher.show() and "^[" not in watcher.show()


def test_watching_one_leaves_the_terminal_as_it_was(stage: Stage) -> None:
    stage.launch("sh", "-c", r"printf '\033[c\033[6n\033[?1049h\033[?25h\033[?1hDIRTY'; exec cat")
    wait_until(lambda: b"DIRTY" in stage.home.log(1), 30, "the program runs")
    shell = stage.tmux.shell()
    shell.expect_prompt()
    before = shell.facts(*FACTS)
    client = stage.path("client.pid")
    # Its time is up when the test has seen enough: that is the timeout's own signal.
    words = f"{' '.join(CW)} watch 1 --timeout 600"
    shell.type(f"sh -c 'echo $$ >{client}; exec \"$@\"' - {words}\r")
    shell.expect_facts("alternate_on=1")
    shell.expect("DIRTY")
    os.kill(int(Path(client).read_text()), signal.SIGALRM)
    shell.expect("watch timeout reached")
    shell.expect_prompt()
    assert shell.facts(*FACTS) == before
    # Below the command: the names of directories are random ones.
    _, typed, below = shell.settled().replace("\n", "").partition("--timeout 600")
    assert typed and not re.search(r"\d[cR]", below)


def test_the_bar_names_what_there_is_to_know(stage: Stage) -> None:
    assert stage.home.cw("launch", "planner", "--", "cat").returncode == 0
    first = stage.tmux.cw("attach", "planner", "--detach-key", "ctrl-a")
    first.expect("[cw] planner (1) | running |")
    first.expect("Ctrl+A d")
    second = stage.tmux.cw("attach", "1")
    second.expect("+1 attached")
    first.expect("+1 attached")
    first.type("\x01d")
    first.expect("[cw] detached from session 1")


def test_attach_without_a_session_says_which(stage: Stage) -> None:
    assert stage.home.cw("launch", "planner", "--", "cat").returncode == 0
    window = stage.tmux.cw("attach", "--no-bar")
    window.expect("[cw] attaching to session planner (1): cat")
