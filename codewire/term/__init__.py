"""Terminal byte streams, pure: escapes, the detach chord, what a terminal must be restored to.

Knows no descriptor and no clock: it is handed bytes and returns bytes.
"""
