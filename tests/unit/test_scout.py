"""A look that hangs is waited for briefly, once, and its answer taken when it comes."""

from __future__ import annotations

import threading

import pytest

from codewire.keeper.place import scout
from codewire.keeper.place.scout import Scout


@pytest.mark.parametrize("answer", [True, False])
def test_what_answers_is_told(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert Scout(lambda: answer).find() is answer


def test_an_error_is_something_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> bool:
        raise OSError(5, "x")

    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert Scout(look).find() is False


def test_what_hangs_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 0.01)
    looks: list[int] = []
    answers = threading.Event()

    def look() -> bool:
        looks.append(1)
        return answers.wait(10)

    found = Scout(look)
    assert found.find() is None
    assert found.find() is None
    assert looks == [1] and found.is_out()
    answers.set()
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert found.find() is True and not found.is_out()


def test_without_a_thread_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThreads:
        def start_new_thread(self, *_: object) -> None:
            raise RuntimeError("can't start new thread")

        allocate_lock, stack_size = scout._thread.allocate_lock, scout._thread.stack_size

    monkeypatch.setattr(scout, "_thread", NoThreads)
    found = Scout(lambda: True)
    monkeypatch.setattr(NoThreads, "stack_size", staticmethod(lambda size: size))
    assert found.find() is None
    assert found.find() is None
