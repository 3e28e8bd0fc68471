"""Submitting a text to a session: where nothing may be typed, who types beside us, what came of it.

The one path of everything that is typed for somebody: send, prompt, messages, requests and what a
launch brings along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codewire.session.session import Session
from codewire.session.teletype import SessionTeletype
from codewire.session.typing import Keyboard
from codewire.term.submission import fold, tail_of
from codewire.terminal import scene as scenes
from codewire.terminal.input import InputClosed, holding, never
from codewire.terminal.scene import Scene
from codewire.terminal.submitting import YOUNG_SECONDS, Outcome, Refused, Submission

# So long after an attached client's last key its unfinished line is still being typed.
PERSON_SECONDS = 10.0
PERSON_LOOK_SECONDS = 0.1
SOMEBODY = "somebody is typing"
BLOCKED = "blocked: waits for a decision"


@dataclass(frozen=True, slots=True)
class Typing:
    """What is to be typed, and how careful to be.

    `is_own` is a person's own text: it may go to a password prompt, or answer a yes/no question.
    """

    text: str
    source: str
    is_own: bool = False
    as_paste: bool = False
    keeps_marks: bool = False
    is_shell: Callable[[], bool] = never
    check_reader: Callable[[], bool] | None = None


def submit(
    session: Session,
    keyboard: Keyboard,
    typing: Typing,
    *,
    before: Callable[[], None] | None = None,
    is_cancelled: Callable[[], bool] = never,
    has_left: Callable[[], bool] = never,
    patience: float | None = None,
) -> Outcome:
    """Type a text and press Enter, seen to. Raises Refused before the first byte, InputClosed."""
    teletype = SessionTeletype(
        session,
        keyboard,
        before=before,
        is_cancelled=is_cancelled,
        has_left=has_left,
        patience=patience,
    )
    with holding(session.terminal.turn, lambda: not session.is_running() or has_left()):
        await_person(session, teletype)
        submission = Submission(
            teletype,
            typing.text,
            lambda scene: check(teletype, scene, typing),
            is_young=teletype.is_young(YOUNG_SECONDS),
            as_paste=typing.as_paste,
            keeps_marks=typing.keeps_marks,
            check_reader=typing.check_reader,
        )
        try:
            outcome = submission.run()
        except InputClosed:
            # `exit` is taken, too.
            if not teletype.count or session.is_running():
                raise
            outcome = Outcome("typed", "the session has ended", bytes=teletype.count)
        finally:
            if teletype.count:
                keyboard.publish_input(session, typing.source, teletype.count)
        if outcome.verdict != "refused":
            session.terminal.has_arrived = True
        return outcome


def check(teletype: SessionTeletype, scene: Scene, typing: Typing) -> None:
    """Raise Refused where typing would choose something, or show what it should not."""
    names = teletype.readers().names
    is_line = teletype.is_canonical()
    is_secret = (is_line and not teletype.echoes()) or scenes.asks_password(scene)
    if is_secret and not typing.is_own:
        raise Refused("a password prompt: nothing is typed there", scene.left.strip())
    if typing.is_shell():
        return
    found = teletype.decision(scene)
    # A person may answer who asks in a line and reads one.
    is_question = found is not None and found.rule in (scenes.YES_NO, *scenes.SAID)
    if found and not (typing.is_own and is_line and is_question):
        raise Refused(BLOCKED, scenes.dialog_text(scene, found), is_dialog=True)
    if is_line:
        return
    if scenes.is_pager(scene, names):
        raise Refused("a pager takes every key as a command: use --keys", scene.left.strip())
    if scenes.is_picker(scene, names):
        raise Refused("Enter would choose from a list: use --keys", scene.left.strip())


def await_person(session: Session, teletype: SessionTeletype) -> None:
    """Wait while an attached client is in the middle of a line. Raises Refused after a while."""
    viewers = session.terminal.viewers
    while draft := viewers.draft:
        if viewers.typed_seconds() >= PERSON_SECONDS:
            left = fold(teletype.look().left)
            if left.endswith(tail_of(draft)):
                raise Refused(SOMEBODY, left)
            return
        teletype.pause(PERSON_LOOK_SECONDS)
