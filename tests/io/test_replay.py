"""Used tokens in a node's journal: none is forgotten over a restart, and the file stays short."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codewire.credentials.replay import Replay
from codewire.disk.journal import Journal

NOW = 1_775_210_400_000_000_000
MINUTE = 60_000_000_000


def remember_in(journal: Journal) -> Callable[[dict[str, Any]], bool]:
    return lambda line: journal.commit(journal.append(line))


def test_a_restart_forgets_no_used_token(tmp_path: Path) -> None:
    path = str(tmp_path / "used-tokens.jsonl")
    replay = Replay(remember_in(Journal(path)))
    for number in range(5):
        assert replay.consume("sender", "proj", f"sd_{number}", NOW + number * MINUTE, NOW)
    # A line cut short by a kill was never confirmed.
    with open(path, "ab") as file:
        file.write(b'{"kind":"sender","network_id":"proj","jti":"sd_9","exp')
    journal = Journal(path)
    again = Replay(remember_in(journal))
    journal.replay(again.restore)
    for number in range(5):
        assert not again.consume("sender", "proj", f"sd_{number}", NOW + number * MINUTE, NOW)
    assert again.consume("sender", "proj", "sd_9", NOW + MINUTE, NOW)
    journal.shorten(lambda: again.lines(NOW + 3 * MINUTE))
    third = Replay()
    Journal(path).replay(third.restore)
    assert [line["jti"] for line in third.lines(NOW)] == ["sd_3", "sd_4"]


def test_what_a_full_disk_does_not_take_is_refused(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "none" / "used-tokens.jsonl"))
    replay = Replay(remember_in(journal))
    assert not replay.consume("runtime", "proj", "rt_1", NOW, NOW)


def test_nobody_waits_for_anothers_line() -> None:
    """A disk that hangs holds up who waits for it: others are checked, and the same is late."""
    is_hanging, has_begun = threading.Event(), threading.Event()

    def remember(line: dict[str, Any]) -> bool:
        if line["jti"] == "rt_slow":
            has_begun.set()
            assert is_hanging.wait(20)
        return True

    replay = Replay(remember)
    results: list[bool] = []
    slow = threading.Thread(
        target=lambda: results.append(replay.consume("runtime", "proj", "rt_slow", NOW, NOW))
    )
    slow.start()
    assert has_begun.wait(20)
    assert replay.consume("runtime", "proj", "rt_1", NOW, NOW)
    assert not replay.consume("runtime", "proj", "rt_slow", NOW, NOW)
    assert [line["jti"] for line in replay.lines(NOW)] == ["rt_1", "rt_slow"]
    is_hanging.set()
    slow.join(20)
    assert results == [True]
