"""Questions to the person at the terminal."""

from __future__ import annotations

import sys

from codewire.commands import output
from codewire.errors import CodewireError

MAX_ANSWER = 1024


def confirm(question: str) -> bool:
    """Ask on the terminal, return whether the answer is yes. Raises CodewireError without one."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise CodewireError(f"{question.split('?')[0]}? Nobody to ask: pass --yes")
    if sys.stderr is not None:
        output.flush_stdout()
        sys.stderr.write(question)
        sys.stderr.flush()
    answer = sys.stdin.readline(MAX_ANSWER)
    if not answer:
        raise CodewireError("interrupted")
    return answer.strip().lower() in ("y", "yes")
