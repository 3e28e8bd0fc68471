"""What looking at a session's terminal and typing into it leaves behind; made when first needed."""

from __future__ import annotations

from collections.abc import Callable

from codewire.terminal.display import Display
from codewire.terminal.once import InputKeys
from codewire.terminal.turns import Pen
from codewire.terminal.typed import Typed
from codewire.terminal.viewers import Viewers


class Terminal:
    """The parts; most sessions are never looked at, and pay for none of them."""

    __slots__ = ("display", "viewers", "typed", "input_keys")

    def __init__(
        self,
        size: Callable[[], tuple[int, int]],
        resize: Callable[[int, int], None],
        keys_path: str,
        pen: Pen | None = None,
    ) -> None:
        self.display = Display(size, pen)
        self.viewers = Viewers(resize)
        self.typed = Typed()
        self.input_keys = InputKeys(keys_path)
