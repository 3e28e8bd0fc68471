"""What the overview knows and what its keys do: sessions of some nodes, one selected. Pure.

Nodes are told apart by their number; the loop (loop.py) brings news and does what `press` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.client.overview.states import RANKS, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codewire.wire.answers.screens import Screen
    from codewire.wire.answers.sessions import SessionInfo

# Of those that have ended, the latest; all others are a number.
SHOWN_FINISHED = 20
MAX_TYPED = 4096
BLOCKED = "blocked"

# A node's number and a session's id.
Key = tuple[int, int]


class Entry(NamedTuple):
    """A session in the list. `line` is the last of its screen, `node` "" where it is clear."""

    key: Key
    node: str
    info: SessionInfo
    line: str = ""

    @property
    def label(self) -> str:
        """Return what people call it: `node:name`."""
        return f"{self.node}:{self.info.label}" if self.node else self.info.label


class Wish(NamedTuple):
    """What a key asks for: attach, prompt (with its text), kill, redraw, suspend or quit."""

    what: str
    key: Key = (0, 0)
    text: str = ""


class Board:
    """The state of the overview."""

    def __init__(self, nodes: Sequence[str]) -> None:
        """`nodes` are their labels, "" for an only one that needs none."""
        self.nodes = list(nodes)
        self.troubles = [""] * len(self.nodes)
        self.has_answered = [False] * len(self.nodes)
        self.message = ""
        # What is being typed: "" nothing, filter, prompt, or kill: a question.
        self.asks = ""
        self.typed = ""
        self.filter = ""
        self.selected: Key | None = None
        self.screen: Screen | None = None
        self._entries: dict[Key, Entry] = {}
        self._target: Key | None = None
        # Until a key is pressed the first one is selected, whoever that is by then.
        self._is_chosen = False
        self._order: list[Key] = []

    # News

    def listed(self, node: int, sessions: Sequence[SessionInfo]) -> None:
        """Take a node's list of sessions."""
        self.troubles[node], self.has_answered[node] = "", True
        lines = {key: entry.line for key, entry in self._entries.items()}
        kept = {key: entry for key, entry in self._entries.items() if key[0] != node}
        for info in sessions:
            key = (node, info.id)
            kept[key] = Entry(key, self.nodes[node], info, lines.get(key, ""))
        self._entries = kept
        self._arrange()

    def changed(self, key: Key, state: str, kind: str, reason: str, since: str, line: str) -> None:
        """Take a session's new state."""
        entry = self._entries.get(key)
        if entry is None:
            return
        info = entry.info._replace(
            state=state, state_kind=kind, state_reason=reason, state_since=since
        )
        self._entries[key] = entry._replace(info=info, line=line or entry.line)
        self._arrange()

    def looked(self, key: Key, screen: Screen, line: str) -> None:
        """Take what a session's terminal shows."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries[key] = entry._replace(line=line)
        if key == self.selected:
            self.screen = screen

    # What is shown

    def entry(self, key: Key | None) -> Entry | None:
        """Return a session by its key."""
        return self._entries.get(key) if key is not None else None

    def visible(self) -> list[Entry]:
        """Return the sessions in their order."""
        return [self._entries[key] for key in self._order]

    def counts(self) -> dict[str, int]:
        """Return how many run in each state, and how many have `finished`."""
        found = dict.fromkeys((*RANKS, "finished"), 0)
        for entry in self._entries.values():
            state = entry.info.state if entry.info.is_running else "finished"
            found[state if state in found else "working"] += 1
        return {state: count for state, count in found.items() if count}

    def target(self) -> Entry | None:
        """Return the session that is being asked about."""
        return self.entry(self._target)

    def _arrange(self) -> None:
        """Order the sessions anew; the selection stays on its session, or on its place."""
        place = self._place()
        found = [entry for entry in self._entries.values() if self._matches(entry)]
        running, ended = in_order(found, lambda entry: entry.info)
        self._order = [entry.key for entry in running + ended[:SHOWN_FINISHED]]
        if not self._is_chosen:
            self._select(0)
        elif self.selected not in self._order:
            self._select(min(place, len(self._order) - 1))

    def _matches(self, entry: Entry) -> bool:
        info = entry.info
        facts = (entry.label, str(info.id), info.prompt, info.state, info.status, *info.tags)
        return all(
            any(word in fact.lower() for fact in facts) for word in self.filter.lower().split()
        )

    def _place(self) -> int:
        return self._order.index(self.selected) if self.selected in self._order else 0

    def _select(self, place: int) -> None:
        before = self.selected
        self.selected = self._order[max(0, place)] if self._order else None
        if self.selected != before:
            self.screen = None

    # Keys

    def press(self, key: str) -> Wish | None:
        """Take a key; return what it asks for, if that is not done by it."""
        if key in ("redraw", "suspend"):
            return Wish(key)
        if self.asks == "kill":
            return self._answer(key)
        if self.asks:
            return self._type(key)
        self.message, self._is_chosen = "", True
        if key in ("q", "interrupt"):
            return Wish("quit")
        steps = {"up": -1, "down": 1, "page up": -10, "page down": 10}
        if key in steps:
            self._select(min(self._place() + steps[key], len(self._order) - 1))
        elif key in ("home", "g"):
            self._select(0)
        elif key in ("end", "G"):
            self._select(len(self._order) - 1)
        elif key == "n":
            self._next_blocked()
        elif key == "/":
            self.asks, self.typed = "filter", self.filter
        elif key == "escape":
            self._set_filter("")
        else:
            return self._begin(key)
        return None

    def _begin(self, key: str) -> Wish | None:
        """Take a key that is about the selected session."""
        entry = self.entry(self.selected)
        if entry is None or key not in ("enter", "p", "k"):
            return None
        if not entry.info.is_running:
            self.message = f"{entry.label} has ended"
        elif key == "enter":
            return Wish("attach", entry.key)
        else:
            self.asks, self.typed = ("prompt" if key == "p" else "kill"), ""
            self._target = entry.key
        return None

    def _next_blocked(self) -> None:
        """Select the next session that waits for somebody, around the end."""
        count, place = len(self._order), self._place()
        for step in range(1, count + 1):
            entry = self._entries[self._order[(place + step) % count]]
            if entry.info.is_running and entry.info.state == BLOCKED:
                self._select((place + step) % count)
                return
        self.message = "no session is blocked"

    def _answer(self, key: str) -> Wish | None:
        """Take the answer to whether a session is to be ended: y, anything else is no."""
        target, self.asks, self._target = self._target, "", None
        if key in ("y", "Y") and target is not None:
            return Wish("kill", target)
        self.message = "not killed"
        return None

    def _type(self, key: str) -> Wish | None:
        """Take a key of a line that is typed: a filter narrows the list at once."""
        if key in ("enter", "escape", "interrupt"):
            return self._typed(key == "enter")
        if key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "clear":
            self.typed = ""
        elif len(key) == 1 and len(self.typed) < MAX_TYPED:
            self.typed += key
        if self.asks == "filter":
            self._set_filter(self.typed)
        return None

    def _typed(self, is_meant: bool) -> Wish | None:
        asked, text, target = self.asks, self.typed, self._target
        self.asks, self.typed, self._target = "", "", None
        if asked == "filter":
            self._set_filter(text if is_meant else "")
        elif is_meant and text.strip() and target is not None:
            return Wish("prompt", target, text)
        return None

    def _set_filter(self, text: str) -> None:
        if text != self.filter:
            self.filter = text
            self._arrange()
