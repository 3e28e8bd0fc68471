"""Sessions that wait for a decision: what they ask, and answering it as a person would.

Nothing is decided blindly: the mark is moved one key at a time, each seen on the screen, and Enter
is pressed only while it is on the choice meant and the dialog still the one that was approved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from codewire.agents.dialogs import (
    BAR,
    NO,
    YES,
    YES_OR_NO,
    Dialog,
    Item,
    identity,
    read_dialog,
)
from codewire.agents.evidence import BLOCKED
from codewire.errors import RequestError
from codewire.io.deadline import Deadline
from codewire.session.decisions import decision
from codewire.session.lookout import shown_state
from codewire.session.session import Session
from codewire.session.typing import Keyboard
from codewire.term.keys import Key, encode_key
from codewire.term.modes import Modes
from codewire.term.screen import Screen
from codewire.terminal.input import InputClosed, holding
from codewire.terminal.scene import Scene, view

# A screen follows a key within so long; all of an answer takes no longer than the second.
STEP_SECONDS, ALL_SECONDS = 2.0, 20.0
LOOK_SECONDS = 0.05
# After Enter: until the dialog is gone.
GONE_SECONDS = 5.0
PATIENCE_SECONDS = 3.0


class Decision(NamedTuple):
    """What was decided. `is_gone`: the dialog has been seen to go."""

    item: Item
    question: str
    is_gone: bool


class Asking(NamedTuple):
    """A look, the dialog in it, and the modes that keys go by."""

    scene: Scene
    dialog: Dialog | None
    modes: Modes


def look(session: Session, has_left: Callable[[], bool]) -> Asking:
    """Return what a session's screen asks. Raises RequestError where it is not known."""
    cursor = session.cursor(0, threading.Event())
    try:
        return session.terminal.display.look(cursor.log, _asking, has_left=has_left)
    finally:
        cursor.close()


def _asking(screen: Screen, offset: int) -> Asking:
    rows, scene = screen.grid.rows, view(screen, offset)

    def paint(row: int, column: int) -> Hashable:
        # Columns are characters of the text: a wide one takes two cells, of which one is empty.
        cell = length = 0
        chars = rows[row].chars
        while cell < len(chars) - 1 and length + len(chars[cell]) <= column:
            length += len(chars[cell])
            cell += 1
        style = rows[row].styles[cell]
        return style.flags, style.foreground, style.background

    return Asking(scene, read_dialog(scene.rows, scene.cursor, paint), screen.modes)


def approval_id(session: Session, asking: Asking) -> str:
    """Return what names this question of this session: another question has another."""
    found = asking.dialog
    return f"{session.id}-{found.id if found else identity(last_lines(asking.scene.rows))}"


def last_lines(lines: tuple[str, ...]) -> list[str]:
    """Return the bottom of a screen, for a dialog that is not recognised."""
    return [line.strip() for line in lines if line.strip()][-14:]


def approval(session: Session, has_left: Callable[[], bool]) -> dict[str, Any] | None:
    """Return what a session waits for, ready for the wire; None when it waits for nothing."""
    state = shown_state(session)
    if state.state != BLOCKED:
        return None
    asking = look(session, has_left)
    if decision(session, asking.scene) is None:
        # Answered since the lookout has looked.
        return None
    dialog = asking.dialog
    marked = dialog.marked if dialog else None
    items = dialog.items if dialog else ()
    return {
        "id": approval_id(session, asking),
        "session_id": session.id,
        **({"session_name": session.record.name} if session.record.name else {}),
        "kind": state.kind,
        "reason": state.reason,
        "text": "\n".join(dialog.lines if dialog else last_lines(asking.scene.rows)),
        "choices": [{"number": item.number, "label": item.label} for item in items],
        **({"marked": marked.number} if marked else {}),
        "since_ns": state.since_ns,
    }


def chosen(dialog: Dialog, choice: int | None, refuses: bool) -> Item:
    """Return the choice that is meant. Raises RequestError with the list where that is not one."""
    if choice is not None:
        item = dialog.choice(choice)
        problem = f"there is no choice {choice}"
    elif refuses:
        item = dialog.only(NO)
        problem = "not exactly one choice says no: name one with --choice"
    else:
        item = dialog.only(YES)
        problem = "not exactly one choice says yes: name one with --choice"
    if item is None:
        listed = "".join(f"\n  {one.number}. {one.label}" for one in dialog.items)
        raise RequestError(f"{problem}; nothing was chosen{listed}")
    return item


