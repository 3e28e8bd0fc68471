"""How deep a JSON text is nested, before Python's scanner goes into it.

The scanner recurses in C. Python 3.13 lets it go 10,000 deep, which takes more stack than a thread
of the node has: not an error then, but the end of the process. Pure.
"""

from __future__ import annotations

# Nothing of ours has more than ten; upstream stops at 10,000.
MAX_DEPTH = 400
PIECE_BYTES = 1 << 16

_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[{]}")


def is_deep(text: bytes) -> bool:
    """Say whether `text`, JSON or not, nests objects and arrays more than MAX_DEPTH deep.

    Texts with few brackets cost two searches, others about as much as decoding them.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    # A text that is too deep is so from the beginning, as a rule.
    return _is_deep(text[:PIECE_BYTES]) or _is_deep(text)


def _is_deep(text: bytes) -> bool:
    import re
    from array import array
    from itertools import accumulate

    bare = re.sub(rb'"[^"\\]*(?:\\.[^"\\]*)*"', b"", text, flags=re.DOTALL)
    # A string that does not end: nothing follows it.
    bare = bare.partition(b'"')[0]
    depth = 0
    for start in range(0, len(bare), PIECE_BYTES):
        piece = bare[start : start + PIECE_BYTES].translate(_STEPS, _OTHERS)
        depths = list(accumulate(array("b", piece), initial=depth))
        if max(depths) > MAX_DEPTH:
            return True
        depth = depths[-1]
    return False
