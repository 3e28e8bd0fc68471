"""Keys and values on disk: damage, the clock, and what is confirmed is synced."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from codewire.errors import RequestError
from codewire.session import kv as module
from codewire.session.kv import MAX_KEY_BYTES, KeyValues
from tests.unit.session.records import DAY, SECOND, SetClock


def opened(path: Path, clock: SetClock) -> KeyValues:
    keys = KeyValues(str(path), clock)
    keys.load()
    return keys


def test_a_key_lives_as_long_as_it_should_whatever_the_clock_is_set_to(tmp_path: Path) -> None:
    clock = SetClock()
    keys = opened(tmp_path / "kv", clock)
    keys.set("", "k", b"v", 60 * SECOND)
    for jump in (DAY, -2 * DAY, 0):
        clock.wall += jump
        assert keys.get("", "k") == b"v"
        # Also for the next worker: the machine has not booted.
        assert opened(tmp_path / "kv", clock).get("", "k") == b"v"
        clock.pass_seconds(10)
    clock.pass_seconds(40)
    assert keys.get("", "k") is None and keys.list("", "") == []
    assert opened(tmp_path / "kv", clock).get("", "k") is None


def test_after_a_boot_a_clock_that_was_set_back_keeps_nothing_for_a_day(tmp_path: Path) -> None:
    clock = SetClock()
    opened(tmp_path / "kv", clock).set("", "k", b"v", 60 * SECOND)
    clock.reboot()
    clock.wall -= DAY
    keys = opened(tmp_path / "kv", clock)
    assert keys.get("", "k") == b"v"
    clock.pass_seconds(61)
    assert keys.get("", "k") is None


def test_lines_of_an_older_release(tmp_path: Path) -> None:
    clock = SetClock()
    line = {"ns": "default", "key": "k", "value": "dg==", "expires_ns": clock.wall + 5 * SECOND}
    (tmp_path / "kv").write_text(json.dumps(line) + "\n")
    keys = opened(tmp_path / "kv", clock)
    assert keys.get("", "k") == b"v"
    assert keys.list("", "")[0][1].expires_ns == clock.wall + 5 * SECOND
    clock.pass_seconds(5)
    assert keys.get("", "k") is None


BAD = ["1e999", "NaN", '"x"', "[]", "{}", "true", "-1", "9" * 30, "9" * 5000, "[[[[]]]]"]


@pytest.mark.parametrize("key", ["ns", "key", "value", "expires_ns", "lifetime_ns", "boot"])
def test_lines_with_wrong_values(tmp_path: Path, key: str) -> None:
    """Each is left out; the good ones are there, after it was mended, too."""
    path = tmp_path / "kv"
    good = '{"ns":"default","key":"%s","value":"dg=="}\n'
    bad = '{"ns":"default","key":"bad","value":"dg==","expires_ns":5,"lifetime_ns":5,"%s":%s}\n'
    path.write_text(good % "a" + "".join(bad % (key, value) for value in BAD) + good % "b")
    clock = SetClock()
    for _ in range(2):
        keys = opened(path, clock)
        assert {name for name, _ in keys.list("", "")} >= {"a", "b"}
    assert len(list(tmp_path.glob("kv.corrupt.*"))) == 1, "mended the first time"


def test_bytes_damaged_anywhere(tmp_path: Path) -> None:
    chance = random.Random(3)
    path = tmp_path / "kv"
    keys = opened(path, SetClock())
    for number in range(20):
        keys.set("", f"k{number}", b"v" * number, SECOND)
    whole = path.read_bytes()
    for _ in range(100):
        at = chance.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :])
        assert len(opened(path, SetClock()).list("", "")) >= 18
        path.write_bytes(whole[:at] + whole[at + 30 :])
        assert len(opened(path, SetClock()).list("", "")) >= 17


def test_a_change_is_confirmed_when_it_is_synced(tmp_path: Path) -> None:
    """Not before; and nobody else waits for it."""
    keys = opened(tmp_path / "kv", SetClock())
    seen: list[bytes | None] = []
    journal = keys._journal

    def fail(path: str) -> None:
        # A reader in the middle of it: no lock it needs is held.
        seen.append(keys.get("", "k"))
        keys.list("", "")
        raise OSError(5, "Input/output error")

    journal._sync = fail
    with pytest.raises(RequestError, match="could not be stored"):
        keys.set("", "k", b"v")
    assert seen == [b"v"]


def test_a_change_that_is_refused_is_none(tmp_path: Path) -> None:
    """Those that follow it count."""
    keys = opened(tmp_path / "later" / "kv", SetClock())
    for change in (lambda: keys.set("", "k", b"v"), lambda: keys.set("", "k", b"x" * 1000)):
        with pytest.raises(RequestError, match="could not be stored"):
            change()
    assert keys.list("", "") == [] and keys._promised == 0
    (tmp_path / "later").mkdir()
    keys.set("", "k", b"w")
    assert keys.get("", "k") == b"w"
    keys.delete("", "k")
    assert opened(tmp_path / "later" / "kv", SetClock()).list("", "") == []


def test_what_is_being_written_takes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 1000)
    keys = opened(tmp_path / "kv", SetClock())
    refused: list[str] = []

    def meanwhile(path: str) -> None:
        keys._journal._sync = lambda path: None
        try:
            with keys._lock:
                assert not keys._has_room(500)
        except AssertionError:
            refused.append("there was room")

    keys._journal._sync = meanwhile
    keys.set("", "k", b"v" * 400)
    assert refused == [] and keys._has_room(300)


def test_a_key_too_long_is_no_key(tmp_path: Path) -> None:
    line = {"ns": "default", "key": "k" * (MAX_KEY_BYTES + 1), "value": "dg=="}
    (tmp_path / "kv").write_text(json.dumps(line) + "\n")
    assert opened(tmp_path / "kv", SetClock()).list("", "") == []


def test_a_long_journal_is_shortened_and_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "kv"
    keys = opened(path, SetClock())
    keys._journal._sync = lambda path: None
    for number in range(1500):
        keys.set("", f"k{number % 3}", b"%d" % number)
    assert len(path.read_bytes().splitlines()) < 1100
    assert [e.value for _, e in opened(path, SetClock()).list("", "")] == [
        b"1497",
        b"1498",
        b"1499",
    ]
