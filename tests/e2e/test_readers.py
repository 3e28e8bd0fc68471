"""A text sent to shells, editors and line readers right after their launch is taken exactly once.

What agents do, boxprogram.py shows (test_submit.py); these are the programs people had before. All
of one node, and all at once: most of the time passes in the programs' own starts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codewire.client import Client
from codewire.errors import CodewireError
from tests.support import Home, running_home, wait_until

TAKEN = ("submitted", "typed")
FISH = ["fish", "--no-config", "-C", "function fish_prompt; echo 'prompt> '; end"]


class Reader(NamedTuple):
    """A program, what it is sent one after the other, and how often it must show what then."""

    argv: list[str]
    texts: tuple[str, ...]
    shown: dict[str, int]


SHELL_TEXTS = ("echo got-$((1+1))", "echo two\necho lines-$((3+4))", "read x", "echo no command")
SHELL_SHOWS = {"got-2": 1, "lines-7": 1, "echo no command": 1}
READERS = {
    "bash": Reader(["bash", "--norc", "-i"], SHELL_TEXTS, SHELL_SHOWS),
    "zsh": Reader(["zsh", "-f", "-i"], SHELL_TEXTS, SHELL_SHOWS),
    "fish": Reader(
        FISH, ("echo got-(math 1+1)", "echo two\necho lines-(math 3+4)"), {"lines-7": 1}
    ),
    "dash": Reader(["dash", "-i"], SHELL_TEXTS, SHELL_SHOWS),
    "python": Reader(
        [sys.executable, "-q"], ("print(6*7)", "print('日本'+'語')"), {"42": 1, "日本語": 1}
    ),
    "read": Reader(
        ["sh", "-c", "read -r x; echo got:$x; read -r y; echo and:$y; cat"],
        ("first text", "two\nlines"),
        {"got:first text": 1, "and:two": 1, "lines": 2},
    ),
    "password": Reader(
        [sys.executable, "-c", "import getpass; print('got', getpass.getpass('PIN: ')); input()"],
        ("1234 secret",),
        {"got 1234 secret": 1, "1234": 1},
    ),
    "cat": Reader(["cat"], ("one line", "x" * 300), {"one line": 2}),
}


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as made:
        made.client().list_sessions()
        yield made


def lines(client: Client, session: int) -> list[str]:
    shown = client.screen(session, history_lines=100)
    return [*shown.history, *shown.lines]


def send_all(client: Client, reader: Reader, home: str) -> str:
    """Send a reader its texts; return what went wrong, "" for nothing."""
    session = client.launch(reader.argv, working_dir=home)
    for text in reader.texts:
        answer = client.submit(session, text)
        if answer.verdict not in TAKEN:
            return f"{text!r}: {answer}"

    def count(text: str) -> int:
        return sum(
            text in line and not line.startswith("print(") for line in lines(client, session)
        )

    # Its echo, too, may be shown; what it makes of a text is shown once.
    last = list(reader.shown)[-1]
    wait_until(lambda: count(last) >= reader.shown[last], 30, f"{last} of {reader.argv}")
    wrong = {text: count(text) for text, n in reader.shown.items() if count(text) != n}
    return f"{wrong}: {lines(client, session)}" if wrong else ""


def test_line_readers_take_each_text_once(home: Home) -> None:
    wrong: dict[str, str] = dict.fromkeys(READERS, "not tried to the end")

    def run(name: str) -> None:
        try:
            wrong[name] = send_all(home.client(), READERS[name], home.path)
        except (AssertionError, CodewireError) as error:
            wrong[name] = repr(error)

    in_parallel(run, READERS)
    assert wrong == dict.fromkeys(READERS, "")


def in_parallel(run: Callable[[str], None], names: Any) -> None:
    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)


def test_vim_takes_a_text_in_insert_mode(home: Home) -> None:
    client, path = home.client(), Path(home.path, "written")
    session = client.launch(
        ["vim", "-n", "-u", "NONE", "-c", "set noswapfile", "-i", "NONE", str(path)]
    )
    wait_until(lambda: any("~" in line for line in lines(client, session)), 30, "vim")
    client.send_keys(session, "i")
    for text in ("first line", "second\nand third", "日本語 last"):
        assert client.submit(session, text).verdict in TAKEN
    client.send_keys(session, "Esc ':wq' Enter")
    client.wait(session, timeout_seconds=30)
    assert path.read_text() == "first line\nsecond\nand third\n日本語 last\n\n"


def test_less_gets_no_text_but_keys(home: Home) -> None:
    client, path = home.client(), Path(home.path, "pages")
    path.write_text("".join(f"line {number}\n" for number in range(200)))
    session = client.launch(["less", str(path)])
    wait_until(lambda: "line 3" in "\n".join(lines(client, session)), 30, "less")
    answer = client.submit(session, "q")
    assert (answer.verdict, answer.bytes) == ("refused", 0)
    assert "pager" in answer.reason and "--keys" in answer.reason
    told = client.msg(session, "not a command", delivery="both")
    assert not told.typed and "pager" in told.note
    assert "line 3" in "\n".join(lines(client, session))
    client.send_keys(session, "q")
    client.wait(session, timeout_seconds=30)
