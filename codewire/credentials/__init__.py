"""Tokens, their envelopes and keys, and what they allow: bytes and values, `now` is passed in."""
