"""The wire format, pure: bytes in, messages out. See spec/wire.md.

Owns frames, control messages, the tables of requests, events and error codes, timestamps and quoted
texts. Knows no socket, no clock and no session. Both ends use it, so it costs a short-lived client
little to import.
"""
