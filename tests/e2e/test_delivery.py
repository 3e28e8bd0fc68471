"""Mail typed into terminals: whole and submitted once where it is text, never run by a shell."""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from codewire.client import Client
from codewire.errors import RequestError, RequestTimedOut, WaitTimedOut
from tests.support import REPOSITORY, Home, wait_until

# Whatever a shell might do something with; `pwned` and `pwned2` would be files.
NASTY = (
    "$(touch pwned)\n`touch pwned`\r\ntouch pwned\n;touch pwned;&& touch pwned | touch pwned\n"
    '"\'"; touch pwned #\n\x1b[201~\rtouch pwned2\r\x1b[200~\x03\x04\x1a\x15touch pwned\n'
    "\x9b201~\x0ftouch pwned2\n!!\n\x16\x1b\rtouch pwned\n\ttouch\tpwned\n"
)

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile"],
    "bash without paste": ["bash", "--norc", "--noediting"],
    "dash": ["dash", "-i"],
    "zsh": ["zsh", "-f"],
    "fish": ["fish", "--no-config", "-C", "function fish_prompt; echo 'prompt> '; end"],
}

PASTE_ON = b"\x1b[?2004h"

READLINE = (
    "import readline, sys\n"
    "readline.parse_and_bind('set enable-bracketed-paste on')\n"
    "while True: print('GOT', ascii(input('> ')), flush=True)\n"
)


def pwned(home: Home) -> list[Path]:
    return list(Path(home.path).rglob("pwned*"))


def prints(home: Home, session: int, text: bytes) -> None:
    wait_until(lambda: text in home.log(session), 30, f"{text!r} is in the log")


def answers(home: Home, session: int) -> None:
    """Make a shell compute something: it has read all that was typed before, and did only that."""
    home.client().send_input(session, b"printf still-%d 42\r")
    prints(home, session, b"still-42")


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest, node: Home) -> int:
    """A shell at its prompt."""
    argv = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    env = ["PS1=prompt> ", "ENV="]
    session = node.launch(*argv, name="shell", env=env)
    node.launch("sleep", "600", name="planner")
    prints(node, session, b"prompt> ")
    return session


def prompts(home: Home, session: int) -> int:
    """Return how often a line editor began a new line: one that only draws it again is quiet."""
    return home.log(session).count(PASTE_ON)


def leave_line(home: Home, session: int) -> None:
    """Drop the line with Ctrl-C and end the shell with Ctrl-D, which only an empty line heeds.

    No Enter is pressed: a shell that still draws a paste keeps its line at a Ctrl-C.
    """
    for _ in range(120):
        with suppress(RequestError):  # it may end between the two
            home.client().send_input(session, b"\x03")
            home.client().send_input(session, b"\x04")
        with suppress(WaitTimedOut):
            home.client().wait(session, timeout_seconds=0.5)
            return
    raise AssertionError("the shell never dropped the line")


def test_a_shell_at_its_prompt_runs_nothing(node: Home, shell: int) -> None:
    client = node.client()

    def send(mode: str) -> None:
        answer = client.msg(shell, NASTY, sender=shell + 1, delivery=mode)
        assert answer.delivered == "inbox"
        assert mode == "inbox" or "is in the foreground" in answer.note
        with pytest.raises(RequestTimedOut) as caught:
            client.request(shell, NASTY, sender=shell + 1, delivery=mode, timeout_seconds=3)
        assert mode == "inbox" or "is in the foreground" in caught.value.note

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, ("auto", "inbox", "both")))
    for call in (client.msg, client.request):
        with pytest.raises(RequestError, match="is in the foreground of session .* force it"):
            call(shell, NASTY, sender=shell + 1, delivery="pty")
    answers(node, shell)
    assert not pwned(node)
    assert b"Codewire" not in node.log(shell)
    assert len(client.read_messages(shell, tail=0).messages) == 6


def test_force_types_but_a_shell_that_knows_pastes_waits_for_enter(node: Home) -> None:
    session = node.launch("bash", "--norc", name="shell", env=["PS1=prompt> "])
    prints(node, session, b"prompt> ")
    client = node.client()
    answer = client.msg(session, NASTY, delivery="pty", force=True)
    assert answer.delivered == "pty"
    prints(node, session, b"[Codewire message from the user]")
    leave_line(node, session)
    assert not pwned(node)


@pytest.mark.parametrize("program", ["sh -c 'until test -e go; do sleep 0.1; done'", "cat"])
def test_what_a_program_leaves_unread_is_not_left_to_the_shell(node: Home, program: str) -> None:
    session = node.launch("bash", "--norc", name="shell", env=["PS1=prompt> "])
    prints(node, session, b"prompt> ")
    client = node.client()
    client.send_input(session, f"echo st$((1))art; {program}\r".encode())
    prints(node, session, b"st1art")
    wait_until(lambda: "waits behind" in note(client, session), 30, "the program has started")
    if program == "cat":
        client.send_input(session, b"\x04")
    Path(node.path, "go").touch()
    wait_until(lambda: "in the foreground" in note(client, session), 30, "the shell is back")
    answers(node, session)
    assert not pwned(node)


def note(client: Client, session: int) -> str:
    return str(client.msg(session, NASTY, delivery="both").note)


