"""How commands inside end: a shell's codes, an engine's words, whose process is whose."""

import os
import threading

import pytest

from codewire.runtimes import running
from codewire.runtimes.running import Process

OCI = b"OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.mark.parametrize(
    ("code", "said", "shells"),
    [
        (0, b"", 0),
        (7, b"", 7),
        (137, b"", 137),
        (-2, b"", 130),
        (126, b"", 126),
        (126, OCI + b'exec: "nope": executable file not found in $PATH: unknown\r\n', 127),
        (126, OCI + b'exec: "/a b/\\"x": stat /a b: no such file or directory: unknown', 127),
        (126, OCI + b'exec: "/bin": permission denied: unknown', 126),
        (126, OCI + b'chdir to cwd ("/nodir") set in config.json failed: no such file or directory',
         126),
        (3, OCI + b'exec: "nope": executable file not found in $PATH: unknown', 3),
    ],
)  # fmt: skip
def test_codes(code: int, said: bytes, shells: int) -> None:
    assert running.ending(code, said) == shells


def copied(*pieces: bytes) -> tuple[bytes, bytes]:
    """Return what was passed on of a stream that came in these pieces, and what was held."""
    reader, writer = os.pipe()
    passed: list[bytes] = []
    held: list[bytes] = []
    copying = threading.Thread(
        target=lambda: held.append(running.copy_output(reader, passed.append))
    )
    copying.start()
    for piece in pieces:
        os.write(writer, piece)
    os.close(writer)
    copying.join(30)
    os.close(reader)
    return b"".join(passed), held[0]


def test_only_the_engines_words_are_held_back() -> None:
    assert copied(b"out", b"put") == (b"output", b"")
    assert copied(b"O", b"CI", b" is a body") == (b"OCI is a body", b"")
    assert copied(OCI[:10], OCI[10:], b"x") == (b"", OCI + b"x")
    assert copied() == (b"", b"")
    # What only looks like them is the command's, by its code; and a long one is not kept.
    assert running.flush_held(OCI, 0) == (OCI, b"")
    assert running.flush_held(OCI, 126) == (b"", OCI)
    assert running.flush_held(b"OCI", 127) == (b"OCI", b"")
    long = OCI + b"x" * running.READ_SIZE
    assert copied(*[long[at : at + 4096] for at in range(0, len(long), 4096)]) == (long, b"")


def stat(pid: int, parent: int, ticks: int, *argv: str, name: str = "a) (b") -> str:
    fields = ["S", str(parent), *["0"] * 17, str(ticks), "0", "0"]
    return f"{pid} ({name}) {' '.join(fields)}\n" + "".join(f"{word}\0" for word in argv)


def test_processes_are_read_whatever_their_argv() -> None:
    mark = "m1"
    records = [
        stat(1, 0, 100, "/bin/sh", "-lc", "idle"),
        stat(45, 0, 9000, "sh", "-c", "a\nb", "", "\0".strip("\0"), "é"),
        "",
        "no stat",
        stat(7, 0, 9000),
    ]
    text = f"\0{mark}\0".join(["100.50 5.0\n", *records])
    found = running.parse_processes(text, mark)
    assert [(each.pid, each.parent, each.age) for each in found] == [
        (1, 0, 99.5),
        (45, 0, 10.5),
        (7, 0, 10.5),
    ]
    assert found[1].argv == ("sh", "-c", "a\nb", "", "", "é")
    assert running.parse_processes("", mark) == []
    assert running.parse_processes("docker: no such container", mark) == []


def test_only_what_is_surely_ours_is_ended() -> None:
    ours = Process(45, 0, 3.0, ("sleep", "9"))
    below = Process(46, 45, 2.0, ("x",))
    deep = Process(47, 46, 2.0, ("y",))
    other = Process(50, 0, 3.0, ("sleep", "8"))
    init = Process(1, 0, 3.0, ("sleep", "9"))
    older = Process(60, 0, 300.0, ("sleep", "9"))
    child = Process(61, 45, 1.0, ("sleep", "9"))
    everything = [init, ours, below, deep, other, older]
    assert running.roots_of(everything, ["sleep", "9"], 3.0) == [ours]
    assert running.tree(everything, ours) == [ours, below, deep]
    assert running.roots_of([child], ["sleep", "9"], 3.0) == []
    twin = Process(62, 0, 2.0, ("sleep", "9"))
    assert len(running.roots_of([ours, twin], ["sleep", "9"], 3.0)) == 2
    # A script is run by what its first line names.
    script = Process(70, 0, 1.0, ("/bin/sh", "/usr/bin/npm", "test"))
    assert running.roots_of([script], ["npm", "test"], 3.0) == [script]


def test_what_became_another_program_is_known_by_its_time() -> None:
    init = Process(1, 0, 600.0, ("/bin/sh",))
    became = Process(45, 0, 9.0, ("sleep", "9"))
    before = Process(50, 0, 300.0, ("python3", "node", "--stdio"))
    after = Process(60, 0, 0.5, ("sh",))
    looking = Process(70, 0, 6.0, ("/bin/sh", "-c", running.LIST_PROCESSES, "sh", "mark"))
    everything = [init, became, before, after, looking, Process(46, 45, 9.0, ("x",))]
    assert running.roots_of(everything, ["sh", "-c", "exec sleep 9"], 10.0) == []
    assert running.changed_roots(everything, 10.0) == [became]
