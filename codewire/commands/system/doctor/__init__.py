"""`cw doctor`: what may be wrong on this machine, said before it hurts.

Every check looks and changes nothing, starts no node, and has the same few seconds: what hangs is a
finding, too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.system.doctor.finding import FAIL, MARKS, RANKS, WARN

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.commands.system.doctor.finding import Check, Finding
    from codewire.term.paint import Paint

# A node elsewhere may be far away; a check of this machine takes milliseconds.
CHECK_SECONDS = 10.0


def doctor(args: dict[str, Any], context: Context) -> int:
    """Check that everything cw needs is in order; the exit code is 1 when something is broken.

    Failures come first, then warnings. Nothing is changed, and no node is started. To give an agent
    Codewire's tools, register the MCP server: claude mcp add codewire -- cw mcp-server. An attached
    terminal is left with Ctrl+B, then d.

    Usage:
      cw doctor [options]

    Options:
      -j, --json  Print the findings as JSON

    Examples:
      cw doctor
      cw --server gpu doctor
    """
    from codewire.commands.system.doctor import checks

    findings = examine(checks.CHECKS, context)
    if args["--json"]:
        output.show_json([{"name": n, "status": s, "detail": d} for n, s, d in findings])
    else:
        target = context.server or "local"
        output.write(f"Current target: {target}\n\n")
        if output.is_terminal():
            shown = lines(findings, output.terminal_width(), output.paint())
        else:
            shown = [f"{name:<12} {status:<6} {detail}" for name, status, detail in findings]
        for line in shown:
            output.line(line)
    return 1 if any(status == FAIL for _, status, _ in findings) else 0


def lines(findings: list[Finding], width: int, paint: Paint) -> list[str]:
    """Return the findings for people: marks and colours, details behind what they are about."""
    from codewire.term.paint import hang, pad
    from codewire.term.width import printable

    column = max((len(name) for name, _, _ in findings), default=0) + 2
    found = []
    for name, status, detail in findings:
        glyph, colour = MARKS[status]
        head = paint(f"{glyph} {pad(status, 5)}", colour) + pad(name, column)
        found += hang(head, printable(detail), width, column + 7)
    return found


def examine(checks: tuple[Check, ...], context: Context) -> list[Finding]:
    """Return what all checks find, the worst first. Blocks up to CHECK_SECONDS."""
    runs = [_Run(check, context) for check in checks]
    deadline = time.monotonic() + CHECK_SECONDS
    findings = [finding for run in runs for finding in run.result(deadline)]
    return sorted(findings, key=lambda finding: RANKS[finding[1]])


class _Run:
    """One check, in a thread of its own: a hung file system stops neither the rest nor the end."""

    def __init__(self, check: Check, context: Context) -> None:
        import threading

        self._check = check
        self._context = context
        self._found: list[Finding] = []
        self._thread: threading.Thread | None = threading.Thread(target=self._work, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # No room for a thread (RLIMIT_NPROC): then here.
            self._thread = None
            self._work()

    @property
    def _name(self) -> str:
        return self._check.__name__.strip("_").replace("_", " ")

    def _work(self) -> None:
        try:
            for finding in self._check(self._context):
                self._found.append(finding)
        except Exception as error:  # noqa: BLE001 - what fails here is a finding, whatever it is
            cause = str(error) or type(error).__name__
            self._found.append((self._name, WARN, f"cannot be checked: {cause}"))

    def result(self, deadline: float) -> list[Finding]:
        if self._thread is None:
            return self._found
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            words = f"hangs: no result after {CHECK_SECONDS:.0f}s (a file system that is away?)"
            found.append((self._name, FAIL, words))
        return found