def test_cat_gets_header_body_and_hint(node: Home) -> None:
    # Without an echo, which would come between the lines of what cat prints; nothing is typed into
    # a line reader that does not echo, which asks for a password.
    session = node.launch("sh", "-c", "stty -echo -icanon; echo ready; exec cat", name="coder")
    prints(node, session, b"ready")
    planner = node.launch("sleep", "600", name="planner")
    client = node.client()
    client.msg(session, "line one\nline two \x1b[31mred\tend", sender=planner)
    shown = b"\r\n[Codewire message from planner]\r\nline one\r\nline two ^[[31mred    end\r\n\r\n"
    wait_until(lambda: node.log(session) == b"ready\r\n" + shown, 30, "cat has read it")
    with pytest.raises(RequestTimedOut) as caught:
        client.request(session, "ready?", sender=planner, timeout_seconds=3, delivery="pty")
    request_id = caught.value.request_id
    hint = f'Reply with: cw reply {request_id} "<response>"'
    prints(node, session, f"{hint}\r\n\r\n".encode())
    request = f"\n[Codewire request {request_id} from planner]\nready?\n\n{hint}\n\n"
    assert node.log(session).endswith(shown + request.replace("\n", "\r\n").encode())
    assert client.read_messages(session).messages[-1].request_id == request_id


def test_readline_gets_one_line_with_everything(node: Home) -> None:
    session = node.launch(sys.executable, "-c", READLINE, name="coder")
    prints(node, session, b"> ")
    if PASTE_ON not in node.log(session):
        pytest.skip("this readline knows no bracketed paste")
    client = node.client()
    client.msg(session, NASTY, delivery="pty")
    # Between two lines readline switches pastes off, and a text comes as so many lines.
    wait_until(lambda: prompts(node, session) == 2, 30, "the program reads on")
    client.msg(session, "second", delivery="pty")
    prints(node, session, b"\\nsecond'")
    log = node.log(session)
    got = [line for line in log.split(b"\r\n") if b"GOT '" in line]
    assert len(got) == 2, log
    assert b"[Codewire message from the user]\\n$(touch pwned)\\n" in got[0]
    assert b"^[[201~\\n" in got[0] and b"\\\\x9b201~" in got[0] and b"    touch    pwned" in got[0]
    assert not pwned(node)


@pytest.mark.parametrize("through_shell", [False, True])
def test_a_full_screen_program_gets_one_paste(node: Home, through_shell: bool) -> None:
    submitted = Path(node.path, "submitted")
    program = [sys.executable, str(REPOSITORY / "tests" / "paste_program.py"), str(submitted)]
    if through_shell:
        session = node.launch("bash", "--norc", name="coder", env=["PS1=prompt> "])
        prints(node, session, b"prompt> ")
        node.client().send_input(session, " ".join(program).encode() + b"\r")
    else:
        session = node.launch(*program, name="coder")
    prints(node, session, b"ready")
    client = node.client()
    planner = node.launch("sleep", "600", name="planner")
    client.msg(session, NASTY, sender=planner)
    with pytest.raises(RequestTimedOut) as caught:
        client.request(session, "café 名?\n", sender=planner, timeout_seconds=3)

    def texts() -> list[str]:
        return [json.loads(line) for line in submitted.read_text().splitlines()]

    wait_until(lambda: submitted.exists() and len(texts()) >= 2, 30, "both are submitted")
    message, request = texts()
    assert message.startswith("[Codewire message from planner]\n$(touch pwned)\n")
    assert message.endswith("    touch    pwned")
    assert not any(ord(char) < 32 and char != "\n" for char in message)
    request_id = caught.value.request_id
    assert request == (
        f"[Codewire request {request_id} from planner]\ncafé 名?\n\n\n"
        f'Reply with: cw reply {request_id} "<response>"'
    )


@pytest.mark.long
def test_64_kib_and_many_at_once_arrive_whole(node: Home) -> None:
    submitted = Path(node.path, "submitted")
    program = [sys.executable, str(REPOSITORY / "tests" / "paste_program.py"), str(submitted)]
    session = node.launch(*program)
    prints(node, session, b"ready")
    client = node.client()
    bodies = ["x" * 65536, *(f"body {number}" for number in range(20))]
    for body in bodies:
        client.msg(session, body, delivery="pty")
    wait_until(
        lambda: submitted.exists() and submitted.read_text().count("\n") == 21,
        30,
        "all are submitted",
    )
    texts = [json.loads(line) for line in submitted.read_text().splitlines()]
    assert [text.partition("\n")[2] for text in texts] == bodies


def test_a_program_that_reads_nothing_holds_up_nobody(node: Home) -> None:
    stuck = node.launch("sleep", "600", name="stuck")
    client = node.client()
    answer = client.msg(stuck, "line\n" * 10000, delivery="both")
    assert answer.delivered == "both" and "not reading its terminal" in answer.note
    other = node.launch("cat")
    assert client.msg(other, "hi", delivery="pty").delivered == "pty"
    prints(node, other, b"hi")
    assert client.read_messages(stuck).messages[0].body == "line\n" * 10000


def test_the_command_says_what_happened(home: Home) -> None:
    home.cw("launch", "shell", "--", "bash", "--norc")
    home.cw("launch", "cat", "--", "cat")
    done = home.cw("msg", "shell", "touch pwned", env=home.inside(2))
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    assert first.startswith("Message sent: msg_")
    assert second == (
        "[cw] a shell (bash) is in the foreground of session 1 and would run the text; it is in "
        "the inbox and was not typed"
    )
    done = home.cw("msg", "shell", "touch pwned", "--delivery", "pty")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is in the foreground of session 1" in done.stderr
    done = home.cw("msg", "cat", "no sender: the inbox alone")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert home.log(2) == b"" and not pwned(home)
