"""Answering queries where a log cannot be read: said once, tried again, and no worse for others."""

from __future__ import annotations

import errno
import logging
import os
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.output.log import Chunk
from codewire.terminal import answers
from codewire.terminal.answers import Answerer
from codewire.terminal.questions import Questions


class BadLog:
    """A log on a disk that is broken while `error` is set."""

    def __init__(self) -> None:
        self.end = 3
        self.error: Exception | None = OSError(errno.EIO, os.strerror(errno.EIO))

    def retain(self) -> bool:
        return True

    def release(self) -> None:
        pass

    def watch(self, waker: Any) -> None:
        pass

    def read(self, offset: int, limit: int) -> Chunk:
        if self.error:
            raise self.error
        return Chunk(offset, b"abc"[offset : offset + limit], 0)


@pytest.fixture
def log() -> BadLog:
    return BadLog()


@pytest.fixture
def answerer(monkeypatch: pytest.MonkeyPatch) -> Answerer:
    monkeypatch.setattr(answers, "RETRY_SECONDS", 0.0)
    return Answerer()


def watched(answerer: Answerer, log: BadLog) -> Questions:
    session: Any = SimpleNamespace(id=1, live_log=log, input=None)
    questions = answerer.add(session, log, is_restored=False)  # type: ignore[arg-type]
    questions.offset = 0
    return questions


@pytest.mark.parametrize(
    ("error", "tells_where"),
    [(OSError(errno.EIO, "x"), False), (MemoryError(), False), (KeyError("x"), True)],
)
def test_what_fails_is_said_once_and_tried_again(
    answerer: Answerer,
    log: BadLog,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    tells_where: bool,
) -> None:
    questions = watched(answerer, log)
    log.error = error
    for _ in range(3):
        answerer._serve_or_say(questions)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert bool(record.exc_info) is tells_where
    answerer._waiting.clear()
    questions.is_rung = False
    answerer._retry()
    assert list(answerer._waiting) == [questions]


def test_a_log_that_can_be_read_again_is(answerer: Answerer, log: BadLog) -> None:
    questions = watched(answerer, log)
    answerer._serve_or_say(questions)
    assert answerer._failing
    log.error = None
    answerer._serve_or_say(questions)
    assert not answerer._failing
    assert questions.offset == log.end
