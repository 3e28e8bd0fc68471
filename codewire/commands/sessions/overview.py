"""`cw list` and `cw status` as people see them on a terminal: lines of text, made of answers. Pure.

Nothing that must be typed is cut: names, ids and tags are whole, whatever the width; a command line
gives way in the list, and is whole in the status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client.overview import figures
from codewire.client.overview.states import (
    age_words,
    ending_words,
    in_order,
    mark,
    state_words,
)
from codewire.term.paint import hang, pad, wrap
from codewire.term.width import clip, display_width, printable

if TYPE_CHECKING:
    from codewire.term.paint import Paint
    from codewire.wire.answers.sessions import SessionInfo

# Of those that have ended, as many are shown; the rest is a number.
SHOWN_FINISHED = 8
MIN_COMMAND = 14
LABEL_WIDTH = 12


class _Row:
    """The cells of a session, as text."""

    def __init__(self, info: SessionInfo, now_ns: int) -> None:
        self.mark = mark(info)
        self.id = str(info.id)
        self.name = printable(info.name or "-")
        self.state = printable(state_words(info, now_ns))
        self.age = age_words(info, now_ns)
        self.command = printable(info.prompt)
        self.tags = printable(", ".join(info.tags))


def list_lines(
    sessions: list[SessionInfo], now_ns: int, width: int, paint: Paint, *, folds: bool = True
) -> list[str]:
    """Return the table, who needs somebody on top; with `folds` only the latest that ended."""
    running, ended = in_order(sessions, lambda info: info)
    hidden = len(ended) - SHOWN_FINISHED if folds else 0
    # One line for one line saves nothing.
    hidden = hidden if hidden > 1 else 0
    shown = running + ended[: len(ended) - hidden]
    lines = _table([_Row(info, now_ns) for info in shown], width, paint)
    return lines + [paint(f"… {hidden} finished, --all", "grey")] * bool(hidden)


class _Columns:
    """Where the columns of a table are, by what stands in them and how wide the terminal is."""

    def __init__(self, rows: list[_Row], width: int) -> None:
        self.id = _widest([row.id for row in rows], "ID")
        self.state = _widest([row.state for row in rows], "STATE")
        self.age = _widest([row.age for row in rows], "AGE")
        room = width - 2 - sum(cells + 1 for cells in (self.id, self.state, self.age))
        self.name = min(_widest([row.name for row in rows], "NAME"), max(8, room - MIN_COMMAND - 1))
        room -= self.name + 1
        self.tags = self._tags(rows, room)
        room -= self.tags + 1 if self.tags else 0
        self.command = max(1, min(room, _widest([row.command for row in rows], "COMMAND")))

    def _tags(self, rows: list[_Row], room: int) -> int:
        """Return the width of the last column: 0 where tags stand on lines of their own."""
        tags = [tag for row in rows for tag in row.tags.split(" ")]
        if not any(tags):
            return 0
        longest = _widest([row.tags for row in rows], "TAGS")
        width = min(longest, max(_widest(tags, "TAGS"), room // 3))
        return width if room - width - 1 >= MIN_COMMAND else 0


def _widest(cells: list[str], title: str) -> int:
    return max(map(display_width, [title, *cells]))


def _table(rows: list[_Row], width: int, paint: Paint) -> list[str]:
    columns = _Columns(rows, width)
    titles = (
        pad("ID", columns.id),
        pad("NAME", columns.name),
        pad("STATE", columns.state),
        pad("AGE", columns.age),
        pad("COMMAND", columns.command),
        "TAGS" if columns.tags else "",
    )
    head = paint(clip(("  " + " ".join(titles)).rstrip(), width, "…"), "", bold=True)
    return [head, *(line for row in rows for line in _row_lines(row, columns, width, paint))]


def _row_lines(row: _Row, columns: _Columns, width: int, paint: Paint) -> list[str]:
    glyph, colour = row.mark
    start = f"{paint(glyph, colour)} {pad(row.id, columns.id)} "
    before = " " * (columns.id + 3)
    lines = []
    if display_width(row.name) > columns.name:
        # Whole, on a line of its own: somebody may type it.
        lines.append(start + row.name)
        start = before + " " * columns.name
    else:
        start += pad(row.name, columns.name)
    state = paint(row.state, colour) + " " * (columns.state - display_width(row.state))
    start += f" {state} {pad(row.age, columns.age)} "
    command = clip(row.command, columns.command, "…")
    tags = wrap(row.tags, columns.tags) if columns.tags else [""]
    lines.append((start + (pad(command, columns.command) + " " + tags[0]).rstrip()).rstrip())
    behind = " " * (display_width(before) + columns.name + columns.state + columns.age + 3)
    lines += [behind + " " * (columns.command + 1) + rest for rest in tags[1:]]
    if row.tags and not columns.tags:
        lines += hang(before + "tags ", row.tags, width, len(before) + 5)
    return lines


def status_lines(
    info: SessionInfo, output_size: int, now_ns: int, width: int, paint: Paint
) -> list[str]:
    """Return what is known of one session; `output_size` is how many bytes it has printed."""
    glyph, colour = mark(info)
    title = printable(info.name) if info.name else f"session {info.id}"
    lines = [f"{paint(glyph, colour)} {paint(title, '', bold=True)}"]
    for label, value, tint in _facts(info, output_size, now_ns):
        if value:
            head = "  " + pad(label, LABEL_WIDTH)
            found = hang(paint(head, "grey"), printable(value), width, LABEL_WIDTH + 2)
            lines += _tinted(found, len(paint(head, "grey")), LABEL_WIDTH + 2, tint, paint)
    return lines


def _tinted(lines: list[str], first: int, rest: int, tint: str, paint: Paint) -> list[str]:
    """Colour the value of a field, wherever its lines begin."""
    cuts = [first] + [rest] * (len(lines) - 1)
    return [line[:cut] + paint(line[cut:], tint) for line, cut in zip(lines, cuts, strict=True)]


def _facts(info: SessionInfo, output_size: int, now_ns: int) -> list[tuple[str, str, str]]:
    """Return label, value ("" for none) and colour of each line."""
    colour = mark(info).colour
    kept = info.output_size_bytes
    sizes = figures.size(output_size)
    if kept is not None and kept < output_size:
        sizes += f", {figures.size(kept)} kept"
    return [
        ("ID", str(info.id), ""),
        ("State", _state(info, now_ns), colour),
        ("Reason", info.state_reason if info.is_running else "", ""),
        ("Agent", info.agent, ""),
        ("Command", info.prompt, ""),
        ("Directory", info.working_dir, ""),
        ("Tags", ", ".join(info.tags), ""),
        ("PID", str(info.pid or "") if info.is_running else "", ""),
        ("Attached", _attached(info), ""),
        ("Started", figures.moment(info.created_at, now_ns), ""),
        ("Finished", figures.moment(info.completed_at, now_ns), ""),
        ("Printed", sizes + (f", {info.output_lines} lines" if info.output_lines else ""), ""),
        (
            "Last output",
            figures.moment(info.last_output_at, now_ns) if info.is_running else "",
            "",
        ),
    ]


def _state(info: SessionInfo, now_ns: int) -> str:
    if not info.is_running:
        how = ending_words(info)
        if how == "lost":
            return "lost with the node (exit code unknown)"
        if info.signal:
            from codewire.commands.sessions.states import signal_words

            name = f"signal {signal_words(info.signal)}"
            return name if how != "killed" else f"killed, {name}"
        return how
    kind = f" ({info.state_kind})" if info.state_kind else ""
    lasted = figures.since(info.state_since, now_ns)
    return (info.state or "running") + kind + (f" for {lasted}" if lasted else "")


def _attached(info: SessionInfo) -> str:
    if not info.attached:
        return ""
    return f"{info.attached_count} terminals" if info.attached_count > 1 else "yes"


def output_lines(text: str, width: int, paint: Paint) -> list[str]:
    """Return the last output, its lines whole, below one that says what it is."""
    shown = [part.expandtabs() for part in text.split("\n")]
    rule = "── last output " + "─" * max(0, min(width, 60) - 15)
    return [paint(rule, "grey"), *shown]
