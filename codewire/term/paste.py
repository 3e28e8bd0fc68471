"""Text typed on somebody's behalf: made harmless, and pasted in one where the program allows it.

Bracketed paste is DECSET 2004 (xterm's ctlseqs): a program that switches it on takes what stands
between START and END as text, not as keys.
"""

from __future__ import annotations

START, END = "\x1b[200~", "\x1b[201~"


def _names() -> dict[int, str]:
    """Return how each control character but the line feed is shown: ESC as ^[, CSI as \\x9b."""
    names = {code: "^" + chr(code ^ 64) for code in (*range(32), 127)}
    names |= {code: f"\\x{code:02x}" for code in range(128, 160)}
    del names[ord("\n")]
    # A tab is a key too: many programs complete words on it.
    names[ord("\t")] = "    "
    return names


NAMES = _names()


def harmless(text: str) -> str:
    """Return `text` with line feeds as its only control characters; all others are spelt out."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(NAMES)


def bracketed(text: str) -> bytes:
    """Return harmless text as one paste; pressing Enter is not part of it."""
    return (START + harmless(text) + END).encode("utf-8", "replace")


def as_typed(data: bytes) -> bytes:
    """Return data as one paste, unchanged but for ends inside it, which would type the rest."""
    end = END.encode()
    *ended, rest = data.split(end[-1:])
    kept = bytearray()
    for piece in ended:
        kept += piece + end[-1:]
        # Looked for in what is kept: taking one out may put another together.
        if kept.endswith(end):
            del kept[-len(end) :]
    return START.encode() + kept + rest + end


def plain(text: str) -> bytes:
    """Return harmless text as bytes to type, for a program that knows no pastes."""
    return harmless(text).encode("utf-8", "replace")
