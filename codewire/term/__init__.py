"""Terminal byte streams, pure: escapes, the detach chord, what a terminal must be restored to."""
