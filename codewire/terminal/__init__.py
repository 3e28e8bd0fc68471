"""A terminal's screen, input, queries and viewers. Knows bytes and descriptors, no session."""
