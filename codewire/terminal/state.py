"""What looking at a session's terminal and typing into it leaves behind; made when first needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from codewire.terminal.display import Display
from codewire.terminal.once import InputKeys
from codewire.terminal.submitting import Outcome
from codewire.terminal.turns import Pen
from codewire.terminal.typed import Typed
from codewire.terminal.viewers import Viewers


class Terminal:
    """The parts; most sessions are never looked at, and pay for none of them."""

    __slots__ = ("display", "viewers", "typed", "input_keys", "turn", "has_arrived", "outcomes")

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
        # One text at a time is typed into it with a look at the screen.
        self.turn = threading.Lock()
        # What became of the last texts that had a key, for who asks again.
        self.outcomes: OrderedDict[str, Outcome] = OrderedDict()
        # Something typed was seen to arrive: the program is past its start.
        self.has_arrived = False
