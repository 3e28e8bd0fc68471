"""How the SSH gateway speaks with a node: windows, ends, and what an older node is typed."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.errors import CodewireError
from codewire.relay.ssh.speech import LOST, WINDOW, GoSpeech, OwnSpeech, Speech
from codewire.wire.control import decode_control, encode_bytes, encode_control
from codewire.wire.frames import CONTROL, DATA, FrameDecoder


class Listener:
    """What a session was told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._decoder = FrameDecoder()

    def send(self, frame: bytes) -> None:
        self._decoder.feed(frame)
        while (found := self._decoder.next_frame()) is not None:
            kind, payload = found
            self.told.append(payload if kind == DATA else decode_control(payload))

    def write(self, data: bytes) -> None:
        self.told.append(("out", data))

    def write_error(self, data: bytes) -> None:
        self.told.append(("err", data))

    def fail(self, words: str) -> None:
        self.told.append(("fail", words))

    def end(self, code: int | None = None, signal: str = "", core: bool = False) -> None:
        self.told.append(("end", code, signal, core))

    def regulate(self) -> None:
        self.told.append("regulate")


def say(speech: Speech, **message: Any) -> None:
    speech.take(CONTROL, encode_control(message))


def test_a_node_of_ours_is_sent_a_window_and_then_what_it_has_taken() -> None:
    heard = Listener()
    speech = OwnSpeech(heard, {})
    speech.send(b"x" * (WINDOW - 1))
    assert speech.is_ready
    speech.send(b"y")
    assert not speech.is_ready
    say(speech, type="Taken", bytes=1)
    assert speech.is_ready and heard.told[-1] == "regulate"
    # The key that ends a terminal's input was never sent as bytes.
    say(speech, type="Taken", bytes=WINDOW + 1)
    speech.send(b"z" * (WINDOW - 1))
    assert speech.is_ready


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"code": 7}, ("end", 7, "", False)),
        ({"signal": "TERM", "core": False}, ("end", None, "TERM", False)),
        ({"signal": "SEGV", "core": True}, ("end", None, "SEGV", True)),
        ({"code": 4000}, ("end", 255, "", False)),
        ({"code": "x"}, ("end", 255, "", False)),
        ({"signal": "a b"}, ("end", 255, "", False)),
    ],
)
def test_how_it_ended(message: dict[str, Any], told: tuple[Any, ...]) -> None:
    heard = Listener()
    say(OwnSpeech(heard, {}), type="Exit", **message)
    assert heard.told == [told]


def test_both_outputs_are_kept_apart_and_what_is_unknown_is_ignored() -> None:
    heard = Listener()
    speech = OwnSpeech(heard, {})
    speech.take(DATA, b"one")
    say(speech, type="Stderr", data=encode_bytes(b"two"))
    say(speech, type="Later", data="three")
    speech.send_eof()
    speech.control({"type": "Resize", "cols": 1, "rows": 2})
    speech.lose()
    assert heard.told == [
        ("out", b"one"), ("err", b"two"), {"type": "EOF"},
        {"type": "Resize", "cols": 1, "rows": 2}, ("fail", LOST),
    ]  # fmt: skip


def test_an_older_node_gets_bytes_alone() -> None:
    heard = Listener()
    speech = GoSpeech(heard, {"pty": True})
    assert speech.is_ready
    speech.send(b"ls\n")
    speech.send_eof()
    speech.control({"type": "Signal", "signal": "TERM"})
    speech.take(CONTROL, b"{}")
    speech.take(DATA, b"out")
    speech.lose()
    assert heard.told == [b"ls\n", b"\x04", ("out", b"out"), ("end", 0, "", False)]


def test_a_command_on_an_older_node_waits_for_its_input() -> None:
    heard = Listener()
    speech = GoSpeech(heard, {"command": "cat"})
    [typed] = heard.told
    assert not speech.is_ready and b"exec sh -c" in typed
    fence = speech._fence
    assert fence is not None
    speech.take(DATA, b"prompt$ " + fence._first)
    assert speech.is_ready and heard.told[1:] == ["regulate"]
    speech.take(DATA, b"hi" + fence._last + b"3\x1e")
    assert heard.told[2:] == [("out", b"hi"), ("end", 3, "", False)]


def test_an_older_node_that_is_lost_has_not_finished_a_command() -> None:
    heard = Listener()
    GoSpeech(heard, {"command": "true"}).lose()
    assert heard.told[1:] == [("fail", LOST)]


def test_an_older_node_has_no_subsystems() -> None:
    with pytest.raises(CodewireError, match="has no subsystems"):
        GoSpeech(Listener(), {"subsystem": "sftp"})