class Approver:
    """Answers dialogs, one at a time in a session."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def approve(
        self,
        session: Session,
        wanted: str,
        choice: int | None,
        refuses: bool,
        has_left: Callable[[], bool],
    ) -> Decision:
        """Choose in the dialog that `wanted` names. Blocks. Raises RequestError when it may not."""
        with self._lock:
            if session.id in self._busy:
                raise RequestError(f"session {session.id} is being answered; nothing was chosen")
            self._busy.add(session.id)
        try:
            # Nothing else may type meanwhile: the mark would be elsewhere.
            with holding(session.terminal.turn, lambda: not session.is_running() or has_left()):
                return _Answer(session, wanted, self._keyboard, has_left).give(choice, refuses)
        except InputClosed as error:
            raise RequestError(f"session {session.id} takes no input") from error
        finally:
            with self._lock:
                self._busy.discard(session.id)


class _Answer:
    """One answer being given."""

    def __init__(
        self, session: Session, wanted: str, keyboard: Keyboard, has_left: Callable[[], bool]
    ) -> None:
        self._session, self._wanted, self._keyboard = session, wanted, keyboard
        self._has_left = has_left
        self._deadline = Deadline.after(ALL_SECONDS)

    def give(self, choice: int | None, refuses: bool) -> Decision:
        dialog, modes = self._dialog()
        item = chosen(dialog, choice, refuses)
        if dialog.shape == YES_OR_NO:
            self._type((item.label[:1].lower()).encode())
            # Its echo makes the line another one: it is not looked at again.
            self._press("enter", modes)
        else:
            modes = self._move_to(item)
            self._press("enter", modes)
        question = next((line for line in reversed(dialog.lines) if line.endswith("?")), "")
        return Decision(item, question or dialog.lines[0], self._wait_gone())

    def _dialog(self) -> tuple[Dialog, Modes]:
        """Return the dialog that was approved. Raises RequestError when it is another by now."""
        asking = look(self._session, self._has_left)
        if asking.dialog is None or approval_id(self._session, asking) != self._wanted:
            raise RequestError(
                f"the screen of session {self._session.id} has changed; nothing was chosen"
            )
        return asking.dialog, asking.modes

    def _move_to(self, item: Item) -> Modes:
        """Move the mark to a choice, one key at a time; return the modes for Enter."""
        for _ in range(100):
            dialog, modes = self._dialog()
            marked = dialog.marked
            if marked is None:
                raise RequestError(
                    f"which choice of session {self._session.id} is marked cannot be seen: "
                    "answer with 'cw send --keys'; nothing was chosen"
                )
            if marked.number == item.number:
                return modes
            back, forth = ("left", "right") if dialog.shape == BAR else ("up", "down")
            self._press(back if item.number < marked.number else forth, modes)
            self._wait_moved(marked)
        raise RequestError("the mark does not reach the choice; nothing was chosen")

    def _wait_moved(self, before: Item) -> None:
        until = self._deadline.sooner(Deadline.after(STEP_SECONDS))
        while not until.expired:
            marked = self._dialog()[0].marked
            if marked is not None and marked.number != before.number:
                return
            time.sleep(LOOK_SECONDS)
        raise RequestError(
            f"session {self._session.id} does not move its mark when asked; nothing was chosen"
        )

    def _wait_gone(self) -> bool:
        until = Deadline.after(GONE_SECONDS)
        while not until.expired and self._session.is_running():
            asking = look(self._session, self._has_left)
            if asking.dialog is None or approval_id(self._session, asking) != self._wanted:
                return True
            time.sleep(LOOK_SECONDS)
        return not self._session.is_running()

    def _press(self, name: str, modes: Modes) -> None:
        self._type(encode_key(Key(name), modes))

    def _type(self, data: bytes) -> None:
        self._keyboard.type_in(
            self._session, data, "approve", has_left=self._has_left, patience=PATIENCE_SECONDS
        )
